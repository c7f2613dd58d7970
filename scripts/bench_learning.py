"""DPO and GRPO here and in TRL, in turns on the same base, rows and settings, on the CPU in float32.

    python scripts/bench_learning.py --base FOLDER --pairs FILE --rows FILE --db-dir DIR --trl-python PYTHON [--factory BINARY] [--turns 3]

FOLDER is what scripts/peers.sh prints, PAIRS a file of preference pairs, ROWS one of prompts with db and gold_sql, PYTHON has TRL (see
scripts/golden_losses.py). Both train a new LoRA adapter of rank 8 on all linear layers. Rewards are the share of small letters on both sides,
so that every group has a spread and both update on every rollout; ours runs all queries beside that. The first step is not timed.
Both hold the reference's log p before the steps; that time is told apart. Prints medians and ratios.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REWARD = """import json, sys
for line in sys.stdin:
    row = json.loads(line)
    text = row.get("answer", row.get("completion")) or ""
    print(sum(c.islower() for c in text) / max(len(text), 1), flush=True)
"""


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--base", required=True)
    p.add_argument("--pairs", required=True, type=Path)
    p.add_argument("--rows", required=True, type=Path)
    p.add_argument("--db-dir", required=True)
    p.add_argument("--trl-python", required=True)
    p.add_argument("--factory", default="target/release/factory")
    p.add_argument("--what", nargs="+", choices=["dpo", "grpo"], default=["dpo", "grpo"])
    p.add_argument("--turns", type=int, default=3)
    p.add_argument("--base-weights", default="f32", help="how our base is held")
    p.add_argument("--ours-alone", action="store_true")
    p.add_argument("--batch", type=int, default=4, help="pairs a step")
    p.add_argument("--steps", type=int, default=8)
    p.add_argument("--grpo-steps", type=int, default=3)
    p.add_argument("--max-tokens", type=int, default=64)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        a.folder = Path(folder)
        pairs = a.pairs.read_text().splitlines()[: a.batch * (a.steps + 1)]
        (a.folder / "pairs.jsonl").write_text("\n".join(pairs) + "\n")
        rows = a.rows.read_text().splitlines()[: a.grpo_steps + 1]
        (a.folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
        (a.folder / "reward.py").write_text(REWARD)
        rewards = json.dumps([sys.executable, str(a.folder / "reward.py")])
        (a.folder / "rewards.toml").write_text(f"[[reward]]\ncommand = {rewards}\nweight = 1.0\n")
        both = [("dpo", our_dpo, their_dpo, "pairs_per_s"), ("grpo", our_grpo, their_grpo, "rollouts_per_s")]
        for name, ours, theirs, unit in (one for one in both if one[0] in a.what):
            found = {"ours": [], "trl": []}
            for turn in range(a.turns):
                found["ours"].append(ours(a, turn))
                if not a.ours_alone:
                    found["trl"].append(theirs(a))
                for side in (side for side in found if found[side]):
                    print(name, side, json.dumps(found[side][-1]), flush=True)
            if a.ours_alone:
                continue
            medians = {side: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for side, runs in found.items()}
            ours, trl = medians["ours"], medians["trl"]
            found = {"speed": ours[unit] / trl[unit], "memory": ours["peak_gb"] / trl["peak_gb"]}
            if name == "grpo":
                # Answers are drawn, and not of one length.
                found["speed_by_token"] = found["speed"] * ours["mean_length"] / trl["mean_length"]
            print(json.dumps({"what": name, "medians": medians, **found}))


def our_dpo(a, turn):
    words = ["dpo", "--data", str(a.folder / "pairs.jsonl"), "--loss", "dpo", "--format-pairs", "--no-guards", "--batch", str(a.batch),
             "--steps", str(a.steps + 1), "--no-shuffle"]
    lines, preparing, peak = ours(a, words, turn)
    seconds = lines[-1]["elapsed_s"] - lines[0]["elapsed_s"]
    return {"pairs_per_s": a.batch * a.steps / seconds, "preparing_seconds": preparing, "peak_gb": peak}


def our_grpo(a, turn):
    words = ["grpo", "--data", str(a.folder / "rows.jsonl"), "--db-dir", a.db_dir, "--rewards", str(a.folder / "rewards.toml"), "--batch", "1",
             "--steps", str(a.grpo_steps + 1), "--max-tokens", str(a.max_tokens), "--resample", "0", "--no-shuffle", "--no-guards"]
    lines, _, peak = ours(a, words, turn)
    timed = lines[1:]
    seconds = lines[-1]["elapsed_s"] - lines[0]["elapsed_s"]
    rollouts = sum(line["rollouts"] for line in timed)
    phases = {f"{phase}_seconds": sum(line[f"seconds/{phase}"] for line in timed) for phase in ["generation", "scoring", "update"]}
    length = statistics.mean(line["completions/mean_length"] for line in timed)
    return {"rollouts_per_s": rollouts / seconds, **phases, "mean_length": length, "peak_gb": peak}


def ours(a, words, turn):
    """Metrics, seconds of the reference and the peak of a run."""
    out = a.folder / f"{words[0]}-{turn}"
    words = [a.factory, *words, "--base", a.base, "--device", "cpu", "--base-weights", a.base_weights, "--rank", "8", "--lr", "1e-5", "--no-ngrams", "--out", str(out)]
    child = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    said, begun, preparing = "", None, 0.0
    for line in child.stderr:
        said += line
        if "the reference reads" in line:
            begun = time.perf_counter()
        elif "pairs," in line and begun:
            preparing = time.perf_counter() - begun
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(said)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return lines, preparing, usage.ru_maxrss * 1024 / 1e9


def their_dpo(a):
    words = ["dpo", "--pairs", str(a.folder / "pairs.jsonl"), "--batch", str(a.batch), "--steps", str(a.steps), "--precompute"]
    run = theirs(a, words)
    return {key: run[key] for key in ["pairs_per_s", "preparing_seconds", "peak_gb"]}


def their_grpo(a):
    words = ["grpo", "--prompts", str(a.folder / "rows.jsonl"), "--steps", str(a.grpo_steps), "--max-tokens", str(a.max_tokens)]
    run = theirs(a, words)
    phases = {key: run[key] for key in ["rollouts_per_s", "generation_seconds", "scoring_seconds", "update_seconds", "peak_gb"]}
    lengths = run["mean_length"][1:]
    return {**phases, "mean_length": statistics.mean(lengths)}


def theirs(a, words):
    words = [a.trl_python, str(HERE / "peer_trl.py"), *words, "--base", a.base, "--rank", "8"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
