#!/usr/bin/env bash
# Scores the frozen predictions of evals/sql-poc and checks both summary lines.
# FACTORY names a built binary; without it the release build is used.
set -euo pipefail
cd "$(dirname "$0")/.."

check() {
    local actual
    actual=$(${FACTORY:-cargo run --release --quiet --} eval-sql "evals/sql-poc/$1" | head -n 1)
    if [[ "$actual" != "$2" ]]; then
        printf '%s: expected "%s", got "%s"\n' "$1" "$2" "$actual" >&2
        exit 1
    fi
    printf '%s: %s\n' "$1" "$actual"
}

check baseline-preds.jsonl "sql: execution_accuracy=0.667 exact_match=0.167 (n=6)"
check candidate-preds.jsonl "sql: execution_accuracy=0.833 exact_match=0.833 (n=6)"
