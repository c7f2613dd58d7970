"""Rows a second of eval-sql beside Spider's test-suite evaluator, on the same pairs in one run, interleaved, medians.

    git clone https://github.com/taoyds/test-suite-sql-eval DIR
    python3 -m venv V && V/bin/pip install sqlparse==0.6.1 tqdm
    V/bin/python scripts/bench_eval_sql.py --evaluator DIR [--pairs 2000] [--repeats 3]

The pairs are of evals/sql-expanded: a third the reference itself, a third a rejected query, a third another reference of the
same database. The evaluator's side is its own function for one pair, called for each; its imports are not counted. Ours is
the whole command, processes, reading and writing included. Both must give the same verdicts. Needs the release build.
"""
import argparse
import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SET = Path(__file__).resolve().parent.parent / "evals" / "sql-expanded"


def rows(name):
    return [json.loads(line) for line in (SET / name).read_text().splitlines()]


def make_pairs(count):
    rng = random.Random(0)
    golds, pairs = {}, []
    for row in rows("train.jsonl") + rows("dev.jsonl"):
        golds.setdefault(row["domain"], []).append(row.get("gold_sql") or row["response"])
    rejected = [row for row in rows("preferences.jsonl")]
    for i in range(count):
        if i % 3 == 0:
            row = rng.choice(rejected)
            pairs.append((row["domain"], row["rejected"], row["chosen"]))
        else:
            domain = rng.choice(sorted(golds))
            gold = rng.choice(golds[domain])
            pairs.append((domain, gold if i % 3 == 1 else rng.choice(golds[domain]), gold))
    return pairs


def evaluator(folder, pairs, eval_exec_match):
    start = time.perf_counter()
    verdicts = [bool(eval_exec_match(str(folder / d / f"{d}.sqlite"), p, g, False, False, False)) for d, p, g in pairs]
    return time.perf_counter() - start, verdicts


def ours(folder, factory):
    out = folder / "rows.jsonl"
    start = time.perf_counter()
    command = [factory, "eval-sql", folder / "preds.jsonl", "--mode", "spider-ts", "--out", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    elapsed = time.perf_counter() - start
    return elapsed, [json.loads(line)["spider_ts_match"] for line in out.read_text().splitlines()]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--evaluator", required=True, type=Path)
    p.add_argument("--factory", default="target/release/factory")
    p.add_argument("--pairs", type=int, default=2000)
    p.add_argument("--repeats", type=int, default=3)
    a = p.parse_args()
    sys.path.insert(0, str(a.evaluator))
    from exec_eval import eval_exec_match

    pairs = make_pairs(a.pairs)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for domain in {domain for domain, _, _ in pairs}:
            (folder / domain).mkdir()
            database = sqlite3.connect(folder / domain / f"{domain}.sqlite")
            database.executescript((SET / "schemas" / f"{domain}.sql").read_text())
            database.close()
        lines = [json.dumps(dict(id=str(i), db=d, predicted_sql=p, gold_sql=g)) for i, (d, p, g) in enumerate(pairs)]
        (folder / "preds.jsonl").write_text("\n".join(lines))
        times, theirs = [], []
        for _ in range(a.repeats):
            (their_time, their_verdicts), (our_time, our_verdicts) = evaluator(folder, pairs, eval_exec_match), ours(folder, a.factory)
            theirs.append(their_time)
            times.append(our_time)
            differing = [i for i, (x, y) in enumerate(zip(their_verdicts, our_verdicts)) if x != y]
            for i in differing[:5]:
                print(f"pair {i}: {their_verdicts[i]} there, {our_verdicts[i]} here: {pairs[i]}")
            if differing:
                sys.exit(f"{len(differing)} verdicts differ")
    their_rate, our_rate = (a.pairs / statistics.median(t) for t in (theirs, times))
    print(f"{a.pairs} pairs, same verdicts: test-suite evaluator {their_rate:.0f} rows/s, factory {our_rate:.0f} rows/s, "
          f"ratio {our_rate / their_rate:.1f}")


if __name__ == "__main__":
    main()
