"""The soak of bench_serve.py: good and bad clients at once."""
import asyncio
import json
import random
import shutil
import signal
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

from serve_http import Refused, ask, get, head, receive, send, served

CHAT, COMPLETIONS, OLLAMA = "/v1/chat/completions", "/v1/completions", "/api/chat"
GUEST = "guest"  # the adapter that comes and goes
SLOW = 24  # seconds that a caller stays silent: longer than the server waits
BODY = 4_000_000  # --max-body


class Soak:
    def __init__(self, args):
        self.args, self.random = args, random.Random(args.seed)
        self.port, self.names = args.port, [lora.split("=", 1)[0] for lora in args.lora]
        self.pool, self.faults, self.right, self.own = [], [], Counter(), Counter()
        self.first, self.whole, self.tokens = [], [], 0
        self.guests = 0  # how often it came and went

    def request(self):
        """A path, a body and the model that is asked."""
        choice, a = self.random.choice, self.args
        base = get(self.port, "/v1/models")["data"][-len(self.names) - 1]["id"]
        models = [base, *self.names, GUEST, "a mixture"] + (["auto"] if a.route else [])
        model, path = choice(models), choice([CHAT, CHAT, COMPLETIONS, OLLAMA])
        prompt, sampling = choice(a.prompts), {}
        if self.random.random() < 0.5:
            sampling = {"temperature": choice([0.5, 1.0]), "seed": self.random.randrange(1000), "top_p": choice([0.9, 1.0])}
        if path == OLLAMA and model != "a mixture":
            options = {"num_predict": a.max_tokens, **sampling}
            return path, {"model": model, "messages": [{"role": "user", "content": prompt}], "options": options, "stream": False}, model
        body = {"model": model, "max_tokens": a.max_tokens, **sampling}
        if model == "a mixture":
            body |= {"model": base, "lora": [{"id": name, "scale": choice([0.3, 0.7, 1.0])} for name in self.names]}
        if "seed" in body:
            body["n"] = choice([1, 2, 3])
        if path == COMPLETIONS:
            return path, body | {"prompt": prompt}, model
        return CHAT, body | {"messages": [{"role": "user", "content": prompt}]}, model

    async def alone(self):
        """Asks each request alone; a guest's answers are those of the adapter that it is."""
        for _ in range(self.args.requests):
            path, body, model = self.request()
            answer = await ask(self.port, path, body | ({"model": self.names[0]} if model == GUEST else {}))
            self.pool.append((path, body, model, answer.said))

    def fault(self, what):
        self.faults.append(what)
        if len(self.faults) <= 20:
            print(f"FAULT: {what}", flush=True)

    async def good(self):
        path, body, model, said = self.random.choice(self.pool)
        streams = self.random.random() < 0.5
        if streams:
            body = body | {"stream": True} | ({} if path == OLLAMA else {"stream_options": {"include_usage": True}})
        try:
            answer = await ask(self.port, path, body)
        except Refused as error:
            if model == GUEST and error.status == 404:
                self.own["an adapter that has gone: 404"] += 1
            else:
                self.fault(f"{error} to {path} {json.dumps(body)[:300]}")
            return
        if answer.said != said:
            self.fault(f"wrong answer: {answer.said} instead of {said} to {path} {json.dumps(body)}")
        self.right["guest" if model == GUEST else "stream" if streams else "whole"] += 1
        self.whole.append(answer.seconds)
        self.first += [answer.first] if answer.first else []
        self.tokens += answer.tokens

    async def bad(self, name, statuses, data, pause=0, parts=1):
        """Sends what is to be answered with one of these statuses, and says with which; `None` is the end of the connection without an answer."""
        reader, writer = await send(self.port, data, pause, parts)
        try:
            async with asyncio.timeout(60):
                status = await anext(receive(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            status = None
        except TimeoutError:
            status = "nothing for 60 s"
        finally:
            writer.close()
        if status in statuses:
            self.own[f"{name}: {status or 'closed'}"] += 1
        else:
            self.fault(f"{name} got {status} instead of one of {statuses}")
        return status

    async def refused(self):
        _, body, _, _ = self.random.choice([entry for entry in self.pool if entry[0] == CHAT and entry[2] in self.names])
        post = lambda body, path=CHAT: head(path, len(body)) + body
        other = lambda **more: post(json.dumps(body | more).encode())
        await self.bad(*self.random.choice([
            ("garbage", [400], bytes(self.random.randrange(128, 256) for _ in range(200)) + b"\r\n\r\n"),
            ("no JSON", [400], post(b'{"model": ')),
            ("invalid UTF-8", [400], post(b'{"model": "\xff\xfe"}')),
            ("nested a hundred thousand deep", [400], post(b"[" * 100_000)),
            # It does not read the rest: who still sends may see the end of the connection alone.
            ("a body that is too long", [413, None], post(b"x" * (BODY + 1_000_000))),
            ("an endless head", [431, None], b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 100_000),
            ("an unknown model", [404], other(model="nobody")),
            ("an unknown field", [400], other(beam=1)),
            ("max_tokens 0", [400], other(max_tokens=0)),
            ("n 10000", [400], other(n=10_000)),
            ("a prompt beyond the context", [400], other(messages=[{"role": "user", "content": "select " * 20_000}])),
            ("an unknown path", [404], post(b"{}", "/v1/nothing")),
        ]))

    async def leaves(self):
        """Hangs up before the answer, or in the middle of it."""
        path, body, _, _ = self.random.choice(self.pool)
        data = json.dumps(body | {"stream": self.random.random() < 0.7}).encode()
        reader, writer = await send(self.port, head(path, len(data)) + data)
        try:
            async with asyncio.timeout(self.random.random() * 2):
                await reader.read(self.random.randrange(1, 2000))
        except (TimeoutError, ConnectionError):
            pass
        self.own["hung up"] += 1
        if self.random.random() < 0.3:
            writer.transport.abort()
        writer.close()

    async def slow(self):
        path, body, _, _ = self.random.choice([entry for entry in self.pool if entry[2] != GUEST])
        data = json.dumps(body).encode()
        await self.bad(*self.random.choice([
            ("half a head", [None], b"POST " + path.encode()),
            ("half a body", [400, 408], head(path, len(data)) + data[:-5]),
            ("a head in small parts", [200], head(path, len(data)) + data, 0.2, 40),
            ("a body that stops for long", [400, 408], head(path, len(data)) + data, SLOW, 2),
        ]))

    async def client(self, number, until):
        while time.time() < until:
            draw = self.random.random()
            try:
                if number % 16 == 15:
                    await self.slow()
                elif draw < 0.7:
                    await self.good()
                elif draw < 0.85:
                    await self.refused()
                else:
                    await self.leaves()
            except Exception as error:  # whatever it is, the server is not to be its cause
                self.fault(f"client {number}: {type(error).__name__}: {error}")

    async def guest(self, until):
        """Loads an adapter and takes it away, again and again. It is refused as long as rows use the one before."""
        while time.time() < until:
            for path, more in [("load", {"lora_path": GUEST}), ("unload", {})]:
                data = json.dumps({"lora_name": GUEST} | more).encode()
                data, status = head(f"/v1/{path}_lora_adapter", len(data)) + data, None
                while status != 200 and time.time() < until:
                    status = await self.bad(f"{path} of an adapter", [200, 400] if path == "load" else [200], data)
                    await asyncio.sleep(self.random.random() * (4 if status == 200 else 0.2))
            self.guests += 1

    async def run(self, process):
        print(f"{self.args.requests} requests alone", flush=True)
        await self.alone()
        print(f"{self.args.clients} clients for {self.args.seconds:.0f} s", flush=True)
        begun = time.time()
        until = begun + self.args.seconds
        memory = asyncio.create_task(watch(process.pid, until))
        clients = [self.client(number, until) for number in range(self.args.clients)]
        await asyncio.gather(self.guest(until), *clients)
        seconds = time.time() - begun
        samples = await memory
        await asyncio.sleep(1)
        if rows := get(self.port, "/slots"):
            self.fault(f"{len(rows)} rows stay though nobody waits")
        self.report(seconds, samples)

    def report(self, seconds, samples):
        window = min(60, max(1, len(samples) // 3))
        early, late = (statistics.mean(part) / 1e6 for part in (samples[:window], samples[-window:]))
        if late > early * 1.1:
            self.fault(f"memory grew from {early:.0f} to {late:.0f} MB")
        quantiles = lambda times: " and ".join(f"{statistics.quantiles(times, n=100)[p - 1]:.2f}" for p in (50, 95)) if len(times) > 1 else "none"
        wrong = sum(fault.startswith("wrong") for fault in self.faults)
        print(f"""
{self.args.clients} clients, {seconds:.0f} s, {len(self.pool)} different requests:

| what | |
|---|---|
| answers | {sum(self.right.values())} ({", ".join(f"{n} {what}" for what, n in self.right.items())}) |
| wrong answers | {wrong} |
| other faults | {len(self.faults) - wrong} |
| answers a second, tokens a second | {sum(self.right.values()) / seconds:.1f}, {self.tokens / seconds:.0f} |
| to the first text, seconds, p50 and p95 | {quantiles(self.first)} |
| whole answers, seconds, p50 and p95 | {quantiles(self.whole)} |
| memory in the first and the last {window} s, MB | {early:.0f} and {late:.0f} |
| an adapter came and went | {self.guests} times |

Errors that were the client's own, or that it hung up: {", ".join(f"{what} ({n})" for what, n in sorted(self.own.items()))}.""", flush=True)


async def watch(pid, until):
    """Resident bytes of a process, second by second."""
    samples = []
    while time.time() < until:
        status = Path(f"/proc/{pid}/status").read_text()
        samples.append(1024 * int(status.split("VmRSS:")[1].split()[0]))
        await asyncio.sleep(1)
    return samples


def soak(args):
    """Whether all went well."""
    with tempfile.TemporaryDirectory() as work:
        root = Path(work) / "root"
        shutil.copytree(args.lora[0].split("=", 1)[1], root / GUEST)
        command = [args.factory, "serve", "--device", "cpu", "--base", args.base, "--port", args.port, "--adapter-root", root]
        command += [word for lora in args.lora for word in ("--lora", lora)] + (["--route", args.route] if args.route else [])
        command += ["--kv-memory", args.kv_memory] if args.kv_memory else []
        soak = Soak(args)
        with served(command, args.port, Path(work) / "log", args.environment) as process:
            asyncio.run(soak.run(process))
            process.send_signal(signal.SIGTERM)
            begun = time.time()
            if process.wait(60) != 0:
                soak.fault(f"it ended with {process.returncode}: {(Path(work) / 'log').read_text()[-500:]}")
            print(f"ended {time.time() - begun:.1f} s after SIGTERM")
    return not soak.faults
