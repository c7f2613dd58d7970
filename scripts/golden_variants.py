"""Tiny models under other configs (rope scaling, windows, layers without rope, biases), for scripts/goldens.py.

A variant has the weights of another tiny model: `variants.json` holds its config.json as people have it, the logits and
greedy tokens of transformers, and the gradients of PEFT.
"""
import json
import shutil
import tempfile
from itertools import takewhile
from pathlib import Path

import peft
import torch
from golden_adapters import row_loss
from golden_models import every_position, greedy, load
from safetensors.torch import load_file, save_file

# 55 bytes, so tokens: longer than every window here, and past what a scaled model began with.
TEXT = "t(id, name, city). Which ids are in Oslo? select id fro"
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
# Name: (tiny model, its fields that change; None takes one away)
VARIANTS = {
    "llama3": ("tiny-llama", dict(rope_parameters=None, rope_theta=1e5, rope_scaling=LLAMA3)),
    "llama-linear": ("tiny-llama", dict(rope_parameters=dict(rope_type="linear", rope_theta=1e5, factor=4.0))),
    "llama-biases": ("tiny-llama", dict(attention_bias=True, mlp_bias=True)),
    "llama-yarn": ("tiny-llama", dict(rope_parameters=None, rope_theta=1e5, rope_scaling=dict(
        type="yarn", factor=4.0, original_max_position_embeddings=64))),
    "qwen3-yarn": ("tiny-qwen3", dict(rope_theta=None, rope_parameters=dict(
        rope_type="yarn", rope_theta=1e6, factor=8.0, original_max_position_embeddings=16, mscale=2.0, mscale_all_dim=0.5,
        beta_fast=8, beta_slow=2, truncate=False))),
    "qwen2-yarn-attention": ("tiny-qwen2", dict(rope_scaling=dict(rope_type="yarn", factor=None, attention_factor=1.5),
                                                original_max_position_embeddings=64)),
    "mistral": ("tiny-llama", dict(model_type="mistral", architectures=["MistralForCausalLM"], sliding_window=None)),
    "mistral-window": ("tiny-llama", dict(model_type="mistral", architectures=["MistralForCausalLM"], sliding_window=7)),
    "qwen2-window": ("tiny-qwen2", dict(use_sliding_window=True, sliding_window=9, max_window_layers=1, layer_types=None)),
    "smollm3": ("tiny-llama", dict(model_type="smollm3", architectures=["SmolLM3ForCausalLM"], rope_parameters=None, rope_theta=1e5,
                                   rope_scaling=None, no_rope_layer_interval=2, no_rope_layers=[1, 0], sliding_window=None,
                                   use_sliding_window=False)),
}
BIASES = "tiny-llama-biases.safetensors"


def variants(goldens):
    make_biases(goldens / "tiny-llama" / "model.safetensors", goldens / BIASES)
    return {name: variant(goldens, base, changes) for name, (base, changes) in VARIANTS.items()}


def make_biases(weights, path):
    """A bias for every projection, for the variant that has them."""
    torch.manual_seed(3)
    rows = {name: w.shape[0] for name, w in load_file(weights).items() if name.endswith("_proj.weight")}
    biases = {name.replace(".weight", ".bias"): (0.5 * torch.randn(n)).to(torch.bfloat16) for name, n in rows.items()}
    save_file(biases, path, metadata={"format": "pt"})


def variant(goldens, base, changes):
    config = json.loads((goldens / base / "config.json").read_text())
    config.update(changes)
    for key in [key for key, value in changes.items() if value is None and not key.startswith(("sliding", "rope_scaling"))]:
        del config[key]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        shutil.copytree(goldens / base, folder, dirs_exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config))
        if config.get("mlp_bias"):
            weights = load_file(folder / "model.safetensors") | load_file(goldens / BIASES)
            save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        model, tok = load(folder)
        ids = tok(TEXT, add_special_tokens=False)["input_ids"]
        out, gap = greedy(model, ids, 12)
        assert gap > 0.01, (base, gap)
        ends = model.generation_config.eos_token_id
        out = list(takewhile(lambda token: token not in (ends if isinstance(ends, list) else [ends]), out))
        return {"base": base, "config": config, "prompt": {"ids": ids, "greedy": out, "gap": gap, **last_positions(model, ids)},
                "step": step(model, tok)}


def last_positions(model, ids):
    """Logits of every sixteenth id, at every fourth position."""
    every = every_position(model, ids)
    return {"positions": list(range(3, len(ids), 4)), "logit_ids": every["logit_ids"][::4],
            "logits": [row[::4] for row in every["logits"][3::4]]}


def step(model, tok):
    """The gradient of two rows' loss of a LoRA of rank 1 on q, k and v, whose values follow from their place."""
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=1, lora_alpha=2, target_modules=["q_proj", "k_proj", "v_proj"]))
    adapter = {k: w for k, w in model.named_parameters() if w.requires_grad}
    with torch.no_grad():
        for w in adapter.values():
            w.copy_(place_values(w.shape))
    encode = lambda s: tok(s, add_special_tokens=False)["input_ids"]
    rows = [{"prompt": encode(TEXT[:30] + x), "response": encode(TEXT[30:])} for x in ["", "a"]]
    labels = sum(len(row["response"]) for row in rows)
    loss = sum(row_loss(model, row) for row in rows) / labels
    loss.backward()
    name = lambda k: k.removeprefix("base_model.model.model.").replace(".default.weight", "")
    return {"rows": rows, "labels": labels, "loss": loss.item(),
            "gradients": {name(k): [float(f"{v:.6g}") for v in w.grad.flatten().tolist()] for k, w in adapter.items()}}


def place_values(shape):
    n = shape[0] * shape[1]
    return ((torch.arange(n) * 37 % 101) / 500 - 0.1).reshape(shape)
