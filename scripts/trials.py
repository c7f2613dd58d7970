"""What happens to a scoring run from outside, and the company of other modes, must change no row. Linux.

    python3 scripts/trials.py PREDS --db-dir DIR [--factory target/release/factory] [--timeout-ms 500] [--stops 5] [--kills 20]

Scores PREDS undisturbed, then
- stops it for longer than the deadline, as Ctrl-Z and fg do: by turns the program, its scoring processes, all of them;
- kills one scoring process with signal 9 at a random moment;
- scores it by each mode alone and by all together.
Prints the rows that differ (but for elapsed_ms) and exits with 1 if there are any.
"""
import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COLUMNS = {
    "factory": ["exec_match", "exact_match"],
    "public-exact": ["public_exact_match"],
    "spider-ts": ["spider_ts_match"],
    "spider-em": ["spider_em_match"],
    "bird-ex": ["bird_ex_match"],
}


def children(pid):
    tasks = Path(f"/proc/{pid}/task")
    found = []
    for task in list(tasks.iterdir()) if tasks.exists() else []:
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:
            pass  # the thread has just ended
    return found


def send(pids, which):
    for pid in pids:
        try:
            os.kill(pid, which)
        except ProcessLookupError:
            pass


class Trials:
    def __init__(self, a):
        self.a = a
        self.out = Path(tempfile.mkdtemp()) / "rows.jsonl"

    def score(self, modes, disturb=lambda process: None):
        a = self.a
        command = [a.factory, "eval-sql", a.preds, "--db-dir", a.db_dir, "--out", self.out, "--mode", ",".join(modes),
                   "--timeout-ms", str(a.timeout_ms), "--keep-going", "--now", "2026-01-02T03:04:05Z"]
        start = time.time()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        disturb(process)
        if process.wait() != 0:
            sys.exit(f"{command} failed")
        self.seconds = time.time() - start
        rows = [json.loads(line) for line in self.out.read_text().splitlines()]
        for row in rows:
            del row["elapsed_ms"]
        return rows


def differences(what, found, expected):
    wrong = [(a, b) for a, b in zip(found, expected) if a != b]
    for a, b in wrong[:3]:
        fields = [field for field in a if a[field] != b.get(field)]
        print(f"{what}: row {a['id'] or a['index']}: {', '.join(f'{f}: {a[f]!r} not {b.get(f)!r}' for f in fields)}"[:400])
    return len(wrong)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("preds")
    p.add_argument("--db-dir", required=True)
    p.add_argument("--factory", default="target/release/factory")
    p.add_argument("--timeout-ms", type=int, default=500)
    p.add_argument("--stops", type=int, default=5)
    p.add_argument("--kills", type=int, default=20)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--modes", default=",".join(COLUMNS))
    a = p.parse_args()
    chance, modes, trials = random.Random(a.seed), a.modes.split(","), Trials(a)
    expected = trials.score(modes)
    seconds, wrong = trials.seconds, 0
    print(f"{len(expected)} rows, {seconds:.1f} s undisturbed")

    for i in range(a.stops):
        def stop(process):
            time.sleep(chance.uniform(0.1, 0.7) * seconds)
            workers = children(process.pid)
            stopped = [[process.pid], workers, [process.pid, *workers]][i % 3]
            send(stopped, signal.SIGSTOP)
            time.sleep(3 * a.timeout_ms / 1000)
            send(stopped, signal.SIGCONT)
        wrong += differences(f"stop {i}", trials.score(modes, stop), expected)
    print(f"stopped {a.stops} times for {3 * a.timeout_ms} ms: {wrong} rows differ")

    killed = lost = 0
    for i in range(a.kills):
        def kill(process):
            nonlocal killed
            time.sleep(chance.uniform(0.05, 0.9) * seconds)
            workers = children(process.pid)
            killed += bool(workers)
            send(chance.sample(workers, min(1, len(workers))), signal.SIGKILL)
        lost += differences(f"kill {i}", trials.score(modes, kill), expected)
    print(f"killed a process {killed} times: {lost} rows differ")

    other = 0
    for mode in modes:
        def verdicts(rows):
            return [{field: row[field] for field in ["index", "id", *COLUMNS[mode]]} for row in rows]
        other += differences(mode, verdicts(trials.score([mode])), verdicts(expected))
    print(f"{len(modes)} modes, alone and together: {other} verdicts differ")
    sys.exit(1 if wrong + lost + other else 0)


if __name__ == "__main__":
    main()
