#!/usr/bin/env bash
# What batches of one schema do to the gate: the synthetic rows at batch 8, shuffled and with --group-prefix, seeds 0 1 2, scored by
# eval-sql on the 50 held-out rows. Also the losses of the first 20 steps on the same batches, with prefixes shared and not.
#   scripts/bench_group_prefix.sh --b1 DIR [--out FOLDER]
# DIR is the evals folder of the PostTrainLLM repository.
set -euo pipefail
cd "$(dirname "$0")/.."
b1='' out=runs/group-prefix
while [ $# -gt 0 ]; do
    case $1 in
        --b1) b1=$2 ;;
        --out) out=$2 ;;
        *) echo "bench_group_prefix: unknown flag $1" >&2; exit 2 ;;
    esac
    shift 2
done
rows=$b1/sql-poc-expanded
[ -d "$rows" ] || { echo "bench_group_prefix: --b1 must name a folder with sql-poc-expanded" >&2; exit 2; }
[ ! -e "$out" ] || { echo "bench_group_prefix: $out exists; remove it, or give another --out" >&2; exit 2; }
cargo build --release --quiet
factory=target/release/factory
base=$(scripts/fetch_base.sh)
mkdir -p "$out"

sft() { "$factory" sft --base "$base" --data "$rows/train.jsonl" --batch 8 --rank 16 "$@" >>"$out/log" 2>&1 || { tail -n 3 "$out/log" >&2; exit 1; }; }

sft --steps 20 --no-shuffle --out "$out/shared"
sft --steps 20 --no-shuffle --no-share-prefix --out "$out/whole"
python3 - "$out/shared/metrics.jsonl" "$out/whole/metrics.jsonl" <<'END'
import json, sys
a, b = ([json.loads(line)["loss"] for line in open(f)] for f in sys.argv[1:])
print(f"20 steps on the same batches, shared and whole: largest difference of a loss {max(abs(x - y) for x, y in zip(a, b)):.1e}")
END
for seed in 0 1 2; do
    for way in shuffled grouped; do
        name=$out/$way-$seed flags=()
        [ $way = shuffled ] || flags=(--group-prefix)
        start=$SECONDS
        sft --epochs 12 --seed "$seed" --out "$name" "${flags[@]}"
        took=$((SECONDS - start))
        "$factory" generate --base "$base" --lora "$name" --data "$rows/dev.jsonl" --out "$name.preds.jsonl" >>"$out/log" 2>&1
        line=$("$factory" eval-sql "$name.preds.jsonl" --db-dir "$rows/schemas" --out "$name.rows.jsonl" | head -n 1)
        echo "$way seed $seed, trained in $took s: $line"
    done
done
