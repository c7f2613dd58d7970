#!/usr/bin/env bash
# The texts of mcp-alchemy's tools beside its own. It is fetched once, into target/alchemy.
#   scripts/mcp_alchemy.sh [BINARY]
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${1:-}" ] || cargo build --quiet
binary=${1:-target/debug/factory}
tools=$(scripts/venv.sh alchemy mcp-alchemy==2026.10.15.202659 psycopg2-binary==2.9.13)
scripts/install_postgres.sh
"$tools/bin/python" scripts/mcp_alchemy.py "$binary"
