#!/usr/bin/env bash
# Install the peers (transformers, PEFT) at the versions the golden numbers were made with, and convert the base for them.
#   scripts/peers.sh [FOLDER]        default: .peers; several GB, so not for CI; prints the base's folder
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-.peers}
python=$dir/bin/python

[ -x "$python" ] || python3 -m venv "$dir"
"$python" -m pip install --quiet --disable-pip-version-check \
    torch==2.15.0 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 gguf==0.19.0 \
    tokenizers==0.23.3 safetensors==0.8.0 numpy==2.4.6 >&2
if [ ! -f "$dir/smollm2/tokenizer.json" ]; then # written last
    gguf=$("$here/fetch_base.sh" "$dir/base")
    "$python" "$here/gguf_to_hf.py" "$gguf" "$dir/smollm2" >&2
fi
echo "$dir/smollm2"
