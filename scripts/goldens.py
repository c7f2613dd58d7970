"""Make tests/goldens/: the numbers of transformers and PEFT that the Rust tests compare with.

    python scripts/goldens.py                       tiny models, their logits, one training step of each adapter
    python scripts/goldens.py --smollm2 FOLDER      also smollm2.json (FOLDER from scripts/gguf_to_hf.py)

Everything is float32 on the CPU with eager attention, from fixed seeds.
"""
import argparse
import json
import math
import shutil
from pathlib import Path

import peft
import torch
import transformers
from golden_prompts import PROMPTS
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PreTrainedTokenizerFast, Qwen3Config

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # ids 256, 257, 258; a byte's id is the byte
SHARED = dict(num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=259, eos_token_id=258,
              max_position_embeddings=512, attn_implementation="eager")
TINY = {
    "tiny-llama": LlamaConfig(hidden_size=64, intermediate_size=80, head_dim=16, tie_word_embeddings=True, bos_token_id=257,
                              pad_token_id=258, rms_norm_eps=1e-5, rope_parameters=dict(rope_type="default", rope_theta=1e5), **SHARED),
    "tiny-qwen3": Qwen3Config(hidden_size=32, intermediate_size=96, head_dim=32, tie_word_embeddings=False, bos_token_id=256,
                              pad_token_id=256, rms_norm_eps=1e-6, rope_parameters=dict(rope_type="default", rope_theta=1e6), **SHARED),
}
TINY_PROMPTS = ["select", "id > 42", "<|im_start|>é = 'ß'\n"]
# The first two rows share their whole prompt, the third its first part: what a packed batch may share.
TINY_ROWS = [("t(id, n). count\n", "select 1"), ("t(id, n). count\n", "no"), ("t(id, n). max id\n", "select max(id);")]
SEED = {"llama": 1, "qwen3": 7}  # chosen so that no two best logits come close along the greedy paths
TARGETS = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "tests" / "goldens")
    p.add_argument("--smollm2", type=Path, help="float32 folder of SmolLM2-135M-Instruct")
    a = p.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    a.out.mkdir(parents=True, exist_ok=True)
    for name, config in TINY.items():
        make_tiny(a.out / name, config)
        model, tok = load(a.out / name)
        logits = [tiny_logits(model, tok, text) for text in TINY_PROMPTS]
        write(a.out / f"{name}.json", {"prompts": logits})
        for dora in (False, True):
            make_step(a.out, name, dora)
    if a.smollm2:
        model, tok = load(a.smollm2)
        write(a.out / "smollm2.json", {"prompts": [sampled_logits(model, tok, text) for text in PROMPTS]})


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    return model, AutoTokenizer.from_pretrained(folder)


def write(path, content):
    versions = {"script": "scripts/goldens.py", "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
    path.write_text(json.dumps({**versions, **content}, ensure_ascii=False, separators=(",", ":")) + "\n")


def make_tiny(folder, config):
    """A transformers folder with random weights, scaled by fan-in so that the logits lie well apart."""
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(SEED[config.model_type])
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, w in model.named_parameters():
            if w.dim() == 1:
                w.copy_(1 + 0.2 * torch.randn_like(w))
            else:
                gain = 0.5 * w.shape[1] ** 0.5 if "embed" in name or "lm_head" in name else 2.0
                w.copy_(gain / w.shape[1] ** 0.5 * torch.randn_like(w))
    if config.model_type == "qwen3":  # as the published models: two ends of text
        model.generation_config.eos_token_id = [258, 256]
    model.save_pretrained(folder)
    tok = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(byte_characters())}, merges=[]))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens(SPECIAL)
    PreTrainedTokenizerFast(tokenizer_object=tok, eos_token="<|im_end|>").save_pretrained(folder)
    if config.model_type == "qwen3":
        published_style(folder / "config.json")


def byte_characters():
    """GPT-2's printable stand-in for every byte, in byte order."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    extra = iter(range(256, 512))
    return [chr(b) if b in kept else chr(next(extra)) for b in range(256)]


def published_style(path):
    """Name rope's base and the dtype as transformers 4 did: the style of the published Qwen3 folders."""
    config = json.loads(path.read_text())
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def forward(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0]


def greedy(model, ids, count, stop=None):
    """The next `count` best tokens (up to and with `stop`), and the smallest gap between the best two logits."""
    out, gap = [], float("inf")
    while len(out) < count and (not out or out[-1] != stop):
        top = forward(model, ids + out)[-1].topk(2)
        gap = min(gap, (top.values[0] - top.values[1]).item())
        out.append(top.indices[0].item())
    return out, round(gap, 5)


def tiny_logits(model, tok, text):
    ids = tok(text, add_special_tokens=False)["input_ids"]
    out, gap = greedy(model, ids, 12)
    assert gap > 0.05 and 258 not in out, (text, gap, out)
    logits = [[round(v, 5) for v in row] for row in forward(model, ids).tolist()]
    return {"text": text, "ids": ids, "greedy": out, "gap": gap, "logits": logits}


def sampled_logits(model, tok, text):
    ids = tok(text, add_special_tokens=False)["input_ids"]
    out, gap = greedy(model, ids, 24, stop=tok.eos_token_id)
    last = forward(model, ids)[-1]
    spaced = torch.arange(0, len(last), -(-len(last) // 40)).tolist()
    picked = list(dict.fromkeys(last.topk(16).indices.tolist() + spaced))
    return {"text": text, "ids": ids, "greedy": out, "greedy_text": tok.decode(out), "gap": gap,
            "logit_ids": picked, "logits": [round(last[i].item(), 5) for i in picked]}


def make_step(out, name, dora):
    """An adapter (B not zero, DoRA's magnitudes off their start), the loss of TINY_ROWS, and each tensor's gradient."""
    model, tok = load(out / name)
    torch.manual_seed(1)
    config = peft.LoraConfig(r=4, lora_alpha=12, use_dora=dora, target_modules=TARGETS, task_type="CAUSAL_LM")
    model = peft.get_peft_model(model, config)
    adapter = {k: w for k, w in model.named_parameters() if w.requires_grad}
    with torch.no_grad():
        for k, w in adapter.items():
            if "lora_B" in k:
                w.copy_(0.1 * torch.randn_like(w))
            if "magnitude" in k:
                w.mul_(1 + 0.1 * torch.randn_like(w))
    encode = lambda s: tok(s, add_special_tokens=False)["input_ids"]
    rows = [{"prompt": encode(x), "response": encode(y) + [tok.eos_token_id]} for x, y in TINY_ROWS]
    sums = [row_loss(model, row) for row in rows]
    labels = sum(len(row["response"]) for row in rows)
    loss = sum(sums) / labels
    loss.backward()
    folder = out / f"{name}-{'dora' if dora else 'lora'}"
    shutil.rmtree(folder, ignore_errors=True)
    model.peft_config["default"].base_model_name_or_path = name
    model.peft_config["default"].target_modules = sorted(TARGETS)  # a set otherwise, whose order varies
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    in_file = lambda k: k.replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector")
    save_file({in_file(k): w.grad for k, w in adapter.items()}, folder / "gradients.safetensors", metadata={"format": "pt"})
    write(folder / "step.json", {"rows": rows, "labels": labels, "loss": loss.item(), "row_loss_sums": [s.item() for s in sums],
                                 "training": train(model, list(adapter.values()), rows)})


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


if __name__ == "__main__":
    main()
