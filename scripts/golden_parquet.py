"""Parquet files as PyArrow writes them, for tests/goldens/rows: nested, of many types, compressed in three ways.

    python -m venv V && V/bin/pip install pyarrow==26.0.1 && V/bin/python scripts/golden_parquet.py

Not among scripts/goldens.py's peers: nothing else needs PyArrow."""
import datetime
import decimal
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

OUT = pathlib.Path(__file__).parent.parent / "tests/goldens/rows"
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def said(*texts):
    return [{"role": role, "content": text} for role, text in zip(("user", "assistant"), texts)]


def table():
    return pa.table({
        "id": pa.array(["a", "b", None]),
        "messages": pa.array([said("Grüße?", "Hallo."), said("2+1?", "3"), []], type=MESSAGES),
        "count": pa.array([1, None, -3], type=pa.int64()),
        "share": pa.array([0.1, 2.5, None], type=pa.float32()),
        "tags": pa.array([["x", "y"], [], None], type=pa.list_(pa.string())),
        "day": pa.array([datetime.date(2020, 1, 2), None, None]),
        "price": pa.array([decimal.Decimal("1.50"), None, None]),
        "nest": pa.array([{"a": {"b": [1, 2]}}, None, {"a": None}]),
        "map": pa.array([[("k", 1)], None, []], type=pa.map_(pa.string(), pa.int64())),
    })


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for compression in ("snappy", "zstd", "gzip"):
        pq.write_table(table(), OUT / f"{compression}.parquet", compression=compression, store_schema=False)
