"""When two results are the same: by the rules of eval-sql's mode `factory` (docs/guide/databases.md), and loosely."""
import datetime
import decimal
import json
import math
from collections import Counter


def same(rows, others):
    """The same rows equally often, cells compared as texts."""
    return len(rows) == len(others) and Counter(map(texts, rows)) == Counter(map(texts, others))


def texts(row):
    return tuple(map(text, row))


def text(value):
    """A cell as it is compared; None is NULL."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, int)):
        return str(int(value))
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else real(value)
    if isinstance(value, decimal.Decimal):
        return digits(value)
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, default=text)
    return str(value)


def real(value):
    """Fifteen digits, and a point always."""
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    written = f"{value + 0.0:.15g}"
    mantissa, mark, exponent = written.partition("e")
    return (mantissa if "." in mantissa else f"{mantissa}.0") + mark + exponent


def digits(value):
    """A number where a double holds its digits, else all of them, without zeros at the end."""
    if value.is_nan():
        return "NaN"
    written = f"{value:f}"
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    if "." not in written:
        return str(int(written))
    significant = written.lstrip("-0.").replace(".", "")
    return real(float(written)) if len(significant) <= 15 else written


def near(rows, others):
    """The same rows equally often, numbers of whatever type to nine digits, dates as their texts."""
    if len(rows) != len(others):
        return False
    sides = (sorted((tuple(map(loose, row)) for row in side), key=place) for side in (rows, others))
    return all(len(row) == len(other) and all(map(alike, row, other)) for row, other in zip(*sides))


def loose(value):
    if isinstance(value, (int, float, decimal.Decimal)):
        return float(value)
    return value.isoformat() if isinstance(value, datetime.date) else value


def place(row):
    """Where a row is sorted: what is no fraction first, which is the same to the last digit."""
    def fraction(value):
        return isinstance(value, float) and abs(value - round(value)) > 1e-9

    exact = [("", 0.0) if value is None else (value, 0.0) if isinstance(value, str) else ("", float(round(value)))
             for value in row if not fraction(value)]
    return exact, [f"{value:.6g}" for value in row if fraction(value)]


def alike(value, other):
    if isinstance(value, float) and isinstance(other, float):
        return math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-9)
    return value == other
