"""Compare mode spider2-lite with the original evaluator of Spider 2.0-lite, verdict by verdict, on random pairs of results.

    git clone https://github.com/xlang-ai/Spider2 DIR
    python3 -m venv V && V/bin/pip install pandas==2.3.3
    V/bin/python scripts/check_spider2.py --spider2 DIR [--pairs 2000] [--seed 0] [--factory target/release/factory]

Every second pair is made of random values (random_results.py), the others of the benchmark's own gold results with their
standards: the prediction is one of them, changed. The original's side is its function for one query, with its own reading and
writing of CSV; ours is `factory eval-sql`. Verdicts that differ are counted under the reasons in REASONS; exits with 1 if one
differs for none of them.
"""
import argparse
import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import types
from pathlib import Path

from random_results import changed, database, rng, table

MOST_BYTES = 100_000  # of a gold file that pairs are made of
SMALLEST = str(-2**63)
SUITE = Path("spider2-lite", "evaluation_suite")


def original(spider2, folder):
    """The evaluator's module, without the services that it needs for other databases than SQLite."""
    for name in ("google", "google.cloud", "google.cloud.bigquery", "tqdm"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["google.cloud"].bigquery = sys.modules["google.cloud.bigquery"]
    sys.modules["tqdm"].tqdm = None
    sys.path.insert(0, str(spider2 / SUITE))
    streams = sys.stdout, sys.stderr
    os.chdir(folder)  # it writes log.txt where it is
    import evaluate
    sys.stdout, sys.stderr = streams
    return evaluate


def gold_files(names, name):
    if f"{name}.csv" in names:
        return [f"{name}.csv"]
    return sorted(file for file in names if re.fullmatch(re.escape(name) + r"_[a-z]\.csv", file))


def number(text):
    """A cell of a gold file as a database would have it."""
    for kind in (int, float):
        try:
            found = kind(text)
            return found if kind is float or -2**63 <= found < 2**63 else text
        except ValueError:
            pass
    return text or None


def standards(rng):
    """What a row asks of its gold results, and how many there are."""
    golds, lettered = rng.choice([(1, False), (1, True), (2, True), (3, True)])
    columns = rng.choice([[], [], [[]], [0], [1], [0, 1], "each", "each"])
    if columns == "each":
        columns = [rng.choice([[], [0], [0, 1]]) for _ in range(rng.choice([golds, golds, golds + 1, max(1, golds - 1)]))]
    return golds, lettered, columns, rng.random() < 0.6


def invented(rng, golds_to, name):
    predicted = table(rng)
    golds, lettered, columns, ignore_order = standards(rng)
    for at in range(golds):
        gold = changed(rng, predicted) if rng.random() < 0.8 else table(rng)
        ending = f"_{'abc'[at]}" if lettered else ""
        with open(golds_to / f"{name}{ending}.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(f"g{i}" for i in range(len(gold)))
            writer.writerows(zip(*gold))
    return predicted, columns, ignore_order


def benchmark(rng, tasks, golds_from, golds_to, name):
    task, files = rng.choice(tasks)
    for file in files:
        (golds_to / file.replace(task["instance_id"], name, 1)).write_bytes((golds_from / file).read_bytes())
    with open(golds_from / rng.choice(files), newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    width = len(rows[0])
    rows = [[number(cell) for cell in (row + [""] * width)[:width]] for row in rows[1:]]
    predicted = [list(column) for column in zip(*rows)] or [[] for _ in range(width)]
    return changed(rng, predicted), task["condition_cols"], task["ignore_order"]


def widths(golds_to, files):
    for file in files:
        with open(golds_to / file, newline="") as content:
            yield len(next(csv.reader(content)))


def flat(pair):
    return bool(pair["columns"]) and not any(isinstance(one, list) for one in pair["columns"])


def nested(pair):
    return any(isinstance(one, list) and one for one in pair["columns"])


REASONS = {
    "of one lettered gold file the original compares the first column of condition_cols alone, or all if that is 0":
        lambda pair: pair["lettered"] and len(pair["files"]) == 1 and flat(pair) and (len(pair["columns"]) > 1 or pair["columns"] == [0]),
    "a column of condition_cols that a gold file lacks ends the original's comparison, before other gold files":
        lambda pair: any(lacks(pair, at, width) for at, width in enumerate(pair["widths"])),
    "lists of columns for a gold file without a letter are an error of the original's":
        lambda pair: not pair["lettered"] and any(isinstance(one, list) for one in pair["columns"]),
    "in a gold file's column of integers with a gap the smallest of 64 bits is no value to pandas":
        lambda pair: pair["smallest"],
}


def lacks(pair, at, width):
    columns = pair["columns"]
    if nested(pair):
        columns = columns[at] if at < len(columns) else []
    return any(isinstance(column, int) and column >= width for column in columns)


def make(a, folder):
    golds_from = a.spider2 / SUITE / "gold" / "exec_result"
    names = set(os.listdir(golds_from))
    tasks = []
    for line in (golds_from.parent / "spider2lite_eval.jsonl").read_text().splitlines():
        task = json.loads(line)
        files = gold_files(names, task["instance_id"])
        if files and all((golds_from / file).stat().st_size <= MOST_BYTES for file in files):
            tasks.append((task, files))
    for part in ("golds", "databases", "predictions"):
        (folder / part).mkdir()
    golds_to, pairs = folder / "golds", []
    for at in range(a.pairs):
        chance, name = rng(a.seed, at), f"local{at:05}"
        made = invented(chance, golds_to, name) if at % 2 else benchmark(chance, tasks, golds_from, golds_to, name)
        predicted, columns, ignore_order = made
        database(folder / "databases" / f"{name}.sqlite", {"t": predicted})
        sql = "SELECT * FROM t"
        reply = f"Here it is:\n```sql\n{sql}\n```\nDone." if at % 5 == 0 else sql
        (folder / "predictions" / f"{name}.sql").write_text(reply)
        files = gold_files({file.name for file in golds_to.glob(f"{name}*.csv")}, name)
        pairs.append(dict(name=name, reply=reply, columns=columns, ignore_order=ignore_order, files=files,
                          lettered=files != [f"{name}.csv"], widths=list(widths(golds_to, files)),
                          smallest=any(SMALLEST in (golds_to / file).read_text() for file in files)))
    return pairs


def theirs(evaluate, folder, pair):
    standard = {pair["name"]: dict(condition_cols=pair["columns"], ignore_order=pair["ignore_order"])}
    with contextlib.redirect_stdout(io.StringIO()):
        found = evaluate.evaluate_single_sql_instance(
            pair["name"], standard, {pair["name"]: dict(db=pair["name"])}, folder / "predictions", folder / "golds",
            folder / "temp", sqlite_base_dir=folder / "databases")
    return found["score"] == 1


def ours(factory, folder, pairs):
    rows = [dict(id=p["name"], db=p["name"], predicted_sql=p["reply"], gold_csv=p["name"], condition_cols=p["columns"],
                 ignore_order=p["ignore_order"]) for p in pairs]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [factory, "eval-sql", folder / "rows.jsonl", "--mode", "spider2-lite", "--db-dir", folder / "databases",
               "--gold-dir", folder / "golds", "--keep-going", "--out", folder / "scored.jsonl"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return [json.loads(line)["spider2_lite_match"] for line in (folder / "scored.jsonl").read_text().splitlines()]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--spider2", required=True, type=Path)
    p.add_argument("--pairs", type=int, default=2000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--factory", default="target/release/factory", type=Path)
    a = p.parse_args()
    a.spider2, a.factory = a.spider2.resolve(), a.factory.resolve()
    counts, unexplained = {reason: 0 for reason in REASONS}, 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        pairs = make(a, folder)
        evaluate = original(a.spider2, folder)
        there = [theirs(evaluate, folder, pair) for pair in pairs]
        here = ours(a.factory, folder, pairs)
        for at, (pair, their, our) in enumerate(zip(pairs, there, here)):
            if their == our:
                continue
            reason = next((reason for reason, applies in REASONS.items() if applies(pair)), None)
            if reason:
                counts[reason] += 1
                continue
            unexplained += 1
            if unexplained <= 5:
                kept = {"prediction": pair["reply"], "standard": [pair["columns"], pair["ignore_order"]]}
                print(f"pair {at}: {their} there, {our} here: {kept}")
                for file in pair["files"]:
                    print(f"  {file}: {(folder / 'golds' / file).read_bytes()[:400]!r}")
        os.chdir("/")
    differing = sum(counts.values()) + unexplained
    print(f"{len(pairs)} pairs, seed {a.seed}: {sum(there)} match there, {sum(here)} here; {differing} verdicts differ")
    for reason, count in counts.items():
        print(f"  {count}: {reason}")
    if unexplained:
        print(f"  {unexplained}: for no listed reason")
    sys.exit(1 if unexplained else 0)


if __name__ == "__main__":
    main()
