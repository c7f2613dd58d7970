"""A thousand calls to one `factory mcp serve`, in the middle of twenty of which the process that works is killed: all others are answered,
and the server's memory stays as it was.

    python3 scripts/mcp_thousand.py BINARY

Needs Linux: processes and memory are read from /proc."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CALLS = 1_000
KILLED = 20
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
# What the first calls leave behind: threads that wait for work, room in the allocator.
MOST_GROWTH = 8 << 20


def children(process):
    tasks = Path(f"/proc/{process}/task")
    return [int(word) for task in tasks.iterdir() for word in (task / "children").read_text().split()]


def memory(process):
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise SystemExit("the server is gone")


class Server:
    def __init__(self, binary, database):
        command = [binary, "mcp", "serve", "--db", database]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, text=True, **pipes)
        self.number = 0
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "thousand", "version": "1"}}
        self.receive(self.send("initialize", hello))
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def write(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def send(self, method, params):
        self.number += 1
        self.write({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        return self.number

    def receive(self, number):
        message = json.loads(self.process.stdout.readline())
        assert message["id"] == number, message
        return message["result"]

    def query(self, sql):
        return self.send("tools/call", {"name": "sql_execution", "arguments": {"connectionId": "default", "sql": sql}})


def kill_worker(server):
    end = time.time() + 30
    while time.time() < end:
        workers = children(server)
        if workers:
            os.kill(workers[0], signal.SIGKILL)
            return
        time.sleep(0.002)
    raise SystemExit("no process works for the call")


def main():
    with tempfile.TemporaryDirectory() as folder:
        database = f"{folder}/shop.sqlite"
        with sqlite3.connect(database) as shop:
            shop.execute("CREATE TABLE sales (id INTEGER PRIMARY KEY, item TEXT)")
            shop.executemany("INSERT INTO sales (item) VALUES (?)", [(f"item {number}",) for number in range(1_000)])
        server = Server(sys.argv[1], database)
        process, begun, early, wrong = server.process.pid, time.time(), None, 0
        for call in range(CALLS):
            if call % (CALLS // KILLED) == 7:
                number = server.query(ENDLESS)
                kill_worker(process)
                result = server.receive(number)
                wrong += not (result["isError"] and "its process ended" in result["content"][0]["text"])
            else:
                result = server.receive(server.query("SELECT id, item FROM sales"))
                wrong += result["isError"] or result["structuredContent"]["rowCount"] != 1_000
            if call == CALLS // 10:
                early = memory(process)
        late, seconds = memory(process), time.time() - begun
        left = children(process)
        server.process.stdin.close()
        ended = server.process.wait(timeout=30)
    mega = lambda size: f"{size / 1e6:.1f} MB"
    print(f"{CALLS} calls, {KILLED} of them killed, in {seconds:.0f} s: {wrong} wrong; memory {mega(early)} after {CALLS // 10}, {mega(late)} at the end; {len(left)} processes left, exit code {ended}")
    fine = wrong == 0 and late - early < MOST_GROWTH and not left and ended == 0
    print("passed" if fine else "FAILED")
    sys.exit(not fine)


main()
