#!/usr/bin/env python3
"""Runs the stages of a recipe on a Ray cluster, then `factory run` itself, which finds them done and makes the run folders.

    ray start --head --num-cpus 2          # on one machine; `ray start --address HEAD:6379` on the others
    python3 scripts/ray_run.py RECIPE --runs /shared/runs --set base=/shared/base.gguf

The recipe, what it reads, the program and --runs must be at the same paths on every machine (shared storage). A stage is
a task: it waits for those that it needs, and asks for --cpus cores and the memory that `factory run --plan` estimates. Its
folder is named by the hash of all that it depends on, so nothing is done twice; where a node is lost, Ray starts its stage again
elsewhere, which goes on from what the node had kept. Needs `pip install ray`.
"""

import argparse
import json
import os
import subprocess
import sys

import ray


def stage(command, folder, name, left, *needs):
    """Runs one stage, which leaves the folder `left`, on a node; `needs` are the results of the stages before it."""
    # It ends with this worker, so that a lost node leaves no process that holds the stage.
    env = os.environ | {"FACTORY_STAGE_OF": str(os.getpid())}
    ran = subprocess.run([*command, "--only", name], cwd=folder, env=env, capture_output=True, text=True)
    # 3: a gate is red, which is a result; a red check leaves its stage undone.
    if ran.returncode not in (0, 3) or not os.path.exists(os.path.join(folder, left, "stage.json")):
        raise RuntimeError(f"stage {name}: exit code {ran.returncode}: {ran.stderr[-2000:]}")
    return ray.get_runtime_context().get_node_id()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--runs", default="runs", help="folder of runs, on shared storage")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of the recipe")
    parser.add_argument("--factory", default="target/release/factory", help="the program")
    parser.add_argument("--cpus", type=float, default=1, help="cores of a stage")
    parser.add_argument("--retries", type=int, default=3, help="how often a stage is tried again when its node is lost")
    parser.add_argument("--address", help="the cluster [default: the one that runs here, else a new one]")
    args = parser.parse_args()

    command = [os.path.abspath(args.factory), "run", args.recipe, "--runs", args.runs]
    command += [word for value in args.set for word in ("--set", value)]
    planned = subprocess.run([*command, "--plan"], capture_output=True, text=True)
    if planned.returncode != 0:
        sys.stderr.write(planned.stderr)
        return planned.returncode
    stages = json.loads(planned.stdout)["stages"]

    ray.init(address=args.address, log_to_driver=False)
    task = ray.remote(stage)
    refs = {}
    for one in stages:  # in an order in which they can run
        if one["state"] == "done":
            continue
        options = {"name": one["name"], "num_cpus": args.cpus, "max_retries": args.retries}
        if one["memory_mb"]:
            options["memory"] = int(one["memory_mb"] * 1e6)
        needs = [refs[name] for name in one["needs"] if name in refs]
        refs[one["name"]] = task.options(**options).remote(command, os.getcwd(), one["name"], one["folder"], *needs)
    names = {ref: name for name, ref in refs.items()}
    waiting = list(names)
    while waiting:
        [done], waiting = ray.wait(waiting)
        print(f"{names[done]}: done on node {ray.get(done)[:8]}", flush=True)
    return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
