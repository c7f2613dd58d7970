"""Training speed and memory beside PEFT, both sides in one run, interleaved, medians.

Needs the release build and the peers' folder of scripts/peers.sh. Uses only the standard library itself:
    python3 scripts/bench_peft.py --b1 DIR [--peers .peers] [--repeats 3]
    python3 scripts/bench_peft.py --device cuda --dtype bf16 --base FOLDER [--data FILE]
DIR is the evals folder of the PostTrainLLM repository (sql-poc-expanded/train.jsonl is used). Close everything else first.
"whole" computes every row whole, as PEFT does; "grouped" forms batches of one schema and computes its tokens once.
Memory is the process's own, on a GPU what nvidia-smi shows beyond what was there before.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from memory import GpuMemory

HERE = Path(__file__).resolve().parent
WARM = 3  # first steps, left out on both sides
STEPS = {1: 33, 8: 11}
ADAPTERS = ["lora", "dora"]
LONG = {"f32": "float32", "bf16": "bfloat16"}
WAYS = {"whole": "--no-share-prefix", "grouped": "--group-prefix"}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--b1", type=Path)
    p.add_argument("--data", default=HERE.parent / "evals" / "sql-expanded" / "train.jsonl", type=Path, help="rows, where there is no --b1")
    p.add_argument("--peers", default=Path(".peers"), type=Path)
    p.add_argument("--factory", default="target/release/factory")
    p.add_argument("--base", help="GGUF file, whose converted weights are the peer's [default: what scripts/fetch_base.sh prints], or a transformers folder")
    p.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    p.add_argument("--dtype", default="f32", choices=LONG)
    p.add_argument("--batch", type=int, choices=STEPS, help="rows a step [default: each of them]")
    p.add_argument("--repeats", type=int, default=3)
    a = p.parse_args()
    data = a.b1 / "sql-poc-expanded" / "train.jsonl" if a.b1 else a.data
    base = a.base or subprocess.check_output([HERE / "fetch_base.sh"], text=True).strip()
    hf = base if Path(base).is_dir() else subprocess.check_output([HERE / "peers.sh", a.peers], text=True).strip()
    print("| batch | adapter | rows | factory tokens/s | PEFT tokens/s | ratio | factory peak GB | PEFT peak GB | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    for batch in [a.batch] if a.batch else STEPS:
        ways = [way for way in WAYS if batch > 1 or way == "whole"]
        runs = {(adapter, who): [] for adapter in ADAPTERS for who in [*ways, "peft"]}
        for _ in range(a.repeats):
            for (adapter, who), found in runs.items():
                if who == "peft":
                    found.append(peft(a, hf, data, batch, adapter))
                else:
                    found.append(ours(a, base, data, batch, adapter, WAYS[who]))
                speed, memory = found[-1]
                print(f"batch {batch}, {adapter}, {who}: {speed:.0f} tokens/s, {memory:.2f} GB", file=sys.stderr, flush=True)
        median = {key: [statistics.median(x) for x in zip(*found)] for key, found in runs.items()}
        for adapter in ADAPTERS:
            peft_speed, peft_memory = median[adapter, "peft"]
            for way in ways:
                speed, memory = median[adapter, way]
                print(
                    f"| {batch} | {adapter} | {way} | {speed:.0f} | {peft_speed:.0f} | {speed / peft_speed:.2f} "
                    f"| {memory:.2f} | {peft_memory:.2f} | {memory / peft_memory:.2f} |",
                    flush=True,
                )
        shares = [f"{who} {median['dora', who][0] / median['lora', who][0]:.2f}" for who in [*ways, "peft"]]
        print(f"batch {batch}, DoRA's tokens/s over LoRA's: {', '.join(shares)}\n", flush=True)


def ours(a, base, data, batch, adapter, way):
    """Tokens a second after the warm steps, and peak GB."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "adapter"
        command = [a.factory, "sft", "--device", a.device, "--dtype", a.dtype, "--base", base, "--data", data, "--out", out]
        command += ["--batch", str(batch), "--steps", str(STEPS[batch]), way, *(["--dora"] if adapter == "dora" else [])]
        memory = run(command, a.device)[1]
        steps = [json.loads(line) for line in (out / "metrics.jsonl").open()]
    tokens = sum(s["tokens_per_s"] * batch / s["rows_per_s"] for s in steps[WARM:])
    return tokens / (steps[-1]["elapsed_s"] - steps[WARM - 1]["elapsed_s"]), memory


def peft(a, base, data, batch, adapter):
    command = [a.peers / "bin" / "python", HERE / "peft_sft.py", "--base", base, "--data", data, "--clip", "1"]
    command += ["--device", a.device, "--dtype", LONG[a.dtype]]
    command += ["--batch", str(batch), "--steps", str(STEPS[batch]), "--warm", str(WARM)]
    output, memory = run(command + (["--dora"] if adapter == "dora" else []), a.device)
    return json.loads(output.splitlines()[-1])["tokens_per_s"], memory


def run(command, device):
    """Standard output and peak memory in GB of a command; its errors end this script."""
    gpu = GpuMemory() if device == "cuda" else None
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=log, text=True)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        memory = gpu.peak_gb() if gpu else usage.ru_maxrss * 1024 / 1e9
        if status:
            log.seek(0)
            sys.exit(f"{command} failed:\n{log.read()[-2000:]}")
    return output, memory


if __name__ == "__main__":
    main()
