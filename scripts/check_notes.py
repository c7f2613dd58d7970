"""The SQL of the dialect notes (src/db/notes), checked by other people's tools: SQLite, DuckDB and PostgreSQL run theirs over the
tables of tests/goldens/notes, sqlglot parses the rest. A snippet must give rows where it runs.

    python scripts/check_notes.py

scripts/check_notes.sh installs what it needs."""

import contextlib
import glob
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import sqlglot

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
    """A server of its own on a Unix socket, in a folder that goes with it; None where PostgreSQL is not installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")) or [shutil.which("initdb")]
    if not found[-1]:
        yield None
        return
    programs = Path(found[-1]).resolve().parent
    # The server refuses to run as root.
    user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="notes-") as folder:
        if user:
            shutil.chown(folder, "postgres")

        def run(program, *words, **more):
            command = [*user, programs / program, *words]
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder, **more)
            if done.returncode:
                raise RuntimeError(done.stderr.strip() or done.stdout.strip())
            return done.stdout

        def query(*words, options=""):
            # A row is a line: no snippet gives text with line breaks.
            flags = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", folder, "-U", "postgres", "-d", "postgres"]
            return run("psql", *flags, *words, env={**os.environ, "PGOPTIONS": options}).splitlines()

        control = ["-D", f"{folder}/data", "-w"]
        run("initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C")
        # Not through a pipe: the server would hold it open.
        with open(os.devnull, "w") as nowhere:
            start = [*user, programs / "pg_ctl", *control, "-l", f"{folder}/log", "-o", f"-k {folder} -c listen_addresses=''", "start"]
            subprocess.run(start, check=True, cwd=folder, stdout=nowhere)
        try:
            query("-c", fixture("postgres"))
            version = query("-c", "SHOW server_version")[0].split()[0]
            readonly = "-c default_transaction_read_only=on"
            yield f"PostgreSQL {version}", lambda sql: len(query("-c", sql, options=readonly))
        finally:
            run("pg_ctl", *control, "-m", "immediate", "stop")


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
