"""The official `openai` and `ollama` clients, and curl, against `factory serve` over a tiny model of the tests.

    python scripts/serve_clients.py target/debug/factory

scripts/serve_clients.sh installs what it needs."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import ollama
import openai

GOLDENS = Path(__file__).parent.parent / "tests" / "goldens"
MESSAGES = [{"role": "user", "content": "How many heads are there?"}]


@contextlib.contextmanager
def served(binary, *flags):
    """A server's address."""
    base, lora, dora = (GOLDENS / name for name in ("tiny-llama", "tiny-llama-lora", "tiny-llama-dora"))
    command = [binary, "serve", "--port", "0", "--device", "cpu", "--base", base, "--lora", f"lora={lora}", "--lora", f"dora={dora}", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if " at http://" in line:
                yield line.split(" at ")[1].strip()
                break
        else:
            raise SystemExit("the server says nothing")
    finally:
        process.terminate()
        process.wait()


def slots(address):
    return json.load(urllib.request.urlopen(address + "/slots"))


def check_openai(address):
    client = openai.OpenAI(base_url=address + "/v1", api_key="none", max_retries=0)
    names = [model.id for model in client.models.list()]
    assert names == ["auto", "tiny-llama", "lora", "dora"], names
    ask = lambda **more: client.chat.completions.create(**{"model": "lora", "messages": MESSAGES, "max_tokens": 16, **more})

    whole = ask()
    text = whole.choices[0].message.content
    assert whole.usage.completion_tokens == 16 and whole.choices[0].finish_reason == "length"
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
    assert chunks[-1].usage == whole.usage and len(chunks) > 8

    drawn = ask(n=4, seed=3, temperature=1.0)
    assert len({choice.message.content for choice in drawn.choices}) > 1
    again = ask(n=4, seed=3, temperature=1.0)
    assert [c.message.content for c in again.choices] == [c.message.content for c in drawn.choices]

    told = ask(logprobs=True, top_logprobs=5).choices[0].logprobs.content
    assert len(told) == 16 and all(len(token.top_logprobs) == 5 for token in told)
    assert "".join(token.token for token in told).startswith(text[:4])

    plain = client.completions.create(model="dora", prompt=["one", "two"], max_tokens=5, logprobs=2)
    assert [choice.index for choice in plain.choices] == [0, 1]
    assert len(plain.choices[1].logprobs.tokens) == 5

    raw = client.chat.completions.with_raw_response.create(model="auto", messages=MESSAGES, max_tokens=4)
    assert raw.headers["x-factory-route"] == "lora", raw.headers
    assert raw.parse().model == "lora" and raw.parse().route["adapter"] == "lora"
    mixed = ask(model="tiny-llama", extra_body={"lora": [{"id": 0, "scale": 1.0}]})
    assert mixed.choices[0].message.content == text

    for kind, param, more in [
        (openai.NotFoundError, "model", {"model": "gpt-5"}),
        (openai.BadRequestError, "max_tokens", {"max_tokens": 0}),
        (openai.BadRequestError, "messages", {"messages": [{"role": "user", "content": "x " * 2000}]}),
        (openai.BadRequestError, "presence_penalty", {"presence_penalty": 1.0}),
        (openai.BadRequestError, "beam", {"extra_body": {"beam": 1}}),
    ]:
        try:
            ask(**more)
        except kind as error:
            assert error.param == param, error
        else:
            raise AssertionError(f"{more} was answered")

    stream = ask(stream=True, max_tokens=400, logit_bias={"258": -100})
    next(iter(stream))
    assert len(slots(address)) == 1
    stream.close()
    begun = time.time()
    while slots(address):
        assert time.time() - begun < 5, "the row of a caller who left stays"
        time.sleep(0.01)
    return text


def check_ollama(address, text):
    client = ollama.Client(host=address)
    assert [model.model for model in client.list().models] == ["auto", "tiny-llama", "lora", "dora"]
    options = {"num_predict": 16}
    assert client.chat("lora", MESSAGES, options=options).message.content == text
    pieces = list(client.chat("lora", MESSAGES, options=options, stream=True))
    assert "".join(piece.message.content for piece in pieces) == text and pieces[-1].done
    whole = client.generate("lora", MESSAGES[0]["content"], options=options)
    assert whole.response == text and whole.eval_count == 16
    try:
        client.chat("nothing", MESSAGES)
    except ollama.ResponseError as error:
        assert error.status_code == 404, error
    else:
        raise AssertionError("a model that is not there answered")


def check_curl(address):
    body = json.dumps({"model": "lora", "messages": MESSAGES, "max_tokens": 4, "stream": True})
    command = ["curl", "--silent", "--no-buffer", "--json", body, address + "/v1/chat/completions"]
    events = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n\n")
    assert events[-2] == "data: [DONE]" and all(event.startswith("data: ") for event in events[:-1]), events


def main():
    rules = {"kind": "rules", "rules": [{"field": "prompt", "matches": "heads", "route": "lora"}]}
    folder = Path(sys.argv[1]).parent
    route = folder / "serve-clients-rules.json"
    route.write_text(json.dumps(rules))
    with served(sys.argv[1], "--route", route) as address:
        text = check_openai(address)
        check_ollama(address, text)
        check_curl(address)
    print(f"openai {openai.__version__}, ollama and curl: all as they expect")


main()
