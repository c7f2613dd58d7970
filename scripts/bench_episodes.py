"""Episodes on SQLite, DuckDB and PostgreSQL, by a base as it is and by one that was warmed up on rows of `episodes make`: how many are right,
turns, errors of tools, repeats.

    python3 -m venv V && V/bin/pip install duckdb==1.5.5
    scripts/install_postgres.sh && export FACTORY_DUCKDB_LIB=$PWD/$(scripts/fetch_duckdb.sh)
    V/bin/python scripts/bench_episodes.py --base "$(scripts/fetch_base.sh)" --work DIR [--factory target/release/factory] [--rows 200] [--train 400]

Rows are made by `data synth` of the seven databases of evals; their prompts have no schema, so it must be looked up. Played are held-out rows
whose reference runs on all three engines. What is in DIR already is not made again.
"""
import argparse
import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pg_server

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = [*sorted((ROOT / "evals/sql-expanded/schemas").glob("*.sql")), *sorted((ROOT / "evals/learning/schemas").glob("*.sql"))]
ENGINES = ["sqlite", "duckdb", "postgres"]
PROMPT = "Answer the question with one SQL query.\nQuestion: {question}"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--base", required=True)
    p.add_argument("--work", required=True, type=Path)
    p.add_argument("--factory", default=str(ROOT / "target/release/factory"))
    p.add_argument("--rows", type=int, default=200)
    p.add_argument("--train", type=int, default=400, help="rows to warm up on")
    p.add_argument("--epochs", type=int, default=2)
    p.add_argument("--weights", default="q8", help="how the base's weights are held")
    p.add_argument("--max-tokens", type=int, default=96, help="longest turn")
    a = p.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    with pg_server.server() as server:
        if server is None:
            sys.exit("PostgreSQL is not installed: scripts/install_postgres.sh")
        rows_of = databases(a, server)
        rows = common_rows(a, rows_of)
        warm = warm_up(a, rows_of["sqlite"])
        print("| | engine | right | turns an episode | answered | tool errors | unknown tables | repeated | no call | seconds |\n|---|---|---|---|---|---|---|---|---|---|")
        for name, lora in [("warmed up", ["--lora", warm]), ("as it is", [])]:
            for engine in ENGINES:
                found = play(a, name, engine, rows, rows_of[engine], lora)
                n, turns = found["episodes"], found["turns"]
                print(f"| {name} | {engine} | {found['passed']} of {found['judged']} | {turns / n:.2f} | {found['ends'].get('answered', 0)} | {found['errors']} "
                      f"| {found['unknown_tables']} | {found['repeated']} | {found['malformed']} | {found['seconds']:.0f} |", flush=True)


def databases(a, server):
    """The set, and for each engine the flags that say where its databases are."""
    made = a.work / "set"
    if not made.exists():
        schemas = [word for script in SCRIPTS for word in ("--schema", script)]
        run(a, "data", "synth", *schemas, "--rows", str(a.train), "--dev", str(3 * a.rows), "--preferences", "0", "--out", made)
        for name in ["train.jsonl", "dev.jsonl"]:
            rows = [json.loads(line) for line in (made / name).open()]
            asked = "instruction" if name == "train.jsonl" else "prompt"
            write(made / name, [row | {asked: PROMPT.format(question=row["question"])} for row in rows])
    tables = a.work / "duckdb"
    tables.mkdir(exist_ok=True)
    for script in sorted((made / "databases").glob("*.sql")):
        text = script.read_text()
        file = tables / f"{script.stem}.duckdb"
        if not file.exists():
            with duckdb.connect(str(file)) as connection:
                connection.execute(text)
        server.psql("-c", f"CREATE SCHEMA {script.stem}; SET search_path = {script.stem}; {text}")
    connections = a.work / "connections.toml"
    connections.write_text(f'[post]\ndriver = "postgres"\nurl = "postgresql:///postgres?host={server.folder}&user=postgres"\n')
    return {"sqlite": ["--db-dir", made / "databases"], "duckdb": ["--db-dir", tables], "postgres": ["--connection", "post", "--connections", connections]}


def common_rows(a, rows_of):
    """Held-out rows whose reference runs on all engines, by the name of a database without its ending."""
    rows = [json.loads(line) for line in (a.work / "set/dev.jsonl").open()]
    rows = [row | {"db": Path(row["db"]).stem, "predicted_sql": row["gold_sql"]} for row in rows]
    fine = set(range(len(rows)))
    for engine in ENGINES:
        asked, scored = a.work / "golds.jsonl", a.work / f"golds-{engine}.jsonl"
        write(asked, rows)
        run(a, "eval-sql", asked, *rows_of[engine], "--keep-going", "--out", scored)
        verdicts = [json.loads(line) for line in scored.open()]
        fine &= {at for at, row in enumerate(verdicts) if row["exec_match"]}
    chosen = [rows[at] for at in sorted(fine)][: a.rows]
    if len(chosen) < a.rows:
        sys.exit(f"{len(chosen)} references run on all engines, {a.rows} are wanted")
    print(f"{len(fine)} of {len(rows)} references run on all engines; the first {a.rows} are played")
    path = a.work / "rows.jsonl"
    write(path, [{key: value for key, value in row.items() if key != "predicted_sql"} for row in chosen])
    return path


def warm_up(a, sqlite):
    rows, adapter = a.work / "warmup.jsonl", a.work / "warm"
    if not rows.exists():
        run(a, "episodes", "make", "--data", a.work / "set/train.jsonl", *sqlite, "--base", a.base, "--out", rows)
    if not adapter.exists():
        run(a, "sft", "--data", rows, "--base", a.base, "--base-weights", a.weights, "--max-seq", "4096", "--batch", "4", "--epochs", str(a.epochs),
            "--group-prefix", "--out", adapter)
    return adapter


def play(a, name, engine, rows, where, lora):
    stem = a.work / f"{name.split()[0]}-{engine}"
    summary = stem.with_suffix(".json")
    if not summary.exists():
        run(a, "episodes", "run", "--data", rows, *where, "--base", a.base, "--weights", a.weights, *lora, "--max-tokens", str(a.max_tokens),
            "--out", stem.with_suffix(".jsonl"), "--summary-out", summary)
    return json.loads(summary.read_text())


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(a, *words):
    done = subprocess.run([a.factory, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"factory {' '.join(map(str, words))}: {done.stdout[-2000:]}")


if __name__ == "__main__":
    main()
