#!/usr/bin/env bash
# A Python environment with these packages, made once in target/NAME, and anew where other packages are wanted. Prints its folder.
#   scripts/venv.sh NAME PACKAGE==VERSION...
set -euo pipefail
cd "$(dirname "$0")/.."
folder=target/$1
shift
if [ "$(cat "$folder/done" 2>/dev/null)" != "$*" ]; then
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$@" >&2
    echo "$*" >"$folder/done"
fi
echo "$folder"
