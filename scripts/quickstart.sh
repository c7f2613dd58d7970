#!/usr/bin/env bash
# The main job, end to end: build, fetch a small pretrained base, score it on evals/sql-expanded, fine-tune an adapter,
# score that, print both.   scripts/quickstart.sh [RUN FOLDER]        default: runs/quickstart
# BASE names another base (a folder, a .gguf file or a hub id such as Qwen/Qwen3-0.6B).
set -euo pipefail
cd "$(dirname "$0")/.."
run=${1:-runs/quickstart}
set_dir=evals/sql-expanded
start=$SECONDS

if [ -e "$run" ]; then
    echo "quickstart: $run exists; remove it, or name another folder" >&2
    exit 2
fi
cargo build --release --quiet
factory=target/release/factory
base=${BASE:-$(scripts/fetch_base.sh)}

# score NAME [--lora DIR]: answers the dev rows and scores the answers into RUN/NAME.*
score() {
    local name=$1
    shift
    "$factory" generate --base "$base" "$@" --data "$set_dir/dev.jsonl" --out "$run/$name.preds.jsonl"
    "$factory" eval-sql "$run/$name.preds.jsonl" --db-dir "$set_dir/schemas" --out "$run/$name.rows.jsonl" \
        --prefs-out "$run/$name.prefs.jsonl" | tee "$run/$name.summary.txt"
}

# column FILE PREFIX METRIC: the number that a summary line gives
column() {
    sed -n "s/^$2: .*$3=\([0-9.]*\).*/\1/p" "$1"
}

echo "== base" && score base
echo "== fine-tune"
"$factory" sft --base "$base" --data "$set_dir/train.jsonl" --out "$run/adapter" --rank 16 --batch 2 --epochs 6
echo "== candidate" && score candidate --lora "$run/adapter"

{
    echo "| model | execution accuracy | exact match | seen shapes | unseen shapes |"
    echo "|---|---|---|---|---|"
    for name in base candidate; do
        file=$run/$name.summary.txt
        echo "| $name | $(column "$file" sql execution_accuracy) | $(column "$file" sql exact_match) |" \
            "$(column "$file" 'sql\[seen-shape\]' execution_accuracy) | $(column "$file" 'sql\[unseen-shape\]' execution_accuracy) |"
    done
} | tee "$run/table.md"
echo "everything is in $run; $((SECONDS - start)) s"
