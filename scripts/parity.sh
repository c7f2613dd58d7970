#!/usr/bin/env bash
# Compares every logit here with those of transformers, or of PEFT under an adapter, on the 20 prompts of
# tests/goldens/smollm2.json.   scripts/parity.sh smollm2|qwen3|peft [PEERS FOLDER]      default: .peers (several GB, see peers.sh)
#   smollm2   SmolLM2, from its GGUF file here and as converted by gguf_to_hf.py there
#   qwen3     random weights of Qwen3-0.6B's full shape, with its own tokenizer (1.2 GB in the peers' folder)
#   peft      SmolLM2 under adapters that factory wrote and that PEFT wrote: LoRA, DoRA, rsLoRA
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-}
peers=${2:-.peers}
python=$peers/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# compare BASE HF [ADAPTER]: the base here, its transformers folder there
compare() {
    FACTORY_BASE=$(realpath "$1") FACTORY_LORA=${3:-} FACTORY_LOGITS_OUT=$work/logits \
        cargo test --quiet --test logits -- --include-ignored >/dev/null
    "$python" scripts/parity.py --hf "$2" ${3:+--lora "$3"} --logits "$work/logits"
}

smollm2=$(scripts/peers.sh "$peers")
case $what in
    smollm2) compare "$(scripts/fetch_base.sh "$peers/base")" "$smollm2" ;;
    qwen3)
        base=$peers/qwen3-0.6b-random
        [ -f "$base/tokenizer.json" ] || # written last
            "$python" scripts/random_base.py --shape qwen3-0.6b --tokenizer "$(scripts/fetch_qwen3_tokenizer.sh)" --out "$base"
        compare "$base" "$base"
        ;;
    peft)
        recipe=(--data evals/sql-expanded/train.jsonl --rank 8 --alpha 20 --steps 8 --batch 2 --lr 5e-3)
        for flag in '' --dora --rslora; do
            kind=${flag:---lora}
            "$python" scripts/peft_sft.py --base "$smollm2" "${recipe[@]}" $flag --out "$work/peft$kind" >/dev/null
            cargo run --quiet -- sft --base "$smollm2" "${recipe[@]}" $flag --device cpu --out "$work/factory$kind" >/dev/null
            for writer in peft factory; do
                compare "$smollm2" "$smollm2" "$work/$writer$kind"
            done
        done
        ;;
    *) echo "usage: scripts/parity.sh smollm2|qwen3|peft [PEERS FOLDER]" >&2; exit 2 ;;
esac
