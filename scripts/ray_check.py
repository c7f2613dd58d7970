#!/usr/bin/env python3
"""Checks scripts/ray_run.py: a sharded generation and scoring of 2,000 rows and a 2 x 2 matrix, on a Ray cluster of two nodes of
which one is killed in the middle, leave the same bytes as `factory run` alone, apart from times.

    python3 scripts/ray_check.py [--factory target/release/factory]

Needs `pip install ray`; the model is the tiny one of tests/goldens. Takes about two minutes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ray.cluster_utils import Cluster

ROOT = Path(__file__).resolve().parent.parent
ROWS = 2000
SHARDS = 4
TIMES = {"elapsed_ms", "elapsed_s", "rows_per_s", "tokens_per_s", "now"}


def make(folder):
    """The rows, their database and the recipe."""
    (folder / "db").mkdir()
    (folder / "db/pens.sql").write_text("CREATE TABLE pens (id INTEGER, ink TEXT); INSERT INTO pens VALUES (1, 'red'), (2, 'blue');")
    dev = [
        {"id": f"pen-{i}", "db": "pens", "prompt": f"How many pens above {i}?", "gold_sql": f"SELECT count(*) FROM pens WHERE id > {i}"}
        for i in range(ROWS)
    ]
    train = [{"prompt": f"Pens below {i}?", "response": f"SELECT count(*) FROM pens WHERE id < {i}"} for i in range(64)]
    for name, rows in ("dev", dev), ("train", train):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = ['name = "cluster"', "[vars]", 'base = { help = "the base" }', "[matrix]", "rank = [1, 2]", "seed = [0, 1]"]
    sft = 'command = "sft"\nbase = "{base}"\ndata = "train.jsonl"\nbatch = 4\nepochs = 4\ndevice = "cpu"'
    recipe += [f"[stages.train]\n{sft}\nrank = 4"]
    recipe += [f'[stages.cell]\n{sft}\nrank = "{{rank}}"\nseed = "{{seed}}"']
    recipe += ['[stages.cell-geometry]\ncommand = "adapter inspect"\nadapter = "{cell}"\ngeometry = true\njson = true']
    ask = 'command = "generate"\nbase = "{base}"\nlora = "{train}"\ndata = "dev.jsonl"\nmax_tokens = 48\ndevice = "cpu"'
    for i in range(1, SHARDS + 1):
        recipe.append(f'[stages.answers-{i}]\n{ask}\nshard = "{i}/{SHARDS}"')
    parts = ", ".join(f'"{{answers-{i}}}"' for i in range(1, SHARDS + 1))
    recipe.append(f'[stages.answers]\ncommand = "data merge"\nshards = [{parts}]\ndata = "dev.jsonl"')
    for i in range(1, SHARDS + 1):
        recipe.append(f'[stages.scores-{i}]\ncommand = "eval-sql"\npredictions = "{{answers}}"\ndb_dir = "db"\nshard = "{i}/{SHARDS}"')
    parts = ", ".join(f'"{{scores-{i}}}"' for i in range(1, SHARDS + 1))
    recipe.append(f'[stages.scores]\ncommand = "data merge"\nshards = [{parts}]\ndata = "{{answers}}"')
    (folder / "cluster.toml").write_text("\n".join(recipe) + "\n")


def untimed(value):
    if isinstance(value, dict):
        return {key: untimed(inner) for key, inner in value.items() if key not in TIMES}
    return [untimed(inner) for inner in value] if isinstance(value, list) else value


def results(runs):
    """The outputs of all stages, by their folders and names, without times."""
    found = {}
    for path in sorted((runs / "stages").rglob("*")):
        name = str(path.relative_to(runs))
        if not path.is_file() or path.name in ("log", "stage.json", ".hashes.json", "config.toml") or path.name.startswith("."):
            continue
        data = path.read_bytes()
        if path.suffix in (".jsonl", ".json"):
            lines = data.decode().splitlines() if path.suffix == ".jsonl" else [data.decode()]
            data = json.dumps([untimed(json.loads(line)) for line in lines]).encode()
        if path.suffix not in (".svg", ".md"):
            found[name] = data
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factory", default=str(ROOT / "target/release/factory"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        make(folder)
        base = f"base={ROOT}/tests/goldens/tiny-llama"
        common = [str(folder / "cluster.toml"), "--set", base]
        begin = time.time()
        subprocess.run([args.factory, "run", *common, "--runs", folder / "alone"], check=True, capture_output=True)
        print(f"alone: {time.time() - begin:.1f} s")

        begin = time.time()
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        second = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        run = [sys.executable, str(ROOT / "scripts/ray_run.py"), *common, "--factory", args.factory]
        run += ["--runs", str(folder / "cluster"), "--address", cluster.address]
        ray = subprocess.Popen(run, stdout=subprocess.PIPE, text=True)
        lines, killed = [], False
        for line in ray.stdout:
            lines.append(line)
            print("  " + line.rstrip(), flush=True)
            # Both nodes have something to do now.
            if not killed and len(lines) == 2:
                time.sleep(0.5)
                cluster.remove_node(second, allow_graceful=False)
                killed = True
                print("  killed one of the two nodes", flush=True)
        if ray.wait() != 0 or not killed:
            sys.exit("the run on the cluster failed")
        print(f"on the cluster: {time.time() - begin:.1f} s")
        alone, spread = results(folder / "alone"), results(folder / "cluster")
        differ = sorted(name for name in alone.keys() | spread.keys() if alone.get(name) != spread.get(name))
        print(f"{len(alone)} files, {len(differ)} differ: {differ[:5]}")
        cluster.shutdown()
        sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
