"""Rows a second of eval-sql on DuckDB and PostgreSQL beside a plain Python loop with the same checks; and on SQLite, of two builds.

    python3 -m venv V && V/bin/pip install duckdb==1.5.5 "psycopg[binary]==3.3.9" tpchgen-cli==4.0.0
    scripts/install_postgres.sh && export FACTORY_DUCKDB_LIB=$PWD/$(scripts/fetch_duckdb.sh)
    V/bin/python scripts/bench_engines.py [--factory target/release/factory] [--pairs 2000] [--repeats 5] [--work DIR]
    V/bin/python scripts/bench_engines.py --before OLD --after NEW [--pairs 2000] [--repeats 7] [--work DIR]

The pairs are those of scripts/check_tpch.py, and as many of queries that cost next to nothing, where what is measured is the way to
the engine and back. Medians of interleaved runs. The loop (scripts/tpch/loops.py) starts its child process outside the measure;
ours is the whole command, processes, reading and writing included. Both must give the same verdicts.
"""
import argparse
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pg_server
from tpch import loops, scoring
from tpch.databases import NAME, Databases
from tpch.mutants import pairs
from tpch.spelling import sql


def of_tpch(count, engine):
    return [dict(id=pair["id"], question=pair["question"], gold_sql=sql(pair["gold"], engine), predicted_sql=sql(pair["predicted"], engine))
            for pair in pairs(count, 0)]


def short(count, _):
    """Queries that look at a few rows: half of the answers are right."""
    rng = random.Random(0)
    forms = [
        ("select c_name, c_phone from customer where c_custkey = {}", "select c.c_name, c.c_phone from customer c where c.c_custkey = {}", 1500),
        ("select count(*), sum(l_quantity) from lineitem where l_orderkey = {}", "select count(l_tax), sum(l_quantity) from lineitem where l_orderkey = {}", 15000),
        ("select o_orderdate, o_totalprice from orders where o_custkey = {} order by 1", "select o_orderdate, o_totalprice from orders where o_custkey = {}", 1500),
        ("select n_name, r_name from nation, region where n_regionkey = r_regionkey and n_nationkey = {}",
         "select n_name, r_name from nation join region on r_regionkey = n_regionkey where n_nationkey = {}", 25),
    ]
    made = []
    for at in range(count):
        gold, other, most = forms[at % len(forms)]
        key, chance = rng.randrange(1, most), rng.random()
        predicted = gold if chance < 0.25 else other
        made.append(dict(id=f"short-{at:04}", question="", gold_sql=gold.format(key),
                         predicted_sql=predicted.format(key if chance < 0.5 else rng.randrange(1, most))))
    return made


KINDS = {"TPC-H": of_tpch, "short": short}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--factory", default="target/release/factory")
    p.add_argument("--before", help="with --after: two builds, on SQLite")
    p.add_argument("--after")
    p.add_argument("--engine", nargs="+", choices=["duckdb", "postgres"], default=["duckdb", "postgres"])
    p.add_argument("--kind", nargs="+", choices=[*KINDS], default=[*KINDS])
    p.add_argument("--pairs", type=int, default=2000)
    p.add_argument("--repeats", type=int, help="[default: 5; of two builds 7]")
    p.add_argument("--scale", default="0.01", help="of the tables; 1 is a gigabyte")
    p.add_argument("--work", type=Path, help="keeps the tables here")
    a = p.parse_args()
    if bool(a.before) != bool(a.after):
        p.error("--before and --after go together")
    # Two builds are compared on SQLite alone.
    server = contextlib.nullcontext() if a.before else pg_server.server()
    with tempfile.TemporaryDirectory(prefix="tpch-") as temporary, server as server:
        if server is None and not a.before:
            sys.exit("PostgreSQL is not installed: scripts/install_postgres.sh")
        work = (a.work or Path(temporary)).absolute()
        work.mkdir(parents=True, exist_ok=True)
        databases = Databases(work, a.scale, server)
        table = builds(a, databases) if a.before else engines(a, databases)
    print(f"{processor()}, {os.cpu_count()} cores")
    for line in table:
        print("| " + " | ".join(line) + " |")


def engines(a, databases):
    table = [("engine", "pairs", "loop, rows/s", "eval-sql, rows/s", "ratio"), ("---",) * 5]
    for engine in a.engine:
        for kind in a.kind:
            made = KINDS[kind](a.pairs, engine)
            preds = written(databases, engine, kind, made)
            loop = loops.Duckdb(databases.duckdb) if engine == "duckdb" else loops.Postgres(databases)

            def theirs():
                return loops.verdicts(loop.run, made)

            def ours():
                return scored(a.factory, preds, databases.asked(engine))

            try:
                before, after = interleaved([theirs, ours], a.repeats or 5, made)
            finally:
                loop.end()
            table.append((engine, f"{len(made)} {kind}", f"{len(made) / before:.0f}", f"{len(made) / after:.0f}", f"{before / after:.2f}"))
    return table


def builds(a, databases):
    table = [("engine", "pairs", "before, rows/s", "after, rows/s", "ratio"), ("---",) * 5]
    for kind in a.kind:
        made = KINDS[kind](a.pairs, "sqlite")
        preds = written(databases, "sqlite", kind, made)
        runs = [lambda build=build: scored(build, preds, databases.asked("sqlite")) for build in (a.before, a.after)]
        before, after = interleaved(runs, a.repeats or 7, made)
        table.append(("sqlite", f"{len(made)} {kind}", f"{len(made) / before:.0f}", f"{len(made) / after:.0f}", f"{before / after:.3f}"))
    return table


def written(databases, engine, kind, made):
    preds = databases.work / f"bench-{engine}-{kind}.jsonl"
    scoring.write(preds, made, NAME)
    return preds


def scored(factory, preds, where):
    seconds, rows = scoring.score(factory, preds, where)
    return seconds, [row["exec_match"] for row in rows]


def interleaved(runs, repeats, made):
    """The median seconds of each of two runs, which must agree."""
    times = [[], []]
    for _ in range(repeats):
        (first, one), (second, other) = [run() for run in runs]
        differing = [pair for pair, left, right in zip(made, one, other) if left != right]
        for pair in differing[:5]:
            print(f"{pair['id']}: {pair['gold_sql']} | {pair['predicted_sql']}")
        if differing:
            sys.exit(f"{len(differing)} verdicts differ")
        times[0].append(first)
        times[1].append(second)
    print(*(f"{' '.join(f'{seconds:.1f}' for seconds in side)} s" for side in times), sep="; ", file=sys.stderr)
    return map(statistics.median, times)


def processor():
    info = Path("/proc/cpuinfo")
    if info.exists():
        return next((line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")), "unknown processor")
    return subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
