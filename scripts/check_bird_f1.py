"""Compare mode soft-f1 with the original of BIRD's mini-dev, number by number, on random pairs of results.

    git clone https://github.com/bird-bench/mini_dev DIR
    python3 scripts/check_bird_f1.py --bird DIR [--pairs 2000] [--seed 0] [--factory target/release/factory]

Results are of random values (random_results.py). The original's side is its own functions for one pair, which run both queries
on SQLite; ours is `factory eval-sql`. Exits with 1 if two numbers differ by more than 1e-9, or if a row passes whose number is
not 1.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import types
from pathlib import Path

from random_results import changed, database, rng, table

SAME = 1e-9


def original(bird):
    """Its functions, without the drivers of other databases and its own clock."""
    for name in ("psycopg2", "pymysql", "func_timeout"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["func_timeout"].func_timeout = sys.modules["func_timeout"].FunctionTimedOut = None
    sys.path.insert(0, str(bird / "evaluation"))
    from evaluation_f1 import calculate_f1_score
    from evaluation_utils import execute_sql

    def score(path, predicted, gold):
        try:
            return execute_sql(predicted, gold, str(path), "SQLite", calculate_f1_score)
        except Exception:  # as its own caller does
            return 0
    return score


def make(a, folder):
    rows = []
    for at in range(a.pairs):
        chance, name = rng(a.seed, at), f"d{at:05}"
        gold = table(chance)
        predicted = changed(chance, gold) if chance.random() < 0.85 else table(chance)
        database(folder / f"{name}.sqlite", {"gold": gold, "predicted": predicted})
        broken = chance.random() < 0.02
        rows.append(dict(id=str(at), db=name, predicted_sql="SELECT nope FROM predicted" if broken else "SELECT * FROM predicted",
                         gold_sql="SELECT * FROM gold"))
    return rows


def ours(factory, folder, rows):
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [factory, "eval-sql", folder / "rows.jsonl", "--mode", "soft-f1", "--out", folder / "scored.jsonl"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    scored = [json.loads(line) for line in (folder / "scored.jsonl").read_text().splitlines()]
    return [(row["soft_f1"], row["soft_f1_match"]) for row in scored]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bird", required=True, type=Path)
    p.add_argument("--pairs", type=int, default=2000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--factory", default="target/release/factory")
    a = p.parse_args()
    score = original(a.bird)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        rows = make(a, folder)
        there = [score(folder / f"{row['db']}.sqlite", row["predicted_sql"], row["gold_sql"]) for row in rows]
        here = ours(a.factory, folder, rows)
    wrong = [at for at, (their, (our, passed)) in enumerate(zip(there, here)) if abs(their - our) > SAME or passed != (our == 1)]
    for at in wrong[:5]:
        print(f"pair {at}: {there[at]} there, {here[at][0]} here (passed: {here[at][1]})")
    largest = max(abs(their - our) for their, (our, _) in zip(there, here))
    between = sum(0 < their < 1 for their in there)
    print(f"{len(rows)} pairs, seed {a.seed}: mean {sum(there) / len(there):.6f} there, {sum(our for our, _ in here) / len(here):.6f} here; "
          f"{between} between 0 and 1; largest difference {largest:.1e}; {len(wrong)} differ")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
