"""What the peers of scripts/bench_generate.py have in common: how they are asked and what is timed.

    python scripts/peer_NAME.py answers --model MODEL --data ROWS --out FILE [--batch 16] [--max-tokens 96] [--lora LORA]
    python scripts/peer_NAME.py speed --model MODEL [--batches 1,8,16,32] [--prompt 64] [--answer 32] [--lora LORA]

"answers" writes each row with `predicted_sql` added; the model reads `prompt + newline`, greedily. "speed" prints a line of JSON for
each number of rows: tokens a second of the prompts, and of the answers behind the first tokens, as tests/bench/decode.rs counts them.
"""
import argparse
import json
import os
import time
from pathlib import Path


def main(load, doc):
    """`load(model, lora, threads, rows, positions)` gives what answers up to `rows` rows of up to `positions` tokens at once: `texts(prompts,
    most)`, a text for each, and `generate(prompts, count)`, which makes `count` tokens for each list of tokens, whatever they are."""
    p = argparse.ArgumentParser(description=doc + (__doc__ or ""), formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["answers", "speed"])
    p.add_argument("--model", required=True)
    p.add_argument("--lora", help="adapter in the form that the program reads")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--data", type=Path)
    p.add_argument("--out", type=Path)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--max-tokens", type=int, default=96)
    p.add_argument("--batches", type=lambda text: [int(n) for n in text.split(",")], default=[1, 8, 16, 32])
    p.add_argument("--prompt", type=int, default=64)
    p.add_argument("--answer", type=int, default=32)
    p.add_argument("--cpu-time", action="store_true", help="processor time in place of the wall's, for one thread")
    a = p.parse_args()
    if a.what == "answers":
        rows = [json.loads(line) for line in a.data.open() if line.strip()]
        peer = load(a.model, a.lora, a.threads, a.batch, 1024)
        for row, text in zip(rows, peer.texts([row["prompt"] + "\n" for row in rows], a.max_tokens)):
            row["predicted_sql"] = text
        a.out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return
    clock = time.process_time if a.cpu_time else time.perf_counter
    for batch in a.batches:
        peer = load(a.model, a.lora, a.threads, batch, a.prompt + a.answer + 1)
        measure(peer, batch, a.prompt, a.answer, 0, clock)  # touches memory that the next finds
        prefill, decode = measure(peer, batch, a.prompt, a.answer, 1, clock)
        print(json.dumps({"batch": batch, "prefill": batch * a.prompt / prefill, "decode": batch * a.answer / decode}), flush=True)
        del peer


def measure(peer, batch, prompt, answer, repeat, clock):
    """Seconds of the prompts, and of the answers behind the first tokens: what longer answers take more."""
    seconds = []
    for i, count in enumerate([1, 1 + answer]):
        prompts = [tokens(row, prompt, 2 * repeat + i) for row in range(batch)]
        start = clock()
        peer.generate(prompts, count)
        seconds.append(clock() - start)
    return seconds[0], seconds[1] - seconds[0]


def tokens(row, length, repeat):
    """The tokens of tests/bench/decode.rs; no other row and no other measure begins with them: nothing computed before serves them."""
    first = row * 7919 + repeat * 611953
    return [1000 + (first + i * 104729) % 40000 for i in range(length)]
