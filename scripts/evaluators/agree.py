"""Compare eval-sql with the verdicts of the official evaluators on prediction/gold pairs.

    python3 scripts/evaluators/agree.py --cases FILE [--factory target/release/factory]

FILE holds a header line (`schema_sql`) and then one pair a line: `case`, `pred`, `gold` and a column for each evaluator with
"1" (match), "0", "CRASH:..." or "HANG". differences.toml beside this script lists where we differ on purpose, and why.
Exits with 1 at any other difference, and where a listed one is none.
"""
import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

COLUMNS = {  # the evaluator's column: our flags, our column
    "TS": (["--mode", "spider-ts"], "spider_ts_match"),
    "TSkd": (["--mode", "spider-ts", "--keep-distinct"], "spider_ts_match"),
    "SpEM": (["--mode", "spider-em"], "spider_em_match"),
    "BIRD": (["--mode", "bird-ex"], "bird_ex_match"),
    "Tiny": (["--mode", "factory"], "exec_match"),
    "TinyEM": (["--mode", "factory"], "exact_match"),
}


def verdicts(factory, folder, flags, column):
    out = folder / "rows.jsonl"
    command = [factory, "eval-sql", folder / "preds.jsonl", "--out", out, "--timeout-ms", "2000", "--keep-going", *flags]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return {row["id"]: row[column] for row in rows}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cases", required=True, type=Path)
    p.add_argument("--factory", default="target/release/factory")
    a = p.parse_args()
    header, *cases = map(json.loads, a.cases.read_text().splitlines())
    listed = tomllib.loads((Path(__file__).parent / "differences.toml").read_text())["difference"]
    reasons = {(d["case"], column): d["reason"] for d in listed for column in d["columns"]}
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "x.sql").write_text(header["schema_sql"])
        rows = [dict(id=c["case"], db="x.db", predicted_sql=c["pred"], gold_sql=c["gold"]) for c in cases]
        (folder / "preds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        for column, (flags, ours) in COLUMNS.items():
            found = verdicts(a.factory, folder, flags, ours)
            same, different = 0, 0
            for case in cases:
                name, expected = case["case"], case[column]
                agree = expected == str(int(found[name]))
                reason = reasons.pop((name, column), None)
                same += agree
                different += not agree and reason is not None
                if agree == (reason is not None):
                    wrong += 1
                    print(f"{column}: {name}: {expected} there, {int(found[name])} here, "
                          f"{'listed as a difference' if reason else 'not listed'}")
            print(f"{column}: {same} of {len(cases)} agree, {different} differ on purpose")
    for name, column in reasons:
        wrong += 1
        print(f"{column}: {name}: no such pair")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
