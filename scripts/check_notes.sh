#!/usr/bin/env bash
# The SQL of the dialect notes against DuckDB, PostgreSQL (where it is installed), SQLite and sqlglot. The Python packages are fetched once, into
# target/notes.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(scripts/venv.sh notes duckdb==1.5.5 sqlglot==30.30.0)
"$tools/bin/python" scripts/check_notes.py
