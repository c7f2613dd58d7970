#!/usr/bin/env bash
# Other programs' clients of the Model Context Protocol against `factory mcp serve`: the official ones for Python and TypeScript, and the
# inspector's command line. They are fetched once, into target/mcp.
#   scripts/mcp_clients.sh [BINARY]
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${1:-}" ] || cargo build --quiet
binary=$(realpath "${1:-target/debug/factory}")
clients=$(scripts/venv.sh mcp mcp==2.3.0)
if [ ! -e "$clients/node_modules/done" ]; then
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$clients" @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/inspector@2.12.0
    touch "$clients/node_modules/done"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 - "$work/shop.sqlite" <<'SQL'
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as shop:
    shop.executescript("CREATE TABLE buyers (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO buyers VALUES (1, 'Ada'), (2, NULL);")
SQL
"$clients/bin/python" scripts/mcp_clients.py "$binary" "$work/shop.sqlite"
cp scripts/mcp_clients.mjs "$clients/"
node "$clients/mcp_clients.mjs" "$binary" "$work/shop.sqlite"
inspect=("$clients/node_modules/.bin/mcp-inspector" --cli "$binary" mcp serve --db "$work/shop.sqlite")
"${inspect[@]}" --method tools/list 2>/dev/null | grep -q '"sql_execution"'
"${inspect[@]}" --method tools/call --tool-name sql_execution --tool-arg connectionId=default --tool-arg 'sql=SELECT name FROM buyers' 2>/dev/null | grep -q 'Ada'
echo "inspector: lists and calls"
