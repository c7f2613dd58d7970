"""Values of every type in DuckDB's own text, for tests/goldens/duckdb_types.json.

    python -m venv V && V/bin/pip install duckdb==1.5.5 && V/bin/python scripts/golden_duckdb.py

Not among scripts/goldens.py's peers: nothing else needs DuckDB. A blob is written in hexadecimal digits, a map as the list of
its entries, a union with the name of its member."""
import json
import pathlib

import duckdb

OUT = pathlib.Path(__file__).parent.parent / "tests/goldens/duckdb_types.json"

CASTS = {
    "BOOLEAN": ["true", "false"],
    "TINYINT": ["-128", "127"],
    "SMALLINT": ["-32768", "32767"],
    "INTEGER": ["-2147483648", "2147483647"],
    "BIGINT": ["-9223372036854775808", "9223372036854775807"],
    "UTINYINT": ["255"],
    "USMALLINT": ["65535"],
    "UINTEGER": ["4294967295"],
    "UBIGINT": ["0", "18446744073709551615"],
    "HUGEINT": ["-170141183460469231731687303715884105728", "-1", "170141183460469231731687303715884105727"],
    "UHUGEINT": ["7", "340282366920938463463374607431768211455"],
    "FLOAT": ["0.1", "-3.4028235e38", "1e-45", "nan", "inf", "-inf"],
    "DOUBLE": ["0.1", "-0.0", "1e300", "5e-324", "123456789.125", "nan", "inf", "-inf"],
    "DECIMAL(4,1)": ["123.4", "-0.5", "999.9"],
    "DECIMAL(2,2)": ["0.05", "-0.99"],
    "DECIMAL(9,4)": ["12345.6789", "-1"],
    "DECIMAL(18,3)": ["-999999999999999.999"],
    "DECIMAL(38,10)": ["9999999999999999999999999999.9999999999", "-0.0000000001"],
    "DECIMAL(38,38)": ["0.00000000000000000000000000000000000001"],
    "DECIMAL(5,0)": ["-12345"],
    "VARCHAR": ["", "ü", "twelve bytes", "thirteen byte", "x" * 5000],
    "BIT": ["1", "101", "00000001", "010101010", "1" * 200],
    "UUID": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000",
             "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "DATE": ["2024-02-29", "1969-12-31", "1970-01-01", "1900-03-01", "1600-12-31", "0001-01-01", "9999-12-31", "10000-01-01",
             "0001-12-31 (BC)", "0044-03-15 (BC)", "5881580-07-10", "5877642-06-25 (BC)", "infinity", "-infinity"],
    "TIME": ["00:00:00", "23:59:59.999999", "24:00:00", "12:30:00.5", "01:02:03.000400"],
    "TIME_NS": ["12:30:00.123456789", "00:00:00", "12:30:00.5"],
    "TIMETZ": ["12:30:00+05:30", "12:30:00.25-08", "00:00:00-15:59:59", "24:00:00+00", "01:02:03+15:59:59"],
    "TIMESTAMP": ["2024-02-29 12:34:56.789", "1969-12-31 23:59:59.999999", "2024-01-01", "0044-03-15 (BC) 12:00:00",
                  "290309-12-22 (BC) 00:00:00", "294247-01-10 04:00:54.775806", "infinity", "-infinity"],
    "TIMESTAMP_S": ["2024-02-29 12:34:56", "1969-12-31 23:59:59", "infinity", "-infinity"],
    "TIMESTAMP_MS": ["2024-02-29 12:34:56.789", "1969-12-31 23:59:59.9", "infinity", "-infinity"],
    "TIMESTAMP_NS": ["2024-02-29 12:34:56.123456789", "2024-01-01 00:00:00.1", "2024-01-01", "1969-12-31 23:59:59.999999999",
                     "2262-04-11 23:47:16.854775806", "infinity", "-infinity"],
    "TIMESTAMPTZ": ["2024-02-29 12:34:56.789+05:30", "1969-12-31 23:59:59-00:30", "0044-03-15 (BC) 12:00:00+00", "infinity",
                    "-infinity"],
    "INTERVAL": ["1 year 2 months 3 days 04:05:06.789", "-1 month", "-13 months", "1 day", "-1 days", "0 seconds",
                 "-00:00:00.000001", "100 hours", "25 months -1 day 1 microsecond", "24 months", "-400 days -25:00:00"],
    "ENUM('a', 'b', 'it''s')": ["a", "it's"],
    "JSON": ['{"a": [1, null]}'],
}

WRITTEN = [
    "NULL",
    "'a' || chr(0) || 'b'",
    "'\\x00\\xFFab'::BLOB",
    "repeat('ab', 20)::BLOB",
    "[1, 2, NULL]",
    "[]::INTEGER[]",
    "NULL::INTEGER[]",
    "[[1], [2, 3], NULL, []]",
    "['a', NULL, repeat('b', 20)]",
    "[DATE '2024-02-29', NULL]",
    "[1.50, NULL]",
    "[1, 2, 3]::INTEGER[3]",
    "[[1, 2], [3, NULL]]::INTEGER[2][2]",
    "['a', repeat('b', 20)]::VARCHAR[2]",
    "[[1, 2]::INTEGER[2], NULL]",
    "{'a': 1, 'b': 'x'}",
    "{'a': NULL, 'b': [1], 'c': {'d': DATE '2024-01-01'}}",
    "row(1, 'x')",
    "{'A b': 1, 'q\"': 2}",
    "[{'a': 1}, NULL, {'a': NULL}]",
    "MAP {'k': 1, 'l': NULL}",
    "MAP {1: [1, 2], 2: []}",
    "MAP {}::MAP(VARCHAR, DATE)",
    "union_value(num := 1)::UNION(num INTEGER, str VARCHAR)",
    "union_value(str := 'x')::UNION(num INTEGER, str VARCHAR)",
]


def golden(connection, expression):
    kind = connection.sql(f"DESCRIBE SELECT {expression}").fetchone()[1]
    text = "v::VARCHAR"
    if kind == "BLOB":
        text = "hex(v)"
    elif kind.startswith("MAP"):
        text = "map_entries(v)::VARCHAR"
    elif kind.startswith("UNION"):
        text = "'{''' || union_tag(v)::VARCHAR || ''': ' || v::VARCHAR || '}'"
    return {"expression": expression, "type": kind, "text": connection.sql(f"SELECT {text} FROM (SELECT {expression} AS v)").fetchone()[0]}


if __name__ == "__main__":
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    quoted = lambda text: "'" + text.replace("'", "''") + "'"
    cast = [f"{quoted(value)}::{kind}" for kind, values in CASTS.items() for value in values]
    goldens = [golden(connection, expression) for expression in cast + WRITTEN]
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in goldens)
    OUT.write_text(f"[\n{lines}\n]\n")
