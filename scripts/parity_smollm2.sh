#!/usr/bin/env bash
# Compares every logit of the SmolLM2 base, read from its GGUF here and by transformers there, on the 20 prompts of
# tests/goldens/smollm2.json.   scripts/parity_smollm2.sh [PEERS FOLDER]        default: .peers (several GB, see peers.sh)
set -euo pipefail
cd "$(dirname "$0")/.."
peers=${1:-.peers}
hf=$(scripts/peers.sh "$peers")
logits=$(mktemp)
trap 'rm -f "$logits"' EXIT
FACTORY_BASE=$(scripts/fetch_base.sh) FACTORY_LOGITS_OUT=$logits \
    cargo test --quiet --test smollm2 -- --include-ignored --nocapture
"$peers/bin/python" scripts/parity_smollm2.py --hf "$hf" --logits "$logits"
