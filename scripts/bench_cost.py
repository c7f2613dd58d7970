"""How the time and memory of a training step grow with sequence length, batch and rank; medians of steps, fitted exponents.

Needs the release build. Uses only the standard library:
    python3 scripts/bench_cost.py [--base BASE] [--shapes sequence,batch,rank] [--flags "--dora"]
The shape "target" is one row of 128 and of 512 tokens, for a large --base. Rows are of one length and share nothing; 21 tokens of each are its answer. Close everything else first.
"""
import argparse
import json
import math
import shlex
import statistics
import subprocess
import tempfile
from pathlib import Path

from bench_peft import run

HERE = Path(__file__).resolve().parent
WARM = 2
STEPS = 5
ANSWER = 20  # and the end marker
# What grows, the values it takes, and what stays: (sequence, batch, rank).
SHAPES = {
    "sequence": ([128, 256, 512, 1024, 2048], lambda v: (v, 1, 8)),
    "batch": ([1, 2, 4, 8, 16, 32, 64], lambda v: (128, v, 8)),
    "rank": ([4, 8, 16, 32, 64, 128], lambda v: (128, 8, v)),
    "target": ([128, 512], lambda v: (v, 1, 8)),
}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--factory", default="target/release/factory")
    p.add_argument("--base", help="base [default: what scripts/fetch_base.sh prints]")
    p.add_argument("--shapes", default="sequence,batch,rank")
    p.add_argument("--flags", default="", help="more flags for factory sft")
    a = p.parse_args()
    base = a.base or subprocess.check_output([HERE / "fetch_base.sh"], text=True).strip()
    for name in a.shapes.split(","):
        values, shape = SHAPES[name]
        print(f"\n| {name} | s/step | tokens/s | peak GB |\n|---|---|---|---|")
        points = []
        for value in values:
            sequence, batch, rank = shape(value)
            seconds, memory = step(a.factory, base, sequence, batch, rank, shlex.split(a.flags))
            print(f"| {value} | {seconds:.3f} | {sequence * batch / seconds:.0f} | {memory:.2f} |", flush=True)
            points.append((value, seconds, memory))
        x = [math.log(value) for value, _, _ in points]
        time = statistics.linear_regression(x, [math.log(s) for _, s, _ in points]).slope
        memory = statistics.linear_regression([v for v, _, _ in points], [m for _, _, m in points])
        print(f"time grows as {name}^{time:.2f}; memory as {memory.intercept:.2f} + {memory.slope:.2g} x {name} GB")


def step(factory, base, sequence, batch, rank, flags):
    """Median seconds of a step after the warm ones, and peak GB."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        # Each word is one token. Nothing is shared (--no-share-prefix).
        words = [" one", " two", " three", " four", " five", " six", " seven", " eight"]
        with (folder / "rows.jsonl").open("w") as rows:
            for i in range(batch):
                prompt = "".join(words[(i + j * (1 + i // 8)) % 8] for j in range(sequence - ANSWER - 2))
                rows.write(json.dumps({"prompt": prompt, "completion": " yes" * ANSWER}) + "\n")
        command = [factory, "sft", "--device", "cpu", "--base", base, "--data", folder / "rows.jsonl"]
        command += ["--out", folder / "out", "--batch", batch, "--rank", rank, "--steps", STEPS, "--max-seq", sequence]
        memory = run([*command, "--no-share-prefix", "--recompute", "off", *flags])[1]
        steps = [json.loads(line) for line in (folder / "out" / "metrics.jsonl").open()]
        assert abs(steps[0]["tokens_per_s"] / steps[0]["rows_per_s"] - sequence) < 0.5, "rows of another length"
    return statistics.median(batch / s["rows_per_s"] for s in steps[WARM:]), memory


if __name__ == "__main__":
    main()
