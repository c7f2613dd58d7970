"""The same verdicts on SQLite, DuckDB and PostgreSQL: pairs of queries over TPC-H that mean the same on all three.

    python3 -m venv V && V/bin/pip install duckdb==1.5.5 "psycopg[binary]==3.3.9" tpchgen-cli==4.0.0
    scripts/install_postgres.sh && export FACTORY_DUCKDB_LIB=$PWD/$(scripts/fetch_duckdb.sh)
    V/bin/python scripts/check_tpch.py [--factory target/release/factory] [--pairs 2000] [--seed 0] [--scale 0.01] [--work DIR]

The 22 questions of TPC-H (scripts/tpch/queries.py), with constants and changes of chance (scripts/tpch/mutants.py), each spelled for
each engine. First every query is run by the engines' own Python modules, which must give the same rows, to nine digits. Then
`eval-sql` scores the pairs on each engine. A verdict that is not the same on all three is told with its reason, which is found by
undoing it: rows are the same once numbers are compared to nine digits, or once literals are added as decimals. Exits with 1 where
rows or verdicts differ for no known reason.
"""
import argparse
import decimal
import re
import sqlite3
import sys
import tempfile
from collections import Counter
from pathlib import Path

import duckdb
import psycopg

import pg_server
from tpch import rules, scoring
from tpch.databases import NAME, Databases
from tpch.mutants import pairs
from tpch.spelling import ENGINES, sql

LITERALS = "SQLite adds 0.06 and 0.01 as floating-point numbers, which gives less than 0.07"
WHOLE = "a whole REAL of SQLite is not the text of an integer (17.0, 17)"
LAST_DIGITS = "the last of the fifteen digits of a floating-point number in {}"
NUMERIC = "digits of a NUMERIC quotient behind the fifteenth, which PostgreSQL keeps"


class Rows:
    """The rows of queries by the engines' own modules; a query that fails has none."""

    def __init__(self, databases):
        sqlite = sqlite3.connect(f"file:{databases.sqlite}?mode=ro", uri=True)
        duck = duckdb.connect(str(databases.duckdb), read_only=True)
        postgres = databases.connect_postgres()
        postgres.autocommit = True
        self.modules = {"sqlite": (sqlite, sqlite3.OperationalError), "duckdb": (duck, duckdb.BinderException),
                        "postgres": (postgres, psycopg.errors.UndefinedColumn)}
        self.known = {}

    def of(self, engine, text):
        if (engine, text) not in self.known:
            module, error = self.modules[engine]
            try:
                self.known[engine, text] = [tuple(row) for row in module.execute(text).fetchall()]
            except error:
                self.known[engine, text] = None
        return self.known[engine, text]


def near(rows, others):
    """Also where both fail."""
    return rows is others if rows is None or others is None else rules.near(rows, others)


def exact_literals(text):
    """A query with the sums of its decimal literals in their place."""
    return re.sub(r"\b\d+\.\d+ [-+] \d+\.\d+\b", lambda found: str(added(*found[0].split())), text)


def added(left, sign, right):
    left, right = decimal.Decimal(left), decimal.Decimal(right)
    return left + right if sign == "+" else left - right


def rows_differ(query, rows):
    """Why the rows of a query are not the same on all engines: None where they are, "" where it is not known."""
    texts = {engine: sql(query, engine) for engine in ENGINES}
    given = {engine: rows.of(engine, text) for engine, text in texts.items()}
    if near(given["duckdb"], given["postgres"]):
        if near(given["sqlite"], given["duckdb"]):
            return None
        if near(rows.of("sqlite", exact_literals(texts["sqlite"])), given["duckdb"]):
            return LITERALS
    return ""


