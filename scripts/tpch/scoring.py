"""Runs `factory eval-sql` over pairs."""
import json
import subprocess
import time

# Processor time that a query may take: none of TPC-H's comes near it.
TIMEOUT_MS = 60_000


def write(file, pairs, db):
    """One line a pair: id, question, and the two texts."""
    lines = [json.dumps(dict(pair, db=db)) for pair in pairs]
    file.write_text("\n".join(lines) + "\n")


def score(factory, preds, where):
    """Seconds of the whole command, and the scored rows."""
    out = preds.with_suffix(".rows.jsonl")
    command = [factory, "eval-sql", preds, *where, "--out", out, "--timeout-ms", str(TIMEOUT_MS)]
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return seconds, [json.loads(line) for line in out.read_text().splitlines()]
