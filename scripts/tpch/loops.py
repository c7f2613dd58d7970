"""Plain loops over pairs, as a careful person writes them in Python, with the checks of eval-sql: a query is one statement that
reads, what it may do is confined, it ends at a deadline, and its result is bounded. Each gives a verdict a pair."""
import multiprocessing
import time

import duckdb
import psycopg

from tpch import rules

TIMEOUT = 60
MOST_ROWS = 100_000


def verdicts(run, pairs):
    """Seconds of a loop, and what it says of each pair; a query that fails is no match."""
    start = time.perf_counter()
    found = []
    for pair in pairs:
        gold, predicted = run(pair["gold_sql"]), run(pair["predicted_sql"])
        found.append(gold is not None and predicted is not None and rules.same(gold, predicted))
    return time.perf_counter() - start, found


class Duckdb:
    """Queries run in a child process, which is killed at the deadline and made anew."""

    def __init__(self, file):
        self.file = str(file)
        self.begin()

    def begin(self):
        self.here, there = multiprocessing.Pipe()
        self.child = multiprocessing.get_context("spawn").Process(target=serve_duckdb, args=(self.file, there), daemon=True)
        self.child.start()
        there.close()
        self.here.recv()

    def end(self):
        self.child.kill()
        self.child.join()
        self.here.close()

    def run(self, sql):
        self.here.send(sql)
        try:
            if self.here.poll(TIMEOUT):
                return self.here.recv()
        except EOFError:
            pass  # it died
        self.end()
        self.begin()
        return None


def serve_duckdb(file, pipe):
    connection = duckdb.connect(file, read_only=True, config={"enable_external_access": "false", "autoload_known_extensions": "false",
                                                              "autoinstall_known_extensions": "false", "memory_limit": "512MB"})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET lock_configuration = true")
    pipe.send(None)
    while True:
        sql = pipe.recv()
        try:
            [statement] = connection.extract_statements(sql)
            if statement.type != duckdb.StatementType.SELECT:
                raise ValueError("it does more than read")
            rows = connection.execute(statement).fetchmany(MOST_ROWS + 1)
            pipe.send(rows if len(rows) <= MOST_ROWS else None)
        except (duckdb.Error, ValueError):
            pipe.send(None)


class Postgres:
    """A new connection a query: a lock or a setting of the session would outlive its transaction."""

    def __init__(self, databases):
        self.connect = databases.connect_postgres

    def run(self, sql):
        with self.connect() as connection:
            connection.autocommit = True
            connection.execute("BEGIN READ ONLY")
            connection.execute(f"SET LOCAL statement_timeout = {TIMEOUT * 1000}")
            try:
                # Prepared, so that the server takes one statement alone.
                rows = connection.execute(sql, prepare=True).fetchmany(MOST_ROWS + 1)
            except psycopg.Error:
                rows = None
            connection.execute("ROLLBACK")
        return rows if rows is None or len(rows) <= MOST_ROWS else None

    def end(self):
        pass
