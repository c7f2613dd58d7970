#!/usr/bin/env bash
# Install OpenVINO GenAI into a Python environment of its own and print the folder.
#   scripts/openvino.sh [FOLDER]        default: .openvino (300 MB)
set -euo pipefail
dir=${1:-.openvino}
if [ ! -d "$dir/openvino_genai-2026.4.1.0" ]; then # made last
    python3 -m venv "$dir"
    "$dir/bin/python" -m pip install --quiet --disable-pip-version-check \
        openvino-genai==2026.4.1.0 openvino==2026.4.1 openvino-tokenizers==2026.4.1.0 numpy==2.4.6 >&2
    mkdir "$dir/openvino_genai-2026.4.1.0"
fi
echo "$dir"
