#!/usr/bin/env bash
# The main job, end to end: build, fetch a small pretrained base, score it on evals/sql-expanded, fine-tune an adapter,
# score that, print both.   scripts/quickstart.sh [RUN FOLDER]        default: runs/quickstart
# BASE names another base (a folder, a .gguf file or a hub id such as Qwen/Qwen3-0.6B).
set -euo pipefail
cd "$(dirname "$0")/.."
run=${1:-runs/quickstart}
set_dir=evals/sql-expanded

# stage TEXT: says what begins, and the time since the start.
stage() {
    printf '== [%d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$1"
}

if [ -e "$run" ]; then
    echo "quickstart: $run exists; remove it, or name another folder" >&2
    exit 2
fi
stage "1/5 building the program (about 5 minutes the first time)"
cargo build --release
factory=target/release/factory
stage "2/5 fetching the base model"
base=${BASE:-$(scripts/fetch_base.sh)}
echo "base: $base"

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

stage "3/5 answering 50 held-out questions with the base alone, and scoring the answers"
score base
stage "4/5 fine-tuning an adapter on 108 rows (about 3 minutes on two cores)"
"$factory" sft --base "$base" --data "$set_dir/train.jsonl" --out "$run/adapter" --rank 16 --batch 2 --epochs 6
stage "5/5 answering the same questions with the adapter, and scoring the answers"
score candidate --lora "$run/adapter"
stage "done"

{
    echo "| model | execution accuracy | exact match | seen shapes | unseen shapes |"
    echo "|---|---|---|---|---|"
    for name in base candidate; do
        file=$run/$name.summary.txt
        echo "| $name | $(column "$file" sql execution_accuracy) | $(column "$file" sql exact_match) |" \
            "$(column "$file" 'sql\[seen-shape\]' execution_accuracy) | $(column "$file" 'sql\[unseen-shape\]' execution_accuracy) |"
    done
} | tee "$run/table.md"
echo "everything is in $run"
