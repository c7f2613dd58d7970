#!/usr/bin/env python3
"""Pairs of queries with the verdicts of Spider's original exact set match, as JSON lines.

  pip install nltk
  git clone https://github.com/taoyds/test-suite-sql-eval
  scripts/evaluators/spider_em_pairs.py --evaluator test-suite-sql-eval > pairs.jsonl

Golds are the clone's own; predictions are golds with a few changed words that SQLite still runs, and other golds of the
same database. The first line has the schemas: {db: {"tables": {name: [column]}, "foreign_keys": [[[table, column] x 2]]}}.
The others: {"db", "pred", "gold", "exact"}, the last "1", "0" or "CRASH:" and the exception. Where ours differs on purpose
(missing commas, `limit not 1`, broken text after OR in ON) is in src/sql/spider/mod.rs.
"""
import argparse
import json
import random
import sqlite3
import sys
import types
from collections import defaultdict

import nltk
from nltk.tokenize import NLTKWordTokenizer

nltk.word_tokenize = NLTKWordTokenizer().tokenize  # what it does to one sentence, without data to download
EMPTY = {"select": [False, []], "from": {"table_units": [], "conds": []}, "where": [], "groupBy": [], "having": [],
         "orderBy": [], "limit": None, "intersect": None, "union": None, "except": None}
OTHERS = {w: [x for x in group.split() if x != w] for group in
          ("and or", "asc desc", "max min avg sum", "union intersect except", "= > < >= <= != like") for w in group.split()}


class Database:
    def __init__(self, entry, spider, evaluation):
        self.names = [name.lower() for name in entry["table_names_original"]]
        self.columns = [(self.names[table] if table >= 0 else "", column.lower())
                        for table, column in entry["column_names_original"]]
        self.tables = {name: [c for t, c in self.columns if t == name] for name in self.names}
        self.keys = [(self.columns[a], self.columns[b]) for a, b in entry["foreign_keys"]]
        self.schema = spider.Schema(self.tables)
        self.merged = evaluation.build_foreign_key_map(entry)
        self.sqlite = sqlite3.connect(":memory:")
        for name, columns in self.tables.items():
            listed = ", ".join(f'"{column}"' for column in dict.fromkeys(columns))
            if not name.startswith("sqlite_"):
                self.sqlite.execute(f'create table "{name}" ({listed})')

    def runs(self, sql):
        try:
            return bool(self.sqlite.execute(sql))
        except (sqlite3.Error, sqlite3.Warning):
            return False

    def verdict(self, pred, gold, spider, evaluation):
        try:
            parsed = [None, spider.get_sql(self.schema, gold)]
            try:
                parsed[0] = spider.get_sql(self.schema, pred.replace("value", "1"))
            except Exception:
                parsed[0] = json.loads(json.dumps(EMPTY))
            for i, sql in enumerate(parsed):
                valid = evaluation.build_valid_col_units(sql["from"]["table_units"], self.schema)
                parsed[i] = evaluation.rebuild_sql_col(valid, evaluation.rebuild_sql_val(sql), self.merged)
            return str(int(evaluation.Evaluator().eval_exact_match(*parsed)))
        except Exception as error:
            return "CRASH:" + type(error).__name__


def changed(word, db, rng):
    """Another word for `word`, or the same."""
    table, dot, column = word.rpartition(".")
    mates = [b[1] for a, b in db.keys + [(b, a) for a, b in db.keys] if a[1] == column]
    if any(column == c for _, c in db.columns):
        if mates and rng.random() < 0.5:
            column = rng.choice(mates)
        else:
            column = rng.choice([c for _, c in db.columns if c != "*"])
        table = rng.choice(["t1", "t2", table, table]) if dot else ""
        return table + dot + column
    if word.startswith('"') or word.replace(".", "").isdigit():
        return rng.choice(["3", "'x'", '"y z"', "0.5"])
    return rng.choice(OTHERS.get(word, [word]))


def mutate(gold, db, spider, rng):
    words = spider.tokenize(gold)
    for _ in range(rng.choice([1, 1, 2, 3])):
        at = rng.randrange(len(words) - 1)
        kind = rng.randrange(8)
        if kind < 5:
            words[at] = changed(words[at], db, rng)
        elif kind == 5 and len(words) > 9:
            del words[at:at + rng.choice([1, 2, 4])]
        elif kind == 6:
            words[at:at] = rng.choice(["distinct", "not", "limit 1", "desc", ", *"]).split()
        else:
            other = rng.randrange(len(words))
            words[at], words[other] = words[other], words[at]
    return " ".join(words)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--evaluator", required=True, help="a clone of taoyds/test-suite-sql-eval")
    parser.add_argument("--per-gold", type=int, default=60, help="changed predictions tried per gold")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    # The verdict needs no execution, so that module's own imports are not needed.
    sys.modules["exec_eval"] = types.SimpleNamespace(eval_exec_match=None)
    sys.path.insert(0, options.evaluator)
    import evaluation
    import process_sql as spider
    rng = random.Random(options.seed)
    golds = defaultdict(list)
    for line in filter(str.strip, open(f"{options.evaluator}/evaluation_examples/gold.txt")):
        gold, name = line.strip().split("\t")
        golds[name].append(gold)
    entries = {entry["db_id"]: entry for entry in json.load(open(f"{options.evaluator}/tables.json"))}
    dbs = {name: Database(entries[name], spider, evaluation) for name in golds}
    print(json.dumps({name: {"tables": db.tables, "foreign_keys": db.keys} for name, db in dbs.items()}))
    for name, db in dbs.items():
        for gold in golds[name]:
            tries = {mutate(gold, db, spider, rng) for _ in range(options.per_gold)}
            preds = [gold] + sorted(p for p in tries if db.runs(p)) + rng.choices(golds[name], k=5)
            for pred in preds:
                exact = db.verdict(pred, gold, spider, evaluation)
                print(json.dumps({"db": name, "pred": pred, "gold": gold, "exact": exact}))


if __name__ == "__main__":
    main()
