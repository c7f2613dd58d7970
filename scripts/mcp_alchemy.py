"""The texts of four tools of `factory mcp serve` beside those of mcp-alchemy itself, on SQLite and PostgreSQL: the same calls to both servers,
byte for byte. Calls that fail are compared by failing: engines' messages stand in SQLAlchemy's words there.

    python scripts/mcp_alchemy.py BINARY

scripts/mcp_alchemy.sh installs what it needs. Needs PostgreSQL's programs (scripts/install_postgres.sh)."""

import asyncio
import glob
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

SQLITE = """
CREATE TABLE Artist (ArtistId INTEGER PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE Album (AlbumId INTEGER NOT NULL, Title NVARCHAR(160) NOT NULL, ArtistId INTEGER NOT NULL,
    CONSTRAINT PK_Album PRIMARY KEY (AlbumId), FOREIGN KEY (ArtistId) REFERENCES Artist (ArtistId) ON DELETE NO ACTION);
CREATE TABLE track (id INTEGER PRIMARY KEY AUTOINCREMENT, album INT REFERENCES Album, artist INT REFERENCES Artist(ArtistId),
    price DECIMAL(10,2) DEFAULT 0.99, bytes BIGINT, length REAL, sample BLOB, added DATETIME DEFAULT CURRENT_TIMESTAMP, note, flag BOOLEAN DEFAULT 1);
CREATE TABLE "two words" ("the key" TEXT, b INT, "c""d" VARCHAR(3), PRIMARY KEY (b, "the key"));
CREATE TABLE part ("the key" TEXT, b INT, x DOUBLE PRECISION, FOREIGN KEY (b, "the key") REFERENCES "two words" (b, "the key"));
CREATE TABLE odd (a UNSIGNED BIG INT, b CHARACTER(20), c VARYING CHARACTER(255), d NATIVE CHARACTER(70), e CLOB, f DOUBLE, g FLOAT, h NUMERIC(5),
    i DATE, j TIMESTAMP, k INT2, l STRING, m JSON, n TIME, o DECIMAL);
CREATE VIEW totals AS SELECT artist, count(*) AS tracks FROM track GROUP BY artist;
INSERT INTO Artist VALUES (1, 'AC/DC'), (2, 'Antônio'), (3, NULL);
INSERT INTO Album VALUES (1, 'For Those About To Rock', 1), (2, 'Let''s "Rock"', 1);
INSERT INTO track (album, artist, bytes, length, sample, added, note) VALUES
    (1, 1, 11170334, 343.719, x'00ff27', '2024-02-29 12:00:00', 'a' || char(10) || 'b'),
    (2, 2, 9223372036854775807, 1e300, x'', '2024-03-01', 12), (2, NULL, NULL, 0.1, NULL, NULL, 1.5);
INSERT INTO "two words" VALUES ('x', 1, 'abc');
"""

POSTGRES = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE artist (id serial PRIMARY KEY, name varchar(120) NOT NULL DEFAULT 'nobody');
CREATE TABLE album (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL, artist_id int NOT NULL REFERENCES artist(id) ON DELETE CASCADE,
    released date DEFAULT CURRENT_DATE, price numeric(10,2) DEFAULT 9.99);
CREATE TABLE track (id bigserial, album int REFERENCES album, n smallint, length interval, added timestamptz DEFAULT now(), at timestamp(3), t time,
    ok boolean DEFAULT true, r real, d double precision, x numeric, raw bytea, tags text[], info jsonb DEFAULT '{}', u uuid, c char(3),
    double_n int GENERATED ALWAYS AS (n * 2) STORED, PRIMARY KEY (id, n));
CREATE TABLE "Two Words" ("the key" text PRIMARY KEY, "Other" int DEFAULT -1);
COMMENT ON COLUMN artist.name IS 'a name';
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE kinds (a mood DEFAULT 'sad', b mood[], c positive, d bit(3), e bit varying(5), f interval day to second(3), g interval year, h time with time zone, i inet, j money,
    k json, l int4range, m point, n "char", o name, p oid, q macaddr, r tsvector, s xml, t timestamp(0), u numeric(8), v varchar, w char, x real, y cidr, z regclass);
