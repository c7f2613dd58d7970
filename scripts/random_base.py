"""Write a transformers folder of random bfloat16 weights in a published model's shape: parity and speed without its download.

    python scripts/random_base.py --shape qwen3-0.6b --tokenizer "$(scripts/fetch_qwen3_tokenizer.sh)" --out DIR [--seed 0]
"""
import argparse
import shutil
from pathlib import Path

import torch
from golden_models import published_style
from transformers import AutoModelForCausalLM, Qwen3Config

SHAPES = {
    "qwen3-0.6b": Qwen3Config(
        vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16,
        num_key_value_heads=8, head_dim=128, tie_word_embeddings=True, rms_norm_eps=1e-6, max_position_embeddings=40960,
        rope_parameters=dict(rope_type="default", rope_theta=1e6), bos_token_id=151643, eos_token_id=151645, dtype="bfloat16"),
}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shape", required=True, choices=SHAPES)
    p.add_argument("--tokenizer", required=True, type=Path, help="folder with the model's tokenizer.json")
    p.add_argument("--out", required=True, type=Path)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    config = SHAPES[a.shape]
    torch.manual_seed(a.seed)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, w in model.named_parameters():
            w.copy_(random_weight(name, w.shape, config.num_hidden_layers))
    model.generation_config.eos_token_id = [151645, 151643]  # as published
    model.save_pretrained(a.out)
    published_style(a.out / "config.json")
    for name in ["tokenizer_config.json", "tokenizer.json"]:
        shutil.copyfile(a.tokenizer / name, a.out / name)
    print(a.out)


def random_weight(name, shape, layers):
    """Every product keeps the size of its input, all layers together add about as much again, and logits are about 1."""
    if len(shape) == 1:
        return 1 + 0.1 * torch.randn(shape)
    if "embed" in name:
        return shape[1] ** -0.5 * torch.randn(shape)
    out = "o_proj" in name or "down_proj" in name
    return shape[1] ** -0.5 * ((2 * layers) ** -0.5 if out else 1.0) * torch.randn(shape)


if __name__ == "__main__":
    main()
