"""PEFT adapters on the tiny models, with the loss and gradients of a training step, for scripts/goldens.py."""
import math
import shutil

import peft
import torch
from golden_models import load
from safetensors.torch import save_file

# The first two rows share their whole prompt, the third its first part: what a packed batch may share.
ROWS = [("t(id, n). count\n", "select 1"), ("t(id, n). count\n", "no"), ("t(id, n). max id\n", "select max(id);")]
EVERY = dict(r=2, lora_alpha=6, target_modules="q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split())
# PEFT takes the first key that matches, and saves the keys in alphabetical order: so they stand here in that order.
PATTERNS = dict(
    r=2, lora_alpha=6, target_modules=["q_proj", "k_proj", "o_proj", "down_proj"],
    rank_pattern={"layers.1.mlp.down_proj": 5, r"layers\.0\..*k_proj": 3, "q_proj": 4},
    alpha_pattern={"layers.1.mlp.down_proj": 7, "layers.1.self_attn.q_proj": 10, r"layers\.0\..*k_proj": 9, "q_proj": 2},
)
# Folder: (tiny model, fields of LoraConfig)
ADAPTERS = {
    "tiny-llama-lora": ("tiny-llama", EVERY),
    "tiny-llama-dora": ("tiny-llama", dict(EVERY, use_dora=True)),
    "tiny-qwen2-lora": ("tiny-qwen2", EVERY),
    "tiny-qwen2-dora": ("tiny-qwen2", dict(EVERY, use_dora=True)),
    "tiny-qwen3-lora": ("tiny-qwen3", EVERY),
    "tiny-qwen3-dora": ("tiny-qwen3", dict(EVERY, use_dora=True)),
    "tiny-qwen3-rslora": ("tiny-qwen3", dict(r=4, lora_alpha=3, use_rslora=True, target_modules=["q_proj", "v_proj", "down_proj"])),
    "tiny-llama-patterns": ("tiny-llama", PATTERNS),
}


def make_adapter(folder, base, settings):
    """Writes an adapter (B not zero, DoRA's magnitudes off their start) and the gradient of ROWS' loss of each of its tensors.

    Returns that loss, and the losses and norms of ten training steps.
    """
    shutil.rmtree(folder, ignore_errors=True)
    model, tok = load(folder.parent / base)
    torch.manual_seed(1)
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **settings))
    adapter = {k: w for k, w in model.named_parameters() if w.requires_grad}
    with torch.no_grad():
        for k, w in adapter.items():
            if "lora_B" in k:
                w.copy_(0.1 * torch.randn_like(w))
            if "magnitude" in k:
                w.mul_(1 + 0.1 * torch.randn_like(w))
    encode = lambda s: tok(s, add_special_tokens=False)["input_ids"]
    rows = [{"prompt": encode(x), "response": encode(y) + [tok.eos_token_id]} for x, y in ROWS]
    sums = [row_loss(model, row) for row in rows]
    labels = sum(len(row["response"]) for row in rows)
    loss = sum(sums) / labels
    loss.backward()
    model.peft_config["default"].base_model_name_or_path = base
    model.peft_config["default"].target_modules = sorted(settings["target_modules"])  # a set otherwise, whose order varies
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    in_file = lambda k: k.replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector")
    save_file({in_file(k): w.grad for k, w in adapter.items()}, folder / "gradients.safetensors", metadata={"format": "pt"})
    return {"rows": rows, "labels": labels, "loss": loss.item(), "row_loss_sums": [s.item() for s in sums],
            "training": train(model, list(adapter.values()), rows)}


def train(model, params, rows, steps=10, lr=0.01, clip=1.0):
    """Losses and gradient norms (before clipping) of AdamW steps on all rows, the learning rate falling as a cosine."""
    opt = torch.optim.AdamW(params, lr=lr, weight_decay=0.0)
    losses, norms = [], []
    for step in range(steps):
        opt.param_groups[0]["lr"] = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
        opt.zero_grad()
        loss = sum(row_loss(model, row) for row in rows) / sum(len(row["response"]) for row in rows)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(params, clip).item())
        opt.step()
        losses.append(loss.item())
    return {"lr": lr, "clip": clip, "losses": losses, "grad_norms": norms}


def row_loss(model, row):
    """Summed negative log-likelihood of a row's response; one row at a time, so nothing is padded."""
    ids = torch.tensor([row["prompt"] + row["response"]])
    at = len(row["prompt"]) - 1
    logits = model(input_ids=ids).logits[0, at:-1]
    return torch.nn.functional.cross_entropy(logits, ids[0, at + 1 :], reduction="sum")