CREATE VIEW totals AS SELECT album, count(*) AS tracks FROM track GROUP BY album;
INSERT INTO artist (name) VALUES ('AC/DC'), ('Antônio');
INSERT INTO album (title, artist_id, released, price) VALUES ('Rock', 1, '2024-02-29', 9.99), ('It''s "x"', 2, '1999-12-31', 0.5);
INSERT INTO track (album, n, length, added, at, t, ok, r, d, x, raw, tags, info, u, c) VALUES
    (1, 1, '1 day 02:03:04.5', '2024-02-29 12:00:00.25+00', '2024-02-29 12:00:00', '01:02:03', true, 0.1, 1e20, 1.50, '\\x00ff', '{a,"b c",NULL}', '{"a": [1, 2.5, null, true, "it''s"]}',
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'ab'),
    (1, 2, '-00:00:01', NULL, '2024-02-29 12:00:00.123', NULL, false, 'NaN', 'Infinity', 0.0000001, NULL, '{}', 'null', NULL, NULL),
    (2, 3, '1 year 2 mons 3 days', NULL, NULL, '23:59:59.5', NULL, -1.5, 1e-7, 123456789012345678901234567890, NULL, NULL, '[]', NULL, NULL);
"""

MANY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT i, 'row number ' || i AS label FROM n"


def names(tables):
    calls = [("all_table_names", {})]
    calls += [("filter_table_names", {"q": q}) for q in ["a", "rt", "", "nothing", "Two", "two w", "_"]]
    calls += [("schema_definitions", {"table_names": [table]}) for table in tables]
    calls += [("schema_definitions", {"table_names": chosen}) for chosen in [tables[:2], tables, tables[::-1], []]]
    return calls + [("schema_definitions", {"table_names": ["nothing"]})]


def queries(of):
    return [("execute_query", {"query": query, "params": params} if params else {"query": query}) for query, params in of]


COMMON = [
    ("SELECT 1", None), ("SELECT 1 AS a, 2 AS a, 'x' AS \"b c\"", None), ("SELECT NULL", None), ("SELECT 1 WHERE 1 = 0", None),
    ("SELECT -5, 1.5, 'it''s', ''", None), (MANY.format(3), None), (MANY.format(100), None), (MANY.format(148), None), (MANY.format(500), None),
    ("SELECT 'ü' || 'ß' AS text", None), ("SELECT :a AS a", {"a": "it's"}), ("SELECT 7 - :n AS n", {"n": -3}), ("SELECT 1 WHERE 'x' = :x", {"x": "y"}),
    ("SELECT :a AS a, :a AS b", {"a": "x"}), ("SELECT count(*) FROM totals", None), ("SELECT 'a' UNION ALL SELECT 'b' ORDER BY 1 DESC", None),
    ("SELECT x FROM nothing", None), ("SELEC 1", None), ("SELECT 1 +", None), ("SELECT :missing", {"a": 1}),
    ("SELECT 'a:b', '12:30', 'x' -- c", None), ("SELECT 1;", None), ("  SELECT 2  ", None), ("SELECT 1 /* c */ AS x", None),
]

ON_SQLITE = names(["Artist", "Album", "track", "two words", "part", "odd", "totals"]) + queries(COMMON + [
    ("SELECT * FROM Artist", None), ("SELECT * FROM track ORDER BY id", None), ("SELECT Title FROM Album WHERE ArtistId = :id", {"id": 1}),
    ("SELECT 1e15, 1e16, 1e-4, 1e-5, 0.1 + 0.2, 2.0, -0.0, 9e999, -9e999", None), ("SELECT x'', x'00ff275c0a', x'2227'", None),
    ("SELECT zeroblob(3000)", None), ("SELECT hex(zeroblob(3000))", None), ("SELECT printf('%.4000d', 1)", None),
    ("SELECT Name FROM Artist WHERE Name LIKE :like ORDER BY 1", {"like": "A%"}), ("SELECT :b AS b, :f AS f, :n AS n", {"b": True, "f": 0.25, "n": None}),
    ("SELECT sqlite_version() IS NOT NULL", None), ("SELECT json('{\"a\": 1}')", None), ("VALUES (1, 'a'), (2, 'b')", None),
    ("SELECT date('2024-02-29', '+1 day')", None), ("SELECT char(9, 13, 0x1F600)", None),
])

ON_POSTGRES = names(["artist", "album", "track", "Two Words", "kinds", "totals"]) + queries(COMMON + [
    ("SELECT * FROM artist ORDER BY id", None), ("SELECT id, title, artist_id, released, price FROM album ORDER BY id", None),
    ("SELECT id, n, length, added, at, t, ok FROM track ORDER BY id", None), ("SELECT r, d, x, tags, info, u, c, double_n FROM track ORDER BY id", None),
    ("SELECT 1.50::numeric, 0.000001::numeric, 0.0000001::numeric, 'NaN'::numeric, 1e30::numeric", None), ("SELECT 0.1::real, 1e20::real, 1e16::float8, 0.1::float8, 'NaN'::float8, '-Infinity'::float8", None),
    ("SELECT ARRAY[1,2], ARRAY['a','b''c'], ARRAY[true,false], ARRAY[1.5,2], ARRAY[[1,2],[3,4]], '{}'::int[]", None),
    ("SELECT '{\"b\": 1, \"a\": {\"c\": [1.0, \"x\"]}}'::json, '\"text\"'::jsonb, '12'::jsonb, 'null'::json", None),
    ("SELECT interval '1 day', interval '-1 day', interval '25 hours', interval '1 mon', interval '0'", None),
    ("SELECT timestamp '2024-02-29 12:00:00.5', timestamptz '2024-02-29 12:00:00+02', time '12:00', timetz '12:00+02', date '2024-02-29'", None),
    ("SELECT 'happy'::mood, '192.168.0.1'::inet, 'x'::char(3), 5::oid, '(1,2)'::point, B'101'", None),
    ("SELECT id, title FROM album WHERE id = :id AND price > :price", {"id": 1, "price": 0.5}), ("SELECT title FROM album WHERE title = :title", {"title": "It's \"x\""}),
    ("SELECT 1::text, '2'::int", None), ("SELECT CAST(:n AS int) IS NULL AS missing, :b AS b", {"n": None, "b": True}), ("SELECT repeat('x', 4000)", None),
])


async def ask(client, tool, arguments):
    try:
        result = await client.call_tool(tool, arguments)
    except Exception as error:
        return True, str(error)
    text = "".join(block.text for block in result.content)
    return result.is_error or text.startswith("Error: "), text


async def compare(binary, url, ours, calls):
    theirs = StdioServerParameters(command=str(Path(sys.executable).with_name("mcp-alchemy")), env={**os.environ, "DB_URL": url})
    own = StdioServerParameters(command=binary, args=["mcp", "serve", "--db", ours])
    different = failed = 0
    with open(os.devnull, "w") as nowhere:
        async with Client(stdio_client(own, errlog=nowhere)) as own, Client(stdio_client(theirs, errlog=nowhere)) as theirs:
            for tool, arguments in calls:
                one, other = await ask(own, tool, arguments), await ask(theirs, tool, arguments)
                failed += one[0] and other[0]
                if one[0] != other[0] or (not one[0] and one[1] != other[1]):
                    different += 1
                    print(f"{tool} {arguments}\n  ours:   {one[1][:600]!r}\n  theirs: {other[1][:600]!r}")
    return different, failed


class Postgres:
    """A server on a socket in a folder of its own."""

    def __init__(self):
        found = shutil.which("initdb")
        self.programs = str(Path(found).parent) if found else max(glob.glob("/usr/lib/postgresql/*/bin"))
        self.folder = tempfile.mkdtemp(prefix="pg")
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
        self.run("initdb", "--no-sync", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--pgdata", self.data)
        with open(f"{self.data}/postgresql.auto.conf", "a") as settings:
            settings.write(f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\nfsync = off\ntimezone = 'UTC'\nautovacuum = off\n")
        self.run("pg_ctl", "start", "--wait", "--silent", "-D", self.data, "-l", f"{self.folder}/log")

    @property
    def data(self):
        return f"{self.folder}/data"

    def run(self, program, *arguments, **more):
        path = f"{self.programs}/{program}"
        user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        subprocess.run([*user, path if os.path.exists(path) else program, *arguments], check=True, stdout=subprocess.DEVNULL, **more)

    def stop(self):
        self.run("pg_ctl", "stop", "--silent", "--mode=immediate", "-D", self.data)
        shutil.rmtree(self.folder)


def main():
    binary = os.path.abspath(sys.argv[1])
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        database = f"{folder}/music.sqlite"
        shop = sqlite3.connect(database)
        shop.executescript(SQLITE)
        shop.close()
        different, failed = asyncio.run(compare(binary, f"sqlite:///{database}", database, ON_SQLITE))
        print(f"SQLite: {len(ON_SQLITE)} calls, {different} different ({failed} fail on both sides)")
        total += different
    postgres = Postgres()
    try:
        postgres.run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", postgres.folder, "-U", "postgres", input=POSTGRES, text=True)
        where = f"/postgres?host={postgres.folder}&user=postgres"
        different, failed = asyncio.run(compare(binary, f"postgresql+psycopg2://{where}", f"postgresql://{where}", ON_POSTGRES))
        print(f"PostgreSQL: {len(ON_POSTGRES)} calls, {different} different ({failed} fail on both sides)")
        total += different
    finally:
        postgres.stop()
    sys.exit(total != 0)


main()
