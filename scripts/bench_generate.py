"""Generation beside llama.cpp, OpenVINO GenAI and transformers: the same weights, rows, prompts and lengths, greedy, interleaved, medians.

    python3 scripts/bench_generate.py [--b1 DIR] [--repeats 3] [--wait MINUTES]      prints Markdown; about half an hour
    python3 scripts/bench_generate.py --measure speed --batches 1,8 --only factory,llama.cpp --with none --repeats 1      a part

Two measures. "rows": rows a second of each program's own way to answer a file of rows, loading included, and how many of its answers are
those of others, so that nobody is fast at something else. "speed": tokens a second of the prompts, and of the answers behind their first
tokens, at fixed lengths (ours by `cargo bench --bench decode`). With an adapter (LoRA, which all of them read; transformers merges it) and
without. The rows are those of evals/sql-expanded/dev.jsonl, with --b1 (the evals folder of the PostTrainLLM repository) its 50 synthetic
and 64 public ones. The adapter is --lora, or trained here for a minute on the training rows of the first set.

Installs llama.cpp (scripts/llama_cpp.sh), OpenVINO (scripts/openvino.sh) and transformers (scripts/peers.sh), 4 GB in all. Uses only the
standard library itself. A measurement during which other programs took more than a twentieth of the processors is thrown away: close
everything else, or let --wait say for how many minutes it may be tried again. --busy takes it as it is. --cpu-time counts the processor
time of one thread, which others lengthen little: for a machine that is never idle.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SET = HERE.parent / "evals" / "sql-expanded"
WORK = HERE.parent / "target" / "bench-generate"
PROGRAMS = ["factory", "llama.cpp", "OpenVINO GenAI", "transformers"]
FILES = {"as it is": None, "Q8_0": "q8_0", "Q4_0": "q4_0"}
WEIGHTS = ["f32", "q8", "native"]
OTHERS = 0.05  # share of the processors
PAUSE = 20  # seconds before a measurement is tried again


def words(known):
    def parse(text):
        found = [word.strip() for word in text.split(",")]
        for word in found:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word} is none of {', '.join(known)}")
        return found

    return parse


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--measure", type=words(["rows", "speed"]), default=["rows", "speed"])
    p.add_argument("--only", type=words(PROGRAMS), default=PROGRAMS, help="programs")
    p.add_argument("--files", type=words(FILES), default=list(FILES), help="the base as it is, and as llama.cpp quantizes it again")
    p.add_argument("--with", dest="adapters", type=words(["lora", "none"]), default=["lora", "none"])
    p.add_argument("--weights", type=words(WEIGHTS), default=WEIGHTS, help="ours; others are set beside the last of them")
    p.add_argument("--b1", type=Path)
    p.add_argument("--lora", type=Path, help="PEFT folder")
    p.add_argument("--base", help="GGUF file [default: what scripts/fetch_base.sh prints]")
    p.add_argument("--factory", default="target/release/factory")
    p.add_argument("--peers", default=Path(".peers"), type=Path)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--batch", type=int, default=16, help="rows at once, where rows are answered")
    p.add_argument("--max-tokens", type=int, default=96)
    p.add_argument("--limit", type=int, help="first rows of each set alone")
    p.add_argument("--batches", default="1,8,16,32", help="rows at once, at fixed lengths")
    p.add_argument("--prompt", type=int, default=64)
    p.add_argument("--answer", type=int, default=32)
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--wait", type=float, default=0, metavar="MINUTES")
    p.add_argument("--busy", action="store_true")
    p.add_argument("--cpu-time", action="store_true")
    a = p.parse_args()
    if a.cpu_time:
        a.threads, a.busy = 1, True
    return a


class Program:
    """A program with the weights that it reads."""

    def __init__(self, bench, name, weights, file, adapters=1):
        self.bench, self.name, self.weights, self.file, self.adapters = bench, name, weights, file, adapters

    def command(self, lora, answers):
        """Of answering (rows, file to write, rows at once, longest answer), or else of fixed lengths; with what it adds to the environment."""
        a, b = self.bench.args, self.bench
        clock = ["--cpu-time"] if a.cpu_time else []
        if self.name == "factory":
            if not answers:
                kinds = ["--kind", "lora", "--adapters", self.adapters if lora else 0]
                lengths = ["--batch", a.batches if self.adapters == 1 else self.adapters, "--prompt", a.prompt, "--answer", a.answer]
                return [b.decode, *lengths, *kinds, "--weights", self.weights, "--repeats", 1, "--json", *clock], {"FACTORY_BASE": str(self.file)}
            rows, out, batch, most = answers
            lora = ["--lora", b.lora] if lora else ["--template", "plain"]
            return [a.factory, "generate", "--device", "cpu", "--base", self.file, *lora, "--weights", self.weights, "--data", rows, "--out", out,
                    "--batch", batch, "--max-tokens", most], {}
        python, script, adapter = {
            "llama.cpp": (a.peers / "bin/python", "peer_llama_cpp.py", b.lora_gguf),
            "OpenVINO GenAI": (b.openvino / "bin/python", "peer_openvino.py", b.lora / "adapter_model.safetensors"),
            "transformers": (a.peers / "bin/python", "peer_transformers.py", b.lora),
        }[self.name]
        model = b.named[self.file] if self.name == "OpenVINO GenAI" and lora else self.file
        command = [python, HERE / script, "answers" if answers else "speed", "--model", model, "--threads", a.threads]
        command += ["--lora", adapter] if lora else []
        if answers:
            rows, out, batch, most = answers
            command += ["--data", rows, "--out", out, "--batch", batch, "--max-tokens", most]
        else:
            command += ["--batches", a.batches, "--prompt", a.prompt, "--answer", a.answer, *clock]
        return command, {}


class Bench:
    def __init__(self, args):
        self.args = args
        self.patience = args.wait * 60
        WORK.mkdir(parents=True, exist_ok=True)
        self.base = Path(args.base or output([HERE / "fetch_base.sh"])).resolve()
        hf = output([HERE / "peers.sh", args.peers])
        os.environ["LLAMA_CPP"] = str(Path(output([HERE / "llama_cpp.sh"])).resolve())
        self.openvino = Path(output([HERE / "openvino.sh"]))
        self.decode = bench_program() if "factory" in args.only and "speed" in args.measure else None
        self.sets = {f"{SET.name}/dev": SET / "dev.jsonl"}
        train = SET / "train.jsonl"
        if args.b1:
            self.sets = {"b1": args.b1 / "sql-poc-expanded" / "dev.jsonl", "public64": args.b1 / "sql-routed-mixed-v1" / "public64.jsonl"}
            train = args.b1 / "sql-poc-expanded" / "train.jsonl"
        self.files = {name: self.quantized(to) for name, to in FILES.items() if name in args.files}
        self.lora, self.lora_gguf, self.named = Path(), Path(), {}
        if "lora" in args.adapters:
            self.adapter(train)
        ours = self.files.get("as it is", self.base)
        self.programs = [Program(self, "factory", weights, ours) for weights in args.weights]
        self.programs += [Program(self, name, file, path) for name in PROGRAMS[1:3] for file, path in self.files.items()]
        self.programs += [Program(self, "transformers", "f32", hf)]
        self.programs = [program for program in self.programs if program.name in args.only]
        ours = [program for program in self.programs if program.name == "factory"]
        self.first = ours[-1] if ours else self.programs[0]  # what the others are set beside

    def with_own_adapters(self):
        """Ours where each of the most rows has an adapter of its own, which no other program here can do."""
        many = max(int(n) for n in self.args.batches.split(","))
        return [Program(self, p.name, p.weights, p.file, many) for p in self.programs if p == self.first and p.name == "factory" and many > 1]

    def quantized(self, to):
        if to is None:
            return self.base
        file = WORK / f"{to}.gguf"
        if not file.exists():
            made = file.with_suffix(".partial")
            output([self.args.peers / "bin/python", HERE / "peer_llama_cpp.py", "quantize", "--model", self.base, "--to", to, "--out", made])
            made.rename(file)
        return file

    def adapter(self, train):
        self.lora = self.args.lora or WORK / f"lora-{train.parent.name}"
        if not self.lora.exists():
            output([self.args.factory, "sft", "--device", "cpu", "--base", self.base, "--data", train, "--rank", 8, "--steps", 60, "--batch", 8,
                    "--lr", "1e-3", "--out", self.lora])
        self.lora_gguf = WORK / f"{self.lora.name}.gguf"
        if not self.lora_gguf.exists():
            output([self.args.factory, "adapter", "convert", self.lora, "--to", "gguf", "--out", self.lora_gguf])
        if "OpenVINO GenAI" in self.args.only:
            for file in self.files.values():
                self.named[file] = WORK / f"openvino-{file.stem}"
                if not self.named[file].exists():
                    python, made = self.openvino / "bin/python", WORK / "openvino.partial"
                    output([python, HERE / "peer_openvino.py", "named", "--model", file, "--out", made])
                    made.rename(self.named[file])

    def measured(self, command, more):
        """Seconds and standard output of a command that had the processors to itself."""
        while True:
            seconds, printed, others = run(command, more, self.args)
            if self.args.busy or others <= OTHERS:
                return seconds, printed
            what = f"other programs took {others:.0%} of the processors while {Path(command[0]).name} ran"
            if self.patience <= 0:
                sys.exit(f"bench_generate: {what}: close them, or give --wait or --busy")
            print(f"{what}: once more in {PAUSE} s", file=sys.stderr)
            self.patience -= seconds + PAUSE
            time.sleep(PAUSE)


def output(command):
    """What a command prints last; its errors end this script."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stderr[-2000:]}")
    return (done.stdout.splitlines() or [""])[-1].strip()


