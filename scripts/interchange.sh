#!/usr/bin/env bash
# Converted adapters in the programs that they are for: mlx-lm (on the CPU) and llama.cpp, with SmolLM2 under adapters that are
# trained here for a few steps: LoRA, rsLoRA with ranks of its own, DoRA.
#   scripts/interchange.sh mlx|llama [READERS FOLDER] [PEERS FOLDER]      default: .readers .peers (several GB, see peers.sh)
# llama-cpp-python is compiled from source, about 10 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-}
readers=${2:-.readers}
peers=${3:-.peers}
case $what in
    mlx | llama) ;;
    *) echo "usage: scripts/interchange.sh mlx|llama [READERS FOLDER] [PEERS FOLDER]" >&2; exit 2 ;;
esac
python=$readers/bin/python
[ -x "$python" ] || python3 -m venv "$readers"
"$python" -m pip install --quiet --disable-pip-version-check \
    'mlx[cpu]==0.32.4' mlx-lm==0.32.2 gguf==0.19.0 llama-cpp-python==0.3.36 safetensors==0.8.0 numpy==2.4.6
hf=$(scripts/peers.sh "$peers")
gguf=$(scripts/fetch_base.sh "$peers/base")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --release --quiet
factory=target/release/factory
check() { "$python" scripts/interchange.py "$@"; }

# logits ADAPTER: every logit of the prompts of tests/goldens/smollm2.json under an adapter, computed here
logits() {
    FACTORY_BASE=$(realpath "$hf") FACTORY_LORA=$1 FACTORY_LOGITS_OUT=$work/logits \
        cargo test --quiet --test logits -- --include-ignored >/dev/null
}

recipe=(--base "$hf" --data evals/sql-expanded/train.jsonl --rank 8 --alpha 20 --steps 8 --batch 2 --lr 5e-3 --device cpu)
"$factory" sft "${recipe[@]}" --out "$work/lora" 2>/dev/null
"$factory" sft "${recipe[@]}" --rslora --rank-pattern q_proj=4 --alpha-pattern down_proj=3 --out "$work/rslora" 2>/dev/null
"$factory" sft "${recipe[@]}" --dora --out "$work/dora" 2>/dev/null

if [ "$what" = mlx ]; then
for kind in lora rslora dora; do
    echo "== mlx-lm: $kind"
    "$factory" adapter convert "$work/$kind" --to mlx --out "$work/$kind-mlx"
    logits "$work/$kind"
    check mlx --hf "$hf" --adapter "$work/$kind-mlx" --logits "$work/logits"
done
for kind in lora dora; do
    echo "== written by mlx-lm: $kind"
    check mlx-write --hf "$hf" --kind $kind --out "$work/from-mlx-$kind"
    logits "$work/from-mlx-$kind"
    check mlx --hf "$hf" --adapter "$work/from-mlx-$kind" --logits "$work/logits"
done
exit
fi

# Everything as f32, so that a merged model and a loaded adapter are the same numbers.
check gguf-base --gguf "$gguf" --hf "$hf" --out "$work/base.gguf"
for kind in lora rslora; do
    echo "== llama.cpp: $kind"
    "$factory" adapter convert "$work/$kind" --to gguf --out "$work/$kind.gguf"
    check gguf --adapter "$work/$kind" --converted "$work/$kind.gguf" --hf "$hf"
    "$factory" adapter merge --lora "$work/$kind" --out "$work/$kind-merged"
    check gguf-base --gguf "$gguf" --hf "$work/$kind-merged" --out "$work/$kind-merged.gguf"
    check prompts --out "$work/prompts.jsonl"
    "$factory" generate --base "$hf" --lora "$work/$kind" --data "$work/prompts.jsonl" --max-tokens 24 --out "$work/answers.jsonl"
    check llama --base "$work/base.gguf" --lora "$work/$kind.gguf" --merged "$work/$kind-merged.gguf" --answers "$work/answers.jsonl"
    rm -r "$work/$kind-merged" "$work/$kind-merged.gguf"
done
