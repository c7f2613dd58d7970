#!/usr/bin/env bash
# A run's packages as GGUF in llama.cpp, Ollama's engine: made here in f16, q8_0 and q4_0, asked there as their Modelfile says, greedily;
# the answers counted against the run's own, and the run's gates scored on them.
#   scripts/package_check.sh RUN [PROMPTS] [READER FOLDER]      default: 20 prompts, .llama (730 MB; needs node and npm)
# All rows are answered for the gates; PROMPTS is how many of them must be the same in f16. Call it where the run was made.
set -euo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
run=${1:?usage: scripts/package_check.sh RUN [PROMPTS] [READER FOLDER]}
prompts=${2:-20}
reader=$(realpath -m "${3:-.llama}")
factory=${FACTORY:-$scripts/../target/release/factory}
[ -n "${FACTORY:-}" ] || cargo build --release --quiet --manifest-path "$scripts/../Cargo.toml"
"$scripts/llama_cpp.sh" "$reader" >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for kind in f16 q8_0 q4_0; do
    echo "== $kind"
    "$factory" package "$run" --gguf $kind --ollama --allow-not-shipped --out "$work/$kind" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
    "$factory" package check "$work/$kind"
    NODE_PATH=$reader/node_modules FACTORY=$factory node "$scripts/package_check.mjs" "$run" "$work/$kind" "$prompts" $kind
    rm "$work/$kind/model.gguf"
done
