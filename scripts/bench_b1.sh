#!/usr/bin/env bash
# Quality beside PEFT on the rows of the original report: SmolLM2-135M, DoRA rank 8 alpha 16, 300 steps of one row,
# lr 5e-4, seeds 0 1 2, scored by eval-sql on the 50 held-out rows.
#   scripts/bench_b1.sh --b1 DIR [--peers FOLDER] [--out FOLDER]
# DIR is the evals folder of the PostTrainLLM repository. With --peers (see peers.sh) PEFT runs the same recipe.
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
mkdir -p "$out"

score() {
    "$factory" eval-sql "$1" --db-dir "$rows/schemas" --out "${1%.preds.jsonl}.rows.jsonl" | head -n 1
}

for seed in 0 1 2; do
    name=$out/factory-$seed
    if [ ! -d "$name" ]; then
        "$factory" sft --base "$base" --data "$rows/train.jsonl" --out "$name" --dora --rank 8 --alpha 16 \
            --steps 300 --batch 1 --lr 5e-4 --seed "$seed" 2>"$name.log"
    fi
    "$factory" generate --base "$base" --lora "$name" --data "$rows/dev.jsonl" --out "$name.preds.jsonl" 2>>"$name.log"
    echo "factory seed $seed: $(score "$name.preds.jsonl")"
    [ -n "$peers" ] || continue
    hf=$(scripts/peers.sh "$peers")
    name=$out/peft-$seed
    if [ ! -d "$name" ]; then
        "$peers/bin/python" scripts/peft_sft.py --base "$hf" --data "$rows/train.jsonl" --out "$name" --dora --rank 8 --alpha 16 \
            --steps 300 --batch 1 --lr 5e-4 --seed "$seed" >"$name.log" 2>&1
    fi
    "$peers/bin/python" scripts/hf_generate.py --base "$hf" --lora "$name" --data "$rows/dev.jsonl" --out "$name.preds.jsonl" >>"$name.log" 2>&1
    echo "PEFT seed $seed: $(score "$name.preds.jsonl")"
done