def bench_program():
    """Path of the built `decode` bench."""
    command = ["cargo", "bench", "--bench", "decode", "--no-run", "--message-format=json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    made = [json.loads(line) for line in done.stdout.splitlines() if '"executable"' in line]
    return next(m["executable"] for m in made if m.get("executable") and m["target"]["name"] == "decode")


def run(command, more, args):
    """Seconds (of the wall, or of processors), standard output, and the share of the processors that others took (0 where it is not known)."""
    environment = os.environ | {"RAYON_NUM_THREADS": str(args.threads)} | more
    with tempfile.TemporaryFile("w+") as log:
        before, start = busy_seconds(), time.perf_counter()
        process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds, after = time.perf_counter() - start, busy_seconds()
        process.returncode = status
        if status:
            log.seek(0)
            sys.exit(f"{command} failed:\n{log.read()[-2000:]}")
    own = usage.ru_utime + usage.ru_stime
    others = after - before - own
    return own if args.cpu_time else seconds, printed, max(0.0, others / (seconds * os.cpu_count()))


def busy_seconds():
    """Seconds that the processors were busy since the start, other machines on the same hardware included."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except FileNotFoundError:
        return 0.0
    user, nice, system, _, _, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def rows(bench, name, data, lora):
    """Prints a table: rows a second of each program, and which of its answers are others'."""
    a = bench.args
    with tempfile.TemporaryDirectory() as work:
        asked = Path(work) / "rows.jsonl"
        lines = [line for line in data.read_text().splitlines() if line.strip()][: a.limit]
        asked.write_text("".join(line + "\n" for line in lines))
        seconds, answers = {p: [] for p in bench.programs}, {}
        for _ in range(a.repeats):
            for program in bench.programs:
                out = Path(work) / "answers.jsonl"
                out.unlink(missing_ok=True)
                seconds[program].append(bench.measured(*program.command(lora, (asked, out, a.batch, a.max_tokens)))[0])
                # llama.cpp shows a text's first space, which the others leave out.
                answers[program] = [json.loads(line)["predicted_sql"].strip() for line in out.read_text().splitlines()]
    rate = {p: len(lines) / statistics.median(found) for p, found in seconds.items()}
    first, last = bench.first, bench.programs[-1]
    adapter = "with an adapter" if lora else "the base alone"
    print(f"\n{len(lines)} rows of {name}, {adapter}, {a.batch} at once, answers of up to {a.max_tokens} tokens, loading included; "
          f"medians of {a.repeats}:\n")
    print(f"| program | weights | rows/s | {first.name} {first.weights} over it | same answers as {first.name} {first.weights} "
          f"| as {last.name} {last.weights} |\n|---|---|---|---|---|---|")
    for program in bench.programs:
        same = [sum(x == y for x, y in zip(answers[program], answers[other])) / len(lines) for other in (first, last)]
        shown = [rate[program], rate[first] / rate[program], *same]
        print(f"| {program.name} | {program.weights} | " + " | ".join(f"{x:.2f}" for x in shown) + " |", flush=True)


def speed(bench, lora):
    """Prints a table: tokens a second at fixed lengths."""
    a = bench.args
    batches = [int(n) for n in a.batches.split(",")]
    programs = bench.programs + (bench.with_own_adapters() if lora else [])
    found = {(p, what, batch): [] for p in programs for what in ("prefill", "decode") for batch in batches}
    for _ in range(a.repeats):
        for program in programs:
            for line in bench.measured(*program.command(lora, None))[1].splitlines():
                if line.startswith("{"):
                    case = json.loads(line)
                    for what in ("prefill", "decode"):
                        found[program, what, case["batch"]].append(case[what])
    median = {key: statistics.median(values) for key, values in found.items() if values}
    first = bench.first
    for what, length in [("prefill", a.prompt), ("decode", a.answer)]:
        adapter = "with an adapter" if lora else "the base alone"
        print(f"\nTokens/s of {what}, {length} tokens a row, {adapter}, by the number of rows; in brackets {first.name} {first.weights} over it; "
              f"medians of {a.repeats}:\n")
        print("| program | weights | " + " | ".join(map(str, batches)) + " |\n|---|---" + "|---" * len(batches) + "|")
        for program in programs:
            rates = [(median[first, what, b], median.get((program, what, b))) for b in batches]
            cells = [f"{own:.0f} ({ours / own:.2f})" if own else "" for ours, own in rates]
            weights = program.weights if program.adapters == 1 else f"{program.weights}, each row its own adapter"
            print(f"| {program.name} | {weights} | " + " | ".join(cells) + " |", flush=True)


def machine(bench):
    a = bench.args
    try:
        names = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    except FileNotFoundError:
        names = [platform.processor()]
    peers = "import torch, transformers; print(f'transformers {transformers.__version__}, torch {torch.__version__}')"
    openvino = "import openvino_genai; print('OpenVINO GenAI', openvino_genai.__version__)"
    llama = "llama.cpp " + json.loads((Path(os.environ["LLAMA_CPP"]) / "_nlcBuildMetadata.json").read_text())["buildOptions"]["llamaCpp"]["release"]
    versions = [output([a.factory, "--version"]), llama, output([bench.openvino / "bin/python", "-c", openvino]),
                output([a.peers / "bin/python", "-c", peers])]
    print(f"{names[0]}, {os.cpu_count()} processors, {a.threads} threads; {', '.join(versions)}; {bench.base.name}"
          + ("; processor time" if a.cpu_time else "; NOT AN IDLE MACHINE" if a.busy else ""), flush=True)
    sizes = [f"{name} {path.stat().st_size / 1e6:.0f} MB" for name, path in bench.files.items()]
    print(f"Files: {', '.join(sizes)}.", flush=True)


def main():
    bench = Bench(arguments())
    machine(bench)
    for adapter in bench.args.adapters:
        if "rows" in bench.args.measure:
            for name, data in bench.sets.items():
                rows(bench, name, data, adapter == "lora")
        if "speed" in bench.args.measure:
            speed(bench, adapter == "lora")


if __name__ == "__main__":
    main()
