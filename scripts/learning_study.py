"""The tables of evals/learning.toml: what each way of learning adds to the same adapter, by seed and by slice.

    python3 scripts/learning_study.py [--stages runs/stages]
    python3 scripts/learning_study.py --b1 DIR --base BASE [--factory target/release/factory] [--out target/learning-b1]

Reads the stages that the recipe has left, the newest of each name. A p-value is of a permutation test over rows: the signs of a row's
differences, summed over its seeds, are drawn anew 20,000 times; an interval takes rows anew 2,000 times. Both are of these seeds.
With --b1, the evals folder of the PostTrainLLM/posttrainllm repository, the adapters answer its two gates instead: synthetic50 by
execution, public64 by text. Uses only the standard library.
"""
import argparse
import json
import random
import re
import statistics
import subprocess
from pathlib import Path

WAYS = ["start", "more-sft", "still-sft", "rft", "dpo", "grpo"]
# What each begins with.
BEGUN = {"more-sft": "start", **{way: "more-sft" for way in WAYS[2:]}}
SEEDS = range(3)
FLIPS, RESAMPLES = 20_000, 2_000


def jsonl(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def stages(folder):
    """What stage.json says of the newest stage of each name."""
    found = {}
    for path in folder.glob("*/stage.json"):
        stage = json.loads(path.read_text())
        if stage["finished"] > found.get(stage["stage"], {"finished": ""})["finished"]:
            found[stage["stage"]] = stage | {"folder": path.parent}
    return found


def compared(candidate, baseline, draw):
    """The mean difference of rows' scores in points, its 95% interval and p. Both are lists of a row's verdicts by seed."""
    differences = [sum(c) - sum(b) for c, b in zip(candidate, baseline)]
    points = 100 / (len(differences) * len(candidate[0]))
    found = abs(sum(differences))
    moved = [d for d in differences if d]
    flips = sum(abs(sum(d * draw.choice((-1, 1)) for d in moved)) >= found for _ in range(FLIPS))
    means = sorted(sum(draw.choices(differences, k=len(differences))) for _ in range(RESAMPLES))
    low, high = means[len(means) // 40], means[-len(means) // 40]
    return sum(differences) * points, low * points, high * points, (flips + 1) / (FLIPS + 1)


def told(scores, rows, way, baseline):
    """How `way` differs from `baseline` on `rows`, over the seeds that both have; nothing where there is none."""
    seeds = sorted(set(scores[way]) & set(scores.get(baseline, {})))
    if not seeds or way == baseline:
        return ""
    verdicts = [[[scores[name][seed][row] for seed in seeds] for row in rows] for name in (way, baseline)]
    difference, low, high, p = compared(*verdicts, random.Random(0))
    return f"{difference:+.1f} [{low:+.1f}, {high:+.1f}], p {'= ' + format(p, '.3f') if p >= 0.001 else '< 0.001'}"


def tables(found):
    dev = jsonl(found["set"]["folder"] / "set" / "dev.jsonl")
    named = re.compile(r"(.*)-scores\[seed=(\d+)\]")
    scores = {way: {} for way in WAYS}
    for stage in found.values():
        if (of := named.fullmatch(stage["stage"])) and of[1] in scores:
            rows = jsonl(stage["outputs"]["main"])
            assert [row["id"] for row in rows] == [row["id"] for row in dev], stage["stage"]
            scores[of[1]][int(of[2])] = [row["exec_match"] for row in rows]
    for name in ["unseen-shape", "seen-shape"]:
        rows = [index for index, row in enumerate(dev) if row["slice"] == name]
        print(f"\n{name}, {len(rows)} rows\n\n| | by seed | mean | points over its start | over still-sft |\n|---|---|---|---|---|")
        for way in WAYS:
            by_seed = [statistics.mean(scores[way][seed][row] for row in rows) for seed in sorted(scores[way])]
            if by_seed:
                begun = BEGUN.get(way)
                over = [told(scores, rows, way, other) for other in (begun, "still-sft" if begun == "more-sft" else None)]
                print(f"| {way} | {', '.join(f'{x:.3f}' for x in by_seed)} | {statistics.mean(by_seed):.3f} | {over[0]} | {over[1]} |")
    print("\nEight draws a row, means of the seeds that were drawn\n\n| | slice | seeds | greedy | pass@1 | pass@8 | vote | all right | mixed | all wrong |\n|---|---|---|---|---|---|---|---|---|---|")
    for way in WAYS:
        drawn = [json.loads((found[key]["folder"] / "summary.json").read_text())["slices"] for key in (f"{way}-drawn[seed={seed}]" for seed in SEEDS) if key in found]
        for name in ["unseen-shape", "seen-shape"] if drawn else []:
            of = [slices[name] for slices in drawn]
            shares = [[s["greedy"], s["pass_at"]["1"], s["pass_at"]["8"], s["vote"], s["all_right"], s["mixed"], s["all_wrong"]] for s in of]
            shown = [statistics.mean(share["value"] for share in column) for column in zip(*shares)]
            print(f"| {way} | {name} | {len(of)} | {' | '.join(f'{x:.3f}' for x in shown)} |")
    print("\n| | seconds, by seed |\n|---|---|")
    for way in WAYS:
        seconds = [found[key]["seconds"] for key in (f"{way}[seed={seed}]" for seed in SEEDS) if key in found]
        print(f"| {way} | {', '.join(f'{s:.0f}' for s in seconds)} |")


def b1(found, a):
    """Answers the two gates with each adapter and prints the share that is right of each."""
    gates = a.b1 / "sql-routed-mixed-v1"

    def run(*words):
        subprocess.run([a.factory, *map(str, words)], check=True, stdout=subprocess.DEVNULL)

    print("| | seed | synthetic50, execution | public64, text |\n|---|---|---|---|")
    for way in WAYS:
        for seed in SEEDS:
            adapter = found.get(f"{way}[seed={seed}]")
            if adapter is None:
                continue
            shown = []
            for name, score in [("synthetic50", ["--db-dir", a.b1 / "sql-poc-expanded" / "schemas"]), ("public64", ["--mode", "public-exact"])]:
                out = a.out / f"{way}-{seed}-{name}"
                out.mkdir(parents=True, exist_ok=True)
                answers, summary = out / "answers.jsonl", out / "summary.json"
                run("generate", "--base", a.base, "--lora", adapter["outputs"]["main"], "--data", gates / f"{name}.jsonl", "--weights", "q8", "--batch", 32, "--out", answers)
                run("eval-sql", answers, *score, "--out", out / "rows.jsonl", "--summary-out", summary)
                mode = next(iter(json.loads(summary.read_text())["modes"].values()))
                shown.append(f"{next(iter(mode.values()))['value']:.3f}")
            print(f"| {way} | {seed} | {' | '.join(shown)} |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--stages", type=Path, default=Path("runs/stages"))
    p.add_argument("--b1", type=Path)
    p.add_argument("--base")
    p.add_argument("--factory", type=Path, default=Path("target/release/factory"))
    p.add_argument("--out", type=Path, default=Path("target/learning-b1"))
    a = p.parse_args()
    found = stages(a.stages)
    b1(found, a) if a.b1 else tables(found)


if __name__ == "__main__":
    main()
