"""Train with `factory sft` and with PEFT from one untrained adapter, over the same rows in the same order, and compare every step's loss.

    python3 scripts/parity_sft.py --base FOLDER [--device cuda] [--dtype bf16] [--dora] [--batch 8] [--peers .peers]
FOLDER is a transformers folder, which both sides read. Exits with 1 where a loss differs by more than the tolerance.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
LONG = {"f32": "float32", "bf16": "bfloat16"}
TOLERANCE = {"f32": 1e-3, "bf16": 3e-2}  # relative


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--base", required=True)
    p.add_argument("--data", default=HERE.parent / "evals" / "sql-expanded" / "train.jsonl", type=Path)
    p.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    p.add_argument("--dtype", default="f32", choices=LONG)
    p.add_argument("--dora", action="store_true")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--factory", default="target/release/factory")
    p.add_argument("--peers", default=Path(".peers"), type=Path, help="folder of scripts/peers.sh, or another with bin/python")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start, out = Path(folder) / "start", Path(folder) / "out"
        both = ["--base", a.base, "--device", a.device, "--batch", a.batch, "--steps", a.steps, "--clip", "1"]
        command = [a.peers / "bin" / "python", HERE / "peft_sft.py", *both, "--data", a.data, "--dtype", LONG[a.dtype], "--save-start", start]
        theirs = json.loads(run(command + (["--dora"] if a.dora else [])).splitlines()[-1])["losses"]
        run([a.factory, "sft", *both, "--data", start / "rows.jsonl", "--dtype", a.dtype, "--init", start, "--no-shuffle", "--out", out])
        ours = [json.loads(line)["loss"] for line in (out / "metrics.jsonl").open()]
    for step, (factory, peft) in enumerate(zip(ours, theirs, strict=True), 1):
        print(f"step {step}: factory {factory:.6f}, PEFT {peft:.6f}, difference {abs(factory / peft - 1):.1e}")
    worst = max(abs(factory / peft - 1) for factory, peft in zip(ours, theirs))
    print(f"{'dora' if a.dora else 'lora'}, {a.dtype}, {a.device}, batch {a.batch}: largest relative difference {worst:.1e}, limit {TOLERANCE[a.dtype]:g}")
    sys.exit(0 if worst <= TOLERANCE[a.dtype] else 1)  # a NaN fails too


def run(command):
    """Standard output of a command; its errors end this script."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
