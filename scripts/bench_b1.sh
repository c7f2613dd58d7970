#!/usr/bin/env bash
# Quality beside PEFT on the rows of the original report: SmolLM2-135M, DoRA rank 8 alpha 16, 300 steps of one row,
# lr 5e-4, no clipping, seeds 0 1 2, scored by eval-sql on the 50 held-out rows.
#   scripts/bench_b1.sh --b1 DIR [--peers FOLDER] [--out FOLDER]
# DIR is the evals folder of the PostTrainLLM repository. With --peers (see peers.sh) PEFT runs the same recipe, and "paired" is factory
# started from PEFT's initial adapter with the rows in PEFT's order: a seed means another draw of both in each program.
set -euo pipefail
cd "$(dirname "$0")/.."
b1='' peers='' out=runs/bench-b1
while [ $# -gt 0 ]; do
    case $1 in
        --b1) b1=$2 ;;
        --peers) peers=$2 ;;
        --out) out=$2 ;;
        *) echo "bench_b1: unknown flag $1" >&2; exit 2 ;;
    esac
    shift 2
done
[ -d "$b1/sql-poc-expanded" ] || { echo "bench_b1: --b1 must name a folder with sql-poc-expanded" >&2; exit 2; }
rows=$b1/sql-poc-expanded
cargo build --release --quiet
factory=target/release/factory
base=$(scripts/fetch_base.sh)
[ ! -e "$out" ] || { echo "bench_b1: $out exists; remove it, or give another --out" >&2; exit 2; }
mkdir -p "$out"
if [ -n "$peers" ]; then
    hf=$(scripts/peers.sh "$peers")
    python=$peers/bin/python
fi

# try LOG COMMAND...: runs it, its words into the log; on failure the last of them are shown
try() {
    local log=$1
    shift
    "$@" >>"$log" 2>&1 || { tail -n 3 "$log" >&2; exit 1; }
}

# score WHO SEED: prints the scores of WHO's predictions
score() {
    local name=$out/$1-$2 line
    line=$("$factory" eval-sql "$name.preds.jsonl" --db-dir "$rows/schemas" --out "$name.rows.jsonl" | head -n 1)
    echo "$1 seed $2: $line" | tee -a "$out/scores.txt"
}

recipe=(--data "$rows/train.jsonl" --dora --rank 8 --alpha 16 --steps 300 --batch 1 --lr 5e-4 --clip 0)
for seed in 0 1 2; do
    name=$out/factory-$seed
    try "$name.log" "$factory" sft --base "$base" "${recipe[@]}" --seed "$seed" --out "$name"
    try "$name.log" "$factory" generate --base "$base" --lora "$name" --data "$rows/dev.jsonl" --out "$name.preds.jsonl"
    score factory "$seed"
    [ -n "$peers" ] || continue
    name=$out/peft-$seed
    try "$name.log" "$python" scripts/peft_sft.py --base "$hf" "${recipe[@]}" --seed "$seed" --out "$name" --save-start "$name-start"
    try "$name.log" "$python" scripts/hf_generate.py --base "$hf" --lora "$name" --data "$rows/dev.jsonl" --out "$name.preds.jsonl"
    score peft "$seed"
    # The same start and the same order of rows: what is left is the trainer.
    start=$name-start name=$out/paired-$seed
    try "$name.log" "$factory" sft --base "$base" --data "$start/rows.jsonl" --init "$start" --no-shuffle \
        --steps 300 --batch 1 --lr 5e-4 --clip 0 --out "$name"
    try "$name.log" "$factory" generate --base "$base" --lora "$name" --data "$rows/dev.jsonl" --out "$name.preds.jsonl"
    score paired "$seed"
done
for who in factory peft paired; do
    sed -n "s/^$who .*execution_accuracy=\([0-9.]*\).*/\1/p" "$out/scores.txt" |
        awk -v who=$who '{ s += $1 } END { if (NR) printf "%s: mean execution accuracy %.3f over %d seeds\n", who, s / NR, NR }'
done
