"""Random results for the scripts that compare scoring modes with their originals: tables of SQLite's values, and changes of them."""
import random
import sqlite3

WORDS = ["ab", "Ab", "x y", "a,b", 'q"q', "zürich", "2024-02-29", "12:30", "NA", "null", "None", "nan", "True", "false", "", " 7", "007",
         "+5", "1e3", "1.50", "-", "inf", "0x1f", "line\nbreak", "1,000", "9007199254740993", "99999999999999999999999"]


def value(rng, kind):
    """A value of a column of that kind."""
    return {
        "small": lambda: rng.randint(0, 4),
        "integer": lambda: rng.randint(-3000, 3000),
        "large": lambda: rng.choice([2**53 + 1, -2**53 - 1, 2**63 - 1, -2**63, 10**16, 0]),
        "real": lambda: round(rng.uniform(-50, 50), rng.randint(0, 6)),
        "wide": lambda: rng.choice([1e16, 1.5e-7, -2e20, 0.1 + 0.2, 1e300, 123456789.123456]) * rng.choice([1.0, -1.0]),
        "word": lambda: rng.choice(WORDS),
        "name": lambda: rng.choice(WORDS[:8]),
        "truth": lambda: rng.choice(["True", "False", "TRUE", "false"]),
        "digits": lambda: rng.choice(["1", "02", " 3", "4 ", "5.0", "-6"]),
        "mixed": lambda: rng.choice([rng.randint(0, 3), 1.0, 2.5, "2", "x", ""]),
        "nothing": lambda: None,
    }[kind]()


KINDS = ["small", "small", "integer", "large", "real", "real", "wide", "word", "name", "name", "truth", "digits", "mixed", "nothing"]


def table(rng, most_rows=9, most_columns=5):
    """Columns of values; a third of the columns have gaps."""
    rows = rng.choice([0, 1, 2, 3, 3, 5, most_rows])
    columns = []
    for _ in range(rng.randint(1, most_columns)):
        kind, gaps = rng.choice(KINDS), rng.random() < 0.33
        columns.append([None if gaps and rng.random() < 0.3 else value(rng, kind) for _ in range(rows)])
    return columns


def bounded(number):
    return max(-2**63, min(2**63 - 1, number))


def nudged(rng, cell):
    """A cell beside another, or another."""
    if isinstance(cell, int):
        return rng.choice([bounded(cell + 1), float(cell), cell + 0.004, str(cell)])
    if isinstance(cell, float):
        return cell + rng.choice([0.004, 0.0099, 0.011, 1.0])
    if cell is None:
        return rng.choice([0, "", "NULL", "x"])
    return rng.choice([cell + " ", cell.upper(), None, cell + "z"])


def changed(rng, columns):
    """The same columns, or a table that differs in one or two ways that evaluators judge differently."""
    columns = [list(column) for column in columns]
    for _ in range(rng.choice([0, 1, 1, 2])):
        rows = len(columns[0])
        what = rng.choice(["columns", "add", "drop", "rows", "cell", "cells", "less", "repeat"])
        if what == "columns":
            rng.shuffle(columns)
        elif what == "add":
            columns.insert(rng.randint(0, len(columns)), [value(rng, "small") for _ in range(rows)])
        elif what == "drop" and len(columns) > 1:
            columns.pop(rng.randrange(len(columns)))
        elif rows == 0:
            continue
        elif what == "rows":
            order = rng.sample(range(rows), rows)
            columns = [[column[at] for at in order] for column in columns]
        elif what == "cell":
            column = rng.choice(columns)
            at = rng.randrange(rows)
            column[at] = nudged(rng, column[at])
        elif what == "cells":
            column = rng.choice(columns)
            column[:] = [nudged(rng, cell) if isinstance(cell, (int, float)) else cell for cell in column]
        elif what == "less":
            columns = [column[:-1] for column in columns]
        elif what == "repeat":
            columns = [column + column[:1] for column in columns]
    return columns


def save(connection, name, columns):
    """A table of these columns, without types so that values stay as they are, and in this order."""
    names = ", ".join(f"c{at}" for at in range(len(columns)))
    connection.execute(f"CREATE TABLE {name}({names})")
    places = ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO {name} VALUES ({places})", zip(*columns))


def database(path, tables):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")  # thousands of them, soon deleted
    for name, columns in tables.items():
        save(connection, name, columns)
    connection.commit()
    connection.close()


def rng(seed, place):
    """One generator a pair, so that a pair can be made again alone."""
    return random.Random(f"{seed}:{place}")
