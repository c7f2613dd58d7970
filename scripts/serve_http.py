"""A small HTTP client for the benches of `factory serve`: what it sends may be cut, slow or nonsense. Standard library alone."""
import asyncio
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections import defaultdict
from contextlib import contextmanager

READ_LIMIT = 1 << 24
PATIENCE = 600  # seconds for one answer


class Refused(Exception):
    """An error of the server's, by its status; `code` is 'stream' where it came in a stream that had begun."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body[:200]}")
        self.status = status


class Answer:
    """Texts with why they ended, tokens, and seconds to the first text and to the end."""

    def __init__(self, body, first, seconds):
        self.first, self.seconds, self.tokens = first, seconds, 0
        texts, reasons = defaultdict(str), {}
        for value in objects(body):
            if "error" in value:
                raise Refused(404 if value["error"]["code"] == "model_not_found" else 500, json.dumps(value))
            for choice in value.get("choices", []):
                texts[choice["index"]] += text(choice)
                reasons[choice["index"]] = choice["finish_reason"] or reasons.get(choice["index"])
            if "done" in value:  # Ollama's
                texts[0] += text(value)
                reasons[0] = value.get("done_reason")
            self.tokens += (value.get("usage") or {}).get("completion_tokens", value.get("eval_count", 0))
        self.said = [(texts[index], reasons.get(index)) for index in sorted(texts)]


def text(value):
    inner = value.get("message") or value.get("delta") or {}
    return value.get("text") or value.get("response") or inner.get("content") or ""


def objects(body):
    """Those of a whole answer, of events, or of lines."""
    lines = [line.removeprefix("data: ") for line in body.decode().splitlines()]
    return [json.loads(line) for line in lines if line and line != "[DONE]"]


def head(path, length):
    return f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n".encode()


async def send(port, data, pause=0, parts=1):
    """Opens a connection and sends `data`, in `parts` with a pause between two; closing the writer is the caller's."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=READ_LIMIT)
    size = -(-len(data) // parts)
    try:
        for start in range(0, len(data), size):
            if start:
                await asyncio.sleep(pause)
            writer.write(data[start : start + size])
            await writer.drain()
    except ConnectionError:
        pass  # It may have answered all the same: a body that is too long is not read to its end.
    return reader, writer


async def receive(reader):
    """Status, and the parts of the body as they come."""
    first = await reader.readuntil(b"\r\n\r\n")
    status, fields = int(first.split()[1]), first.lower()
    yield status
    if b"transfer-encoding: chunked" in fields:
        while size := int(await reader.readline(), 16):
            yield (await reader.readexactly(size + 2))[:-2]
    else:
        length = next((int(line.split(b":")[1]) for line in fields.splitlines() if line.startswith(b"content-length:")), 0)
        yield await reader.readexactly(length)


async def ask(port, path, body):
    """The answer to a request. Raises [`Refused`] where it is an error."""
    data = json.dumps(body).encode()
    begun, first, got = time.perf_counter(), None, b""
    reader, writer = await send(port, head(path, len(data)) + data)
    try:
        async with asyncio.timeout(PATIENCE):
            parts = receive(reader)
            status = await anext(parts)
            async for part in parts:
                got += part
                if first is None and status == 200 and b"\n" in part and any(map(text, said(part))):
                    first = time.perf_counter() - begun
    finally:
        writer.close()
    if status != 200:
        raise Refused(status, got.decode())
    return Answer(got, first, time.perf_counter() - begun)


def said(part):
    """What holds text in a part of a stream."""
    for value in objects(part):
        yield from value.get("choices", [value])


@contextmanager
def served(command, port, log, environment):
    """A server, once it says that it is well."""
    with open(log, "w") as out:
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out, env=environment)
        try:
            until = time.time() + 120
            while not well(port):
                if process.poll() is not None or time.time() > until:
                    raise SystemExit(f"{command[0]} did not begin:\n{open(log).read()[-2000:]}")
                time.sleep(0.1)
            yield process
        finally:
            process.terminate()
            process.wait()


def well(port):
    try:
        return get(port, "/health") is not None
    except (OSError, urllib.error.HTTPError):
        return False


def get(port, path):
    return json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30))
