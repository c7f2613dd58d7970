#!/usr/bin/env bash
# Install llama.cpp as node-llama-cpp builds it, for every x86-64 processor, and print the folder of its shared libraries.
#   scripts/llama_cpp.sh [FOLDER]        default: .llama (730 MB; needs node and npm)
set -euo pipefail
dir=${1:-.llama}
if [ ! -d "$dir/node_modules/node-llama-cpp" ]; then
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir" node-llama-cpp@3.22.1 >&2
fi
echo "$dir/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64"
