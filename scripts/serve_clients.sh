#!/usr/bin/env bash
# The official clients of OpenAI and Ollama against the server. They are fetched once, into target/clients.
#   scripts/serve_clients.sh [BINARY]
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${1:-}" ] || cargo build --quiet
binary=${1:-target/debug/factory}
clients=$(scripts/venv.sh clients openai==3.57.0 ollama==0.6.3)
"$clients/bin/python" scripts/serve_clients.py "$binary"
