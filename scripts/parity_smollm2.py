"""Compare full logits with transformers: every position of every prompt in tests/goldens/smollm2.json.

FILE is a safetensors file with a tensor `logits.{i}` ([len, vocab], float32) for prompt i. Exits with 1 beyond the tolerance.
"""
import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

GOLDENS = Path(__file__).resolve().parent.parent / "tests" / "goldens" / "smollm2.json"


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--hf", required=True, help="float32 folder from scripts/gguf_to_hf.py")
    p.add_argument("--logits", required=True, metavar="FILE", help="the logits to check")
    p.add_argument("--goldens", type=Path, default=GOLDENS)
    p.add_argument("--tolerance", type=float, default=2e-3)
    a = p.parse_args()
    model = AutoModelForCausalLM.from_pretrained(a.hf, dtype=torch.float32, attn_implementation="eager").eval()
    prompts = json.loads(a.goldens.read_text())["prompts"]
    worst, same_best, rows = 0.0, 0, 0
    with safe_open(a.logits, "pt") as ours, torch.no_grad():
        for i, prompt in enumerate(prompts):
            got = ours.get_tensor(f"logits.{i}").float()
            want = model(input_ids=torch.tensor([prompt["ids"]])).logits[0]
            if got.shape != want.shape:
                sys.exit(f"logits.{i} is {list(got.shape)}, expected {list(want.shape)}")
            diff = (got - want).abs().max().item()
            if not diff <= a.tolerance:  # a NaN fails too
                print(f"prompt {i} ({prompt['text'][:40]!r}): max difference {diff:.2e}")
            worst = diff if diff != diff or diff > worst else worst
            same_best += (got.argmax(-1) == want.argmax(-1)).sum().item()
            rows += len(want)
    print(json.dumps({"prompts": len(prompts), "positions": rows, "same_best_token": same_best, "max_abs_diff": worst, "tolerance": a.tolerance}))
    sys.exit(0 if worst <= a.tolerance else 1)


if __name__ == "__main__":
    main()
