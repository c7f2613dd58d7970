"""Make tests/goldens/losses/: the losses, metrics and gradients of TRL that the Rust tests of the objectives compare with.

    scripts/venv.sh trl torch==2.15.0 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 trl==1.16.0      prints a folder; several GB
    FOLDER/bin/python scripts/golden_losses.py

Writes losses.json, the adapters `policy` and `reference` on tests/goldens/tiny-llama, and each entry's gradients of the policy's tensors.
Everything is computed in float32 on the CPU with eager attention and without dropout, from fixed seeds.
"""
import argparse
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import datasets
import transformers
from golden_policy import LONGEST, advantages, make_rollouts, policy_losses
from golden_preferences import make_labelled, make_pairs, preferences, sums
from golden_trl import make_adapters, rounded

GOLDENS = Path(__file__).resolve().parent.parent / "tests" / "goldens"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=GOLDENS / "losses")
    a = p.parse_args()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    base = GOLDENS / "tiny-llama"
    shutil.rmtree(a.out, ignore_errors=True)
    a.out.mkdir(parents=True)
    make_adapters(a.out, base)
    pairs, rollouts = make_pairs(base, a.out), make_rollouts(base, a.out)
    content = {
        "pairs": [{**pair, **row} for pair, row in zip(pairs, sums(base, a.out, pairs))],
        "labelled": make_labelled(pairs),
        "preferences": preferences(base, a.out, pairs),
        "max_completion_length": LONGEST,
        "rollouts": rollouts,
        "policy": policy_losses(base, a.out, rollouts),
        "advantages": advantages(base, a.out, rollouts),
    }
    shutil.rmtree(a.out / "run", ignore_errors=True)
    versions = {name: version(name) for name in ["torch", "transformers", "peft", "trl"]}
    head = {"script": "scripts/golden_losses.py", **versions}
    (a.out / "losses.json").write_text(json.dumps(rounded({**head, **content}), ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
