#!/usr/bin/env bash
# One base, two specialists: what blending their weights does to each, and what routing keeps. Trains both, fits the router
# from their training prompts, and measures the base, five blends and routing on both gates.
#   scripts/routed.sh [--b1 DIR] [--out FOLDER]        default: evals/sql-mixed into runs/routed, some ten minutes
# DIR is the evals folder of the PostTrainLLM repository: its synthetic and public rows and mixed114, some 20 minutes.
# BASE names another base.
set -euo pipefail
cd "$(dirname "$0")/.."
b1='' out=runs/routed
while [ $# -gt 0 ]; do
    case $1 in
        --b1) b1=$2 ;;
        --out) out=$2 ;;
        *) echo "routed: unknown flag $1" >&2; exit 2 ;;
    esac
    shift 2
done
[ ! -e "$out" ] || { echo "routed: $out exists; remove it, or give another --out" >&2; exit 2; }
cargo build --release --quiet
factory=target/release/factory
base=${BASE:-$(scripts/fetch_base.sh)}
mkdir -p "$out"
start=$SECONDS

if [ -z "$b1" ]; then
    names=(expanded created)
    sets=(evals/sql-expanded/train.jsonl evals/sql-mixed/created-train.jsonl)
    recipes=("--batch 2 --epochs 6" "--batch 2 --epochs 8")
    gates=evals/sql-mixed/gates.toml
else
    b1=$(realpath "$b1")
    names=(synthetic public)
    sets=("$b1/sql-poc-expanded/train.jsonl" "$b1/sql-public-bmc2-train-v4-joinweighted/train.jsonl")
    recipes=("--batch 2 --epochs 6" "--batch 8 --epochs 1")
    gates=$out/gates.toml
    cat >"$gates" <<EOF
[[gate]]
name = "synthetic50"
data = "$b1/sql-routed-mixed-v1/mixed114.jsonl"
where = { route = "synthetic" }
mode = "factory"
metric = "execution_accuracy"
min = 0.7
db_dir = "$b1/sql-poc-expanded/schemas"

[[gate]]
name = "public64"
data = "$b1/sql-routed-mixed-v1/mixed114.jsonl"
where = { route = "public" }
mode = "public-exact"
metric = "exact_match"
min = 0.344
EOF
fi

fit=() loras=()
for i in 0 1; do
    echo "== fine-tune ${names[i]}"
    # shellcheck disable=SC2086 # a recipe is several words
    "$factory" sft --base "$base" --data "${sets[i]}" --rank 16 ${recipes[i]} --out "$out/${names[i]}"
    fit+=(--adapter "${names[i]}=${sets[i]}")
    loras+=(--lora "${names[i]}=$out/${names[i]}")
done
echo "== fit the router"
"$factory" route fit "${fit[@]}" --out "$out/router.json"
echo "== route by prompts alone: the mixed rows, and prompts of neither family"
python3 - "$gates" "$out/prompts.jsonl" <<'EOF'
import json
import sys
import tomllib
from pathlib import Path

gates, out = map(Path, sys.argv[1:])
files = {gates.parent / gate["data"] for gate in tomllib.loads(gates.read_text())["gate"]}
rows = [json.loads(line) for file in sorted(files) for line in file.open()]
with out.open("w") as f:
    f.writelines(json.dumps({"prompt": row["prompt"]}) + "\n" for row in rows)
EOF
for rows in "$out/prompts.jsonl" evals/sql-mixed/neither.jsonl; do
    "$factory" route --router "$out/router.json" --data "$rows" --routes-out "$out/routes-$(basename "$rows")"
done
echo "== measure"
"$factory" sweep --base "$base" --gates "$gates" "${loras[@]}" --weights 0,0 --pairs 5 --route "$out/router.json" --out "$out/sweep" ||
    [ $? = 3 ] # no point passes every gate: that is a finding too
echo "everything is in $out; $((SECONDS - start)) s"