def reason(pair, scored, rows):
    """Why the verdicts on a pair are not the same; "" where it is not known."""
    def sides(engine, spelled=lambda text: text):
        return [rows.of(engine, spelled(sql(pair[side], engine))) for side in ("gold", "predicted")]

    if any(faults(row) for row in scored.values()):
        return ""
    verdicts = {engine: row["exec_match"] for engine, row in scored.items()}
    loosely = {engine: near(*sides(engine)) for engine in ENGINES}
    if all(loosely.values()):
        found = [digits(engine, sides(engine)) for engine in ENGINES if not verdicts[engine]]
        return "; ".join(found) if all(found) else ""
    undone = {**loosely, "sqlite": near(*sides("sqlite", exact_literals))}
    found = len({*undone.values(), verdicts["duckdb"], verdicts["postgres"]}) == 1
    return LITERALS if found and undone != loosely else ""


def faults(row):
    """Why a scored row has no rows of the answer."""
    return row["predicted_error"] or ("" if row["scored_sql"] else "no query was found in the text")


def digits(engine, sides):
    """Why an engine's rows are not the same that are so to nine digits. Python's SQLite may be another, with other last digits."""
    if engine != "sqlite" and rules.same(*sides):
        return ""
    if engine == "postgres":
        return NUMERIC
    return WHOLE if engine == "sqlite" and rules.same(*map(whole, sides)) else LAST_DIGITS.format(engine)


def whole(rows):
    """Rows with integers for whole numbers."""
    return [[int(value) if isinstance(value, float) and value.is_integer() else value for value in row] for row in rows]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--factory", default="target/release/factory")
    p.add_argument("--pairs", type=int, default=2000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--scale", default="0.01", help="of the tables; 1 is a gigabyte")
    p.add_argument("--work", type=Path, help="keeps the tables, the pairs and the scored rows here")
    a = p.parse_args()
    with tempfile.TemporaryDirectory(prefix="tpch-") as temporary, pg_server.server() as server:
        if server is None:
            sys.exit("PostgreSQL is not installed: scripts/install_postgres.sh")
        work = (a.work or Path(temporary)).absolute()
        work.mkdir(parents=True, exist_ok=True)
        sys.exit(check(a, Databases(work, a.scale, server)))


def check(a, databases):
    made = pairs(a.pairs, a.seed)
    rows = Rows(databases)
    unknown = 0

    odd = Counter()
    queries = {sql(query, "postgres"): query for pair in made for query in (pair["gold"], pair["predicted"])}
    for query in queries.values():
        why = rows_differ(query, rows)
        if why is not None:
            odd[why] += 1
        if why == "":
            print(f"{query.name}: other rows, for no known reason: " + " | ".join(sql(query, engine) for engine in ENGINES))
    print(f"{len(queries)} queries: {len(queries) - sum(odd.values())} give the same rows on SQLite, DuckDB and PostgreSQL")
    unknown += told(odd)

    scored = {}
    for engine in ENGINES:
        preds = databases.work / f"{engine}.jsonl"
        texts = [dict(id=pair["id"], question=pair["question"], gold_sql=sql(pair["gold"], engine), predicted_sql=sql(pair["predicted"], engine))
                 for pair in made]
        scoring.write(preds, texts, NAME)
        seconds, scored[engine] = scoring.score(a.factory, preds, databases.asked(engine))
        right = sum(row["exec_match"] for row in scored[engine])
        print(f"{engine}: {right} of {len(made)} pairs are right ({seconds:.0f} s)")

    differing = Counter()
    for pair, *of_pair in zip(made, *scored.values()):
        of_pair = dict(zip(ENGINES, of_pair))
        verdicts = {engine: row["exec_match"] for engine, row in of_pair.items()}
        if len(set(verdicts.values())) > 1:
            why = reason(pair, of_pair, rows)
            differing[why] += 1
            print(f"{pair['id']} ({', '.join(pair['changes'])}): {why or 'no known reason'}")
            for engine, row in of_pair.items():
                print(f"  {engine}: {'right' if row['exec_match'] else 'wrong'} {faults(row)}".rstrip())
    print(f"{len(made)} pairs: the same verdict on all three for {len(made) - sum(differing.values())}")
    return 1 if unknown + told(differing) else 0


def told(reasons):
    """Prints how often each reason was found, and gives how often none was."""
    for why, count in sorted(reasons.items()):
        print(f"  {count} differ: {why or 'for no known reason'}")
    return reasons[""]


if __name__ == "__main__":
    main()
