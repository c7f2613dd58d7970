"""Compare every logit of the prompts of tests/goldens/smollm2.json with transformers, or with PEFT under an adapter.

FILE holds `ids.{i}` [len] and `logits.{i}` [len, vocab] of prompt i: tests/logits.rs writes it. Everything is float32.
Exits with 1 beyond the tolerance.
"""
import argparse
import json
import sys
from pathlib import Path

import torch
import transformers
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

GOLDENS = Path(__file__).resolve().parent.parent / "tests" / "goldens" / "smollm2.json"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hf", required=True, help="transformers folder")
    p.add_argument("--lora", help="PEFT adapter folder")
    p.add_argument("--logits", required=True, metavar="FILE", help="the logits to check")
    p.add_argument("--tolerance", type=float, default=2e-3)
    a = p.parse_args()
    transformers.logging.disable_progress_bar()
    tok = AutoTokenizer.from_pretrained(a.hf)
    model = AutoModelForCausalLM.from_pretrained(a.hf, dtype=torch.float32, attn_implementation="eager")
    if a.lora:
        model = PeftModel.from_pretrained(model, a.lora)
    model.eval()
    texts = [prompt["text"] for prompt in json.loads(GOLDENS.read_text())["prompts"]]
    worst, largest, same_best, positions = 0.0, 0.0, 0, 0
    with safe_open(a.logits, "pt") as ours, torch.no_grad():
        for i, text in enumerate(texts):
            ids = tok(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
            got_ids, got = ours.get_tensor(f"ids.{i}").tolist(), ours.get_tensor(f"logits.{i}")
            if got_ids != ids[0].tolist():
                sys.exit(f"prompt {i} ({text[:40]!r}): ids {got_ids}, expected {ids[0].tolist()}")
            want = model(input_ids=ids).logits[0]
            if got.shape != want.shape:
                sys.exit(f"logits.{i} is {list(got.shape)}, expected {list(want.shape)}")
            diff = (got - want).abs().max().item()
            if not diff <= a.tolerance:  # a NaN fails too
                print(f"prompt {i} ({text[:40]!r}): max difference {diff:.2e}")
            worst = diff if diff != diff or diff > worst else worst
            largest = max(largest, want.abs().max().item())
            same_best += (got.argmax(-1) == want.argmax(-1)).sum().item()
            positions += len(want)
    print(json.dumps({"lora": a.lora, "prompts": len(texts), "positions": positions, "same_best_token": same_best,
                      "max_abs_diff": worst, "largest_logit": largest, "tolerance": a.tolerance}))
    sys.exit(0 if worst <= a.tolerance else 1)


if __name__ == "__main__":
    main()
