"""LoRA or DoRA fine-tuning with PEFT on {instruction, response} rows: the peer of `factory sft`.

The recipe is ours: `instruction + newline + response + eos`, loss on the response and eos, AdamW, 3% warm-up, then cosine.
The last line printed is one JSON object.
"""
import argparse
import json
import math
import random
import sys
import time
from pathlib import Path

import torch
from memory import peak_gb
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

TARGETS = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj".split()
IGNORED = -100


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--base", required=True, help="transformers folder")
    p.add_argument("--data", required=True, type=Path, help="rows, one JSON object a line")
    p.add_argument("--out", help="adapter folder to write")
    p.add_argument("--rank", type=int, default=8)
    p.add_argument("--alpha", type=float, default=16)
    p.add_argument("--dora", action="store_true")
    p.add_argument("--rslora", action="store_true")
    p.add_argument("--steps", type=int, default=300)
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--lr", type=float, default=5e-4)
    p.add_argument("--clip", type=float, default=0.0, help="largest gradient norm; 0 is off")
    p.add_argument("--max-seq", type=int, default=512)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--save-start", type=Path, help="also write the untrained adapter and the rows in their order to this folder")
    p.add_argument("--warm", type=int, default=3, help="first steps, left out of the timing")
    p.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    p.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    a = p.parse_args()
    if a.warm >= a.steps:
        p.error("--warm must be less than --steps")
    return a


def main():
    a = arguments()
    torch.manual_seed(a.seed)
    tok = AutoTokenizer.from_pretrained(a.base)
    model = AutoModelForCausalLM.from_pretrained(a.base, dtype=getattr(torch, a.dtype)).to(a.device)
    config = LoraConfig(r=a.rank, lora_alpha=a.alpha, use_dora=a.dora, use_rslora=a.rslora, target_modules=TARGETS, task_type="CAUSAL_LM")
    model = get_peft_model(model, config)
    texts = [json.loads(line) for line in a.data.open() if line.strip()]
    encoded = [(text, encode(tok, text, a.max_seq)) for text in texts]
    texts, rows = zip(*[pair for pair in encoded if any(label != IGNORED for label in pair[1][1])])
    if a.save_start:
        model.save_pretrained(a.save_start)
        order = batch_stream(texts, 1, random.Random(a.seed))
        with (a.save_start / "rows.jsonl").open("w") as f:
            f.writelines(json.dumps(next(order)[0]) + "\n" for _ in range(a.steps * a.batch))
    params = [w for w in model.parameters() if w.requires_grad]
    opt = torch.optim.AdamW(params, lr=a.lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: rate(step, a.steps))
    batches = batch_stream(rows, a.batch, random.Random(a.seed))
    model.train()
    losses, tokens, start = [], 0, time.perf_counter()
    for step in range(a.steps):
        if step == a.warm:
            tokens, start = 0, time.perf_counter()
        batch = next(batches)
        inputs = {name: tensor.to(a.device) for name, tensor in pad(batch, tok.eos_token_id).items()}
        loss = model(**inputs).loss
        loss.backward()
        if a.clip > 0:
            torch.nn.utils.clip_grad_norm_(params, a.clip)
        opt.step()
        schedule.step()
        opt.zero_grad()
        losses.append(loss.item())
        tokens += sum(len(ids) for ids, _ in batch)
        if step % 50 == 0:
            print(f"step {step} loss {losses[-1]:.4f}", file=sys.stderr, flush=True)
    seconds, timed, last = time.perf_counter() - start, a.steps - a.warm, losses[-20:]
    if a.out:
        model.save_pretrained(a.out)
    print(json.dumps({
        "peer": "peft", "dora": a.dora, "rank": a.rank, "batch": a.batch, "dtype": a.dtype, "device": a.device, "seed": a.seed, "steps": a.steps,
        "tokens_per_s": tokens / seconds, "rows_per_s": timed * a.batch / seconds, "steps_per_s": timed / seconds,
        "final_loss": sum(last) / len(last), "losses": losses, "peak_gb": peak_gb(),
    }))


def encode(tok, row, max_seq):
    """(token ids, labels) of a row."""
    x = tok(row["instruction"] + "\n", add_special_tokens=False)["input_ids"]
    y = tok(row["response"], add_special_tokens=False)["input_ids"] + [tok.eos_token_id]
    return (x + y)[:max_seq], ([IGNORED] * len(x) + y)[:max_seq]


def batch_stream(rows, size, rng):
    """Batches for ever, through one shuffled epoch after another."""
    queue = []
    while True:
        while len(queue) < size:
            queue += rng.sample(rows, len(rows))
        yield queue[:size]
        queue = queue[size:]


def pad(batch, filler):
    n = max(len(ids) for ids, _ in batch)
    full = lambda row, value: row + [value] * (n - len(row))
    return {
        "input_ids": torch.tensor([full(ids, filler) for ids, _ in batch]),
        "attention_mask": torch.tensor([full([1] * len(ids), 0) for ids, _ in batch]),
        "labels": torch.tensor([full(labels, IGNORED) for _, labels in batch]),
    }


def rate(step, steps):
    """The learning rate's factor: a linear warm-up of 3% (at least one step) that ends at 1, then a cosine down to zero."""
    warmup = max(1, int(0.03 * steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup + 1) / (steps - warmup + 1)))


if __name__ == "__main__":
    main()
