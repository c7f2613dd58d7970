"""Greedy generation with transformers on {prompt} rows: the peer of `factory generate`.

The model reads `prompt + newline`. Writes each row with `predicted_sql` added, which `factory eval-sql` scores.
The last line printed is one JSON object.
"""
import argparse
import json
import time
from pathlib import Path

import torch
from memory import peak_gb
from transformers import AutoModelForCausalLM, AutoTokenizer


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--base", required=True, help="transformers folder")
    p.add_argument("--lora", help="PEFT adapter folder, merged before generation")
    p.add_argument("--data", required=True, type=Path, help="rows, one JSON object a line")
    p.add_argument("--out", required=True, type=Path, help="predictions to write")
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--max-tokens", type=int, default=96)
    p.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    p.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    a = p.parse_args()
    tok = AutoTokenizer.from_pretrained(a.base, padding_side="left")
    model = load(a.base, a.lora, getattr(torch, a.dtype)).to(a.device)
    rows = [json.loads(line) for line in a.data.open() if line.strip()]
    tokens, start = 0, time.perf_counter()
    for i in range(0, len(rows), a.batch):
        tokens += answer(model, tok, rows[i : i + a.batch], a.max_tokens)
    seconds = time.perf_counter() - start
    a.out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    print(json.dumps({"peer": "transformers", "rows": len(rows), "batch": a.batch, "tokens": tokens, "tokens_per_s": tokens / seconds,
                      "rows_per_s": len(rows) / seconds, "peak_gb": peak_gb()}))


def load(base, lora, dtype=torch.float32):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    if lora:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, lora).merge_and_unload()
    return model.eval()


def answer(model, tok, rows, max_tokens):
    """Fill in `predicted_sql` for a batch; the number of tokens made, each row's eos left out."""
    enc = tok([row["prompt"] + "\n" for row in rows], return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
    with torch.no_grad():
        out = model.generate(**enc, max_new_tokens=max_tokens, do_sample=False, pad_token_id=tok.eos_token_id)
    new = out[:, enc["input_ids"].shape[1] :]
    for row, ids in zip(rows, new):
        row["predicted_sql"] = tok.decode(ids, skip_special_tokens=True)
    return int((new != tok.eos_token_id).sum())


if __name__ == "__main__":
    main()
