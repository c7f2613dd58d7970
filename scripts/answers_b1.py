"""Make what evals/answers-b1.toml needs of the public repository's rows: databases for the public ones, and a part that is held out.

    python3 scripts/answers_b1.py --b1 DIR --out target/answers-b1

DIR is the evals folder of the PostTrainLLM/posttrainllm repository. Public rows come with CREATE TABLE statements alone, so their databases
are empty: a query runs on them or fails, and what it returns says nothing. Rows are held out in blocks of 32 of the source's rows, since those
behind each other ask one schema. Uses only the standard library.
"""
import argparse
import json
import re
from pathlib import Path

BLOCK, EVERY, HELD = 32, 7, 3


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path, made):
    path.write_text("".join(json.dumps(row) + "\n" for row in made))


def schema(prompt):
    """The CREATE TABLE statements of a public prompt; a table that is there twice has the columns of both."""
    tables = {}
    for name, columns in re.findall(r"CREATE TABLE (.+?) \((.*?)\)(?:; |$)", re.search(r"Schema: (.*)\. Question: ", prompt, re.S)[1]):
        tables.setdefault(name, {}).update({column.split()[0].lower(): column for column in columns.split(", ")})
    return "".join(f"CREATE TABLE {name} ({', '.join(columns.values())});\n" for name, columns in tables.items())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--b1", required=True, type=Path)
    p.add_argument("--out", required=True, type=Path)
    a = p.parse_args()
    schemas = a.out / "schemas"
    schemas.mkdir(parents=True, exist_ok=True)

    def with_database(row, name):
        (schemas / f"{name}.sql").write_text(schema(row["prompt"]))
        return {**row, "db": f"{name}.sql"}

    train, heldout, seen = [], [], set()
    for row in rows(a.b1 / "sql-public-bmc2-train-v4-joinweighted" / "train.jsonl"):
        index = row["source_index"]
        if index // BLOCK % EVERY != HELD:
            train.append(row)
        elif index not in seen:
            seen.add(index)
            asked = {"id": row["id"], "curriculum": row["curriculum"], "prompt": row["instruction"], "gold_sql": row["response"]}
            heldout.append(with_database(asked, f"bmc2_{index}"))
    public = [with_database(row, row["id"].replace("-", "_")) for row in rows(a.b1 / "sql-routed-mixed-v1" / "public64.jsonl")]
    # Training rows as questions, to have the adapter's mistakes on them.
    own = rows(a.b1 / "sql-poc-expanded" / "train.jsonl")
    asked = [{"id": r["id"], "prompt": r["instruction"], "response": r["response"], "gold_sql": r["response"], "db": f"{r['domain']}.db"} for r in own]
    for name, made in {"train": train, "heldout": heldout, "public64": public, "synthetic-asked": asked}.items():
        write(a.out / f"{name}.jsonl", made)
        print(f"{name}: {len(made)} rows")


if __name__ == "__main__":
    main()
