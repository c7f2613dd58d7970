"""The SQL of the dialect notes (src/db/notes), checked by other people's tools: SQLite, DuckDB and PostgreSQL run theirs over the
tables of tests/goldens/notes, sqlglot parses the rest. A snippet must give rows where it runs.

    python scripts/check_notes.py

scripts/check_notes.sh installs what it needs."""

import contextlib
import re
import sqlite3
import sys
from pathlib import Path

import duckdb
import sqlglot

import pg_server

ROOT = Path(__file__).parent.parent
PARSED = ("mysql", "snowflake", "bigquery", "clickhouse", "tsql")


def snippets(dialect):
    """(facet, SQL) of every block of SQL in a dialect's notes."""
    facet, block = "", None
    for line in (ROOT / f"src/db/notes/{dialect}.md").read_text().splitlines():
        if block is None and line.startswith("## "):
            facet = line[3:]
        elif block is None and line == "```sql":
            block = []
        elif block is not None and line == "```":
            yield facet, "\n".join(block)
            block = None
        elif block is not None:
            block.append(line)


def fixture(dialect):
    return (ROOT / f"tests/goldens/notes/{dialect}.sql").read_text()


@contextlib.contextmanager
def sqlite():
    connection = sqlite3.connect(":memory:")
    connection.executescript(fixture("sqlite"))
    yield f"SQLite {sqlite3.sqlite_version}", lambda sql: len(connection.execute(sql).fetchall())


@contextlib.contextmanager
def duck():
    connection = duckdb.connect()
    connection.execute(fixture("duckdb"))
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    yield f"DuckDB {duckdb.__version__}", lambda sql: len(connection.execute(sql).fetchall())


@contextlib.contextmanager
def postgres():
    """None where PostgreSQL is not installed."""
    with pg_server.server() as server:
        if server is None:
            yield None
            return
        server.psql("-c", fixture("postgres"))
        readonly = "-c default_transaction_read_only=on"
        # A row is a line: no snippet gives text with line breaks.
        yield f"PostgreSQL {server.version()}", lambda sql: len(server.psql("-c", sql, options=readonly))


@contextlib.contextmanager
def parser(dialect):
    def parse(sql):
        statements = sqlglot.parse(sql, dialect=dialect)
        # What sqlglot does not understand it may keep as an opaque command.
        if len(statements) != 1 or not isinstance(statements[0], sqlglot.exp.Query):
            raise ValueError("not one query")
        return 1

    yield f"sqlglot {sqlglot.__version__}", parse


def check(dialect, opened):
    """Prints how a dialect fares, and says how many of its snippets fail."""
    with opened as tool:
        if tool is None:
            print(f"{dialect}: not checked, its server is not installed")
            return 0
        name, count = tool
        failures, total = 0, 0
        for facet, sql in snippets(dialect):
            total += 1
            try:
                fault = None if count(sql) else "it gives no rows"
            except Exception as error:
                # sqlglot underlines the place for a terminal.
                fault = " ".join(re.sub(r"\x1b\[\d+m", "", str(error)).split())
            if fault:
                failures += 1
                print(f"src/db/notes/{dialect}.md, {facet}: {fault}", file=sys.stderr)
        print(f"{dialect}: {total - failures} of {total} snippets pass ({name})")
        return failures if total else 1


if __name__ == "__main__":
    engines = {"sqlite": sqlite(), "duckdb": duck(), "postgres": postgres(), **{dialect: parser(dialect) for dialect in PARSED}}
    failures = sum(check(dialect, opened) for dialect, opened in engines.items())
    sys.exit(1 if failures else 0)
