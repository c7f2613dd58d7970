"""How the time of generation grows with rows at once, prompt, adapters and the memory of keys and values, and its own memory with rows.

Needs the release build. Uses only the standard library:
    python3 scripts/bench_cost_generate.py [--base BASE] [--shapes batch,prompt,adapters,cache,rows] [--weights native]
batch, prompt and adapters are `cargo bench --bench decode` with fitted exponents; cache and rows are `factory generate` on rows made here, which
begin with one of 40 schemas. Medians of --repeats. Close everything else first.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from bench_generate import bench_program
from bench_peft import run

HERE = Path(__file__).resolve().parent
SIZES = [1, 2, 4, 8, 16, 32, 64]
# What grows, the values it takes, and flags of the bench for each value.
SHAPES = {
    "batch": (SIZES, lambda v: ["--batch", v, "--adapters", 1]),
    "prompt": ([64, 128, 256, 512, 1024, 2048], lambda v: ["--prompt", v, "--batch", 4, "--adapters", 1]),
    "adapters": (SIZES, lambda v: ["--adapters", v, "--batch", 64]),
}
CACHES = [16, 32, 64, 128, 256, 512, 1024]  # MB
ROWS = [100, 1000, 10000]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--factory", default="target/release/factory")
    p.add_argument("--base", help="base [default: what scripts/fetch_base.sh prints]")
    p.add_argument("--shapes", default="batch,prompt,adapters,cache,rows")
    p.add_argument("--weights", default="native")
    p.add_argument("--repeats", type=int, default=3)
    a = p.parse_args()
    a.base = str(Path(a.base or subprocess.check_output([HERE / "fetch_base.sh"], text=True).strip()).resolve())
    for name in a.shapes.split(","):
        {"cache": cache, "rows": rows}.get(name, grow)(a, name)


def grow(a, name):
    values, flags = SHAPES[name]
    bench = bench_program()
    print(f"\n| {name} | prefill tokens/s | decode tokens/s |\n|---|---|---|")
    points = []
    for value in values:
        command = [bench, *flags(value), "--kind", "lora", "--weights", a.weights, "--repeats", a.repeats, "--json"]
        done = subprocess.run([str(c) for c in command], env=os.environ | {"FACTORY_BASE": a.base}, capture_output=True, text=True, check=True)
        case = json.loads(done.stdout.splitlines()[-1])
        print(f"| {value} | {case['prefill']:.0f} | {case['decode']:.0f} |", flush=True)
        points.append((value, case))
    for what in ("prefill", "decode"):
        print(f"tokens/s of {what} change as {name}^{exponent([(v, case[what]) for v, case in points]):.2f}")


def exponent(points):
    """Of the power law through the points."""
    return statistics.linear_regression([math.log(x) for x, _ in points], [math.log(y) for _, y in points]).slope


def generate(a, folder, count, flags):
    """Seconds and peak GB of answering so many rows, and what its metrics say."""
    data, out, metrics = (folder / name for name in ("rows.jsonl", "out.jsonl", "metrics.json"))
    with data.open("w") as file:
        for i in range(count):
            columns = ", ".join(f"column_{i % 40}_{j} TEXT" for j in range(12))
            file.write(json.dumps({"prompt": f"CREATE TABLE t{i % 40} ({columns});\nHow many rows have value {i}?"}) + "\n")
    out.unlink(missing_ok=True)
    command = [a.factory, "generate", "--device", "cpu", "--base", a.base, "--template", "plain", "--weights", a.weights, "--data", data, "--out", out]
    start = time.perf_counter()
    memory = run([*command, "--max-tokens", 8, "--batch", 16, "--metrics-out", metrics, *flags])[1]
    return time.perf_counter() - start, memory, json.loads(metrics.read_text())


def cache(a, _):
    print("\n| --kv-memory | rows/s of 200 rows | prompt tokens reused | peak GB |\n|---|---|---|---|")
    points = []
    with tempfile.TemporaryDirectory() as folder:
        for size in CACHES:
            found = [generate(a, Path(folder), 200, ["--kv-memory", f"{size}MB"]) for _ in range(a.repeats)]
            seconds, (_, memory, metrics) = statistics.median(s for s, _, _ in found), found[0]
            reused = metrics["reused_tokens"] / (metrics["reused_tokens"] + metrics["prefill"]["tokens"])
            print(f"| {size} MB | {200 / seconds:.1f} | {reused:.2f} | {memory:.2f} |", flush=True)
            points.append((size, 200 / seconds))
    print(f"rows/s change as cache^{exponent(points):.2f}")


def rows(a, _):
    print("\n| rows | rows/s | peak GB |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for count in ROWS:
            seconds, memory, _ = generate(a, Path(folder), count, ["--kv-memory", "128MB"])
            print(f"| {count} | {count / seconds:.1f} | {memory:.3f} |", flush=True)


if __name__ == "__main__":
    main()
