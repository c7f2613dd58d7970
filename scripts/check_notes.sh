#!/usr/bin/env bash
# The SQL of the dialect notes against DuckDB, PostgreSQL (where it is installed), SQLite and sqlglot. The Python packages are fetched once, into
# target/notes.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=target/notes
if [ ! -e "$tools/done" ]; then
    rm -rf "$tools"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check duckdb==1.5.5 sqlglot==30.30.0
    touch "$tools/done"
fi
"$tools/bin/python" scripts/check_notes.py
