"""TPC-H in SQLite, DuckDB and PostgreSQL: the same rows, each engine's usual types, and the keys that it needs to be quick."""
import csv
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import psycopg

NAME = "tpch"

# Columns by kind: i an integer, m an amount of money or another decimal, d a day, t a text. The first ones are the primary key.
TABLES = {
    "region": ("r_regionkey:i r_name:t r_comment:t", 1),
    "nation": ("n_nationkey:i n_name:t n_regionkey:i n_comment:t", 1),
    "supplier": ("s_suppkey:i s_name:t s_address:t s_nationkey:i s_phone:t s_acctbal:m s_comment:t", 1),
    "customer": ("c_custkey:i c_name:t c_address:t c_nationkey:i c_phone:t c_acctbal:m c_mktsegment:t c_comment:t", 1),
    "part": ("p_partkey:i p_name:t p_mfgr:t p_brand:t p_type:t p_size:i p_container:t p_retailprice:m p_comment:t", 1),
    "partsupp": ("ps_partkey:i ps_suppkey:i ps_availqty:i ps_supplycost:m ps_comment:t", 2),
    "orders": ("o_orderkey:i o_custkey:i o_orderstatus:t o_totalprice:m o_orderdate:d o_orderpriority:t o_clerk:t o_shippriority:i "
               "o_comment:t", 1),
    "lineitem": ("l_orderkey:i l_linenumber:i l_partkey:i l_suppkey:i l_quantity:m l_extendedprice:m l_discount:m l_tax:m l_returnflag:t "
                 "l_linestatus:t l_shipdate:d l_commitdate:d l_receiptdate:d l_shipinstruct:t l_shipmode:t l_comment:t", 2),
}
# What joins look for besides the primary keys.
INDEXES = ["nation (n_regionkey)", "supplier (s_nationkey)", "customer (c_nationkey)", "partsupp (ps_suppkey)", "orders (o_custkey)",
           "orders (o_orderdate)", "lineitem (l_partkey, l_suppkey)", "lineitem (l_suppkey)", "lineitem (l_shipdate)"]
TYPES = {
    "sqlite": {"i": "INTEGER", "m": "REAL", "d": "TEXT", "t": "TEXT"},
    "duckdb": {"i": "INTEGER", "m": "DECIMAL(15,2)", "d": "DATE", "t": "VARCHAR"},
    "postgres": {"i": "INTEGER", "m": "NUMERIC(15,2)", "d": "DATE", "t": "VARCHAR"},
}


def columns(table):
    return [column.split(":") for column in TABLES[table][0].split()]


def ddl(engine):
    for table, (_, keys) in TABLES.items():
        declared = [f"{name} {TYPES[engine][kind]} NOT NULL" for name, kind in columns(table)]
        # DuckDB reads its columns as quickly without an index.
        if engine != "duckdb":
            declared.append(f"PRIMARY KEY ({', '.join(name for name, _ in columns(table)[:keys])})")
        yield f"CREATE TABLE {table} ({', '.join(declared)})"


class Databases:
    """The two files, in folders of their own, and what leads to the schema of the server, if there is one."""

    def __init__(self, work, scale, server):
        self.work, self.server = work, server
        self.rows = work / f"csv-{scale}"
        self.sqlite, self.duckdb = work / f"sqlite-{scale}" / f"{NAME}.sqlite", work / f"duckdb-{scale}" / f"{NAME}.duckdb"
        if not self.rows.exists():
            generate(self.rows, scale)
        for file, fill in [(self.sqlite, self.fill_sqlite), (self.duckdb, self.fill_duckdb)]:
            if not file.exists():
                file.parent.mkdir(exist_ok=True)
                new = file.with_name("new")
                new.unlink(missing_ok=True)
                fill(new)
                new.rename(file)
        self.connections = work / "connections.toml"
        if server:
            self.fill_postgres()
            self.connections.write_text(f'[{NAME}]\nurl = "postgresql:///postgres?host={server.folder}&user=reader"\n')

    def of(self, table):
        return self.rows / f"{table}.csv"

    def fill_sqlite(self, file):
        database = sqlite3.connect(file)
        for statement in ddl("sqlite"):
            database.execute(statement)
        for table in TABLES:
            into = f"INSERT INTO {table} VALUES ({', '.join(':' + name for name, _ in columns(table))})"
            with self.of(table).open(newline="") as rows:
                database.executemany(into, csv.DictReader(rows))
        for at, index in enumerate(INDEXES):
            database.execute(f"CREATE INDEX index_{at} ON {index}")
        database.execute("ANALYZE")
        database.commit()
        database.close()

    def fill_duckdb(self, file):
        with duckdb.connect(str(file)) as database:
            for statement in ddl("duckdb"):
                database.execute(statement)
            for table in TABLES:
                names = ", ".join(name for name, _ in columns(table))
                database.execute(f"INSERT INTO {table} SELECT {names} FROM read_csv('{self.of(table)}', header = true)")

    def fill_postgres(self):
        with self.connect_postgres("postgres") as database:
            database.execute(f"CREATE SCHEMA {NAME}")
            database.execute(f"SET search_path = {NAME}")
            for statement in ddl("postgres"):
                database.execute(statement)
            for table in TABLES:
                with self.of(table).open() as rows:
                    header = rows.readline()
                    with database.cursor().copy(f"COPY {table} ({header}) FROM STDIN (FORMAT csv)") as copy:
                        copy.write(rows.read())
            for index in INDEXES:
                database.execute(f"CREATE INDEX ON {index}")
            # Who asks may read, and finds the tables without naming their schema.
            database.execute(f"CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA {NAME} TO reader")
            database.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {NAME} TO reader; ALTER ROLE reader SET search_path = {NAME}")
            database.commit()
            database.autocommit = True
            database.execute("VACUUM ANALYZE")

    def connect_postgres(self, user="reader"):
        return psycopg.connect(host=self.server.folder, user=user, dbname="postgres")

    def asked(self, engine):
        """The words by which eval-sql is told where an engine's rows are."""
        return {
            "sqlite": ["--db-dir", self.sqlite.parent],
            "duckdb": ["--db-dir", self.duckdb.parent],
            "postgres": ["--connection", NAME, "--connections", self.connections],
        }[engine]


def generate(folder, scale):
    """The tables as CSV, by tpchgen-cli."""
    program = Path(sys.executable).with_name("tpchgen-cli")
    program = program if program.exists() else shutil.which("tpchgen-cli")
    if not program:
        sys.exit("tpchgen-cli is not installed: pip install tpchgen-cli")
    new = folder.with_name("new")
    shutil.rmtree(new, ignore_errors=True)
    subprocess.run([program, "csv", "-s", str(scale), "--output-dir", new], check=True, stdout=subprocess.DEVNULL)
    new.rename(folder)
