#!/usr/bin/env bash
# The main job, end to end: fetch a small pretrained base, build, and run evals/quickstart.toml with it: score the base, fine-tune an
# adapter, score that, decide, report.   scripts/quickstart.sh [FOLDER OF RUNS]        default: runs
# BASE names another base (a folder, a .gguf file or a hub id such as Qwen/Qwen3-0.6B).
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-runs}

# step TEXT: says what begins, and the time since the start.
step() {
    printf '== [%d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$1"
}

# What the machine lacks for it is known before the long build.
step "1/3 fetching the base model"
base=${BASE:-$(scripts/fetch_base.sh)}
echo "base: $base"
step "2/3 building the program (about 5 minutes the first time)"
cargo build --release
step "3/3 running evals/quickstart.toml (2 to 4 minutes on two cores)"
target/release/factory run evals/quickstart.toml --set base="$base" --runs "$runs"
step "done"
