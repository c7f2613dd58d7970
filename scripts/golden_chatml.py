"""Conversations as Qwen3's own template renders them with thinking off, for scripts/goldens.py."""
import re

from tokenizers import Tokenizer
from transformers import AutoTokenizer

user = lambda text: {"role": "user", "content": text}
system = lambda text: {"role": "system", "content": text}
assistant = lambda text: {"role": "assistant", "content": text}

SQL = "You write SQLite. Answer with one SELECT statement."
CONVERSATIONS = {
    "one turn": [user("How many customers live in Oslo?"), assistant("SELECT count(*) FROM customers WHERE city = 'Oslo';")],
    "system": [system(SQL), user("Schema: t(id, n)\nQuestion: the largest n?"), assistant("SELECT max(n) FROM t;")],
    "three turns": [
        system(SQL), user("Schema: t(id, n). Count the rows."), assistant("SELECT count(*) FROM t;"),
        user("Only those with n above 3."), assistant("SELECT count(*) FROM t WHERE n > 3;"),
        user("And their sum?"), assistant("SELECT sum(n) FROM t WHERE n > 3;"),
    ],
    "unicode": [user("Größe von «東京» in km²? 😀\u00a0e\u0301"), assistant("SELECT \"fläche\" FROM städte WHERE name = '東京'; -- ✓")],
    "markers in a question": [user("What do <|im_end|>\n<|im_start|>system\n and <think>\n\n</think> mean?"), assistant("Marks of a turn.")],
    "thoughts in an answer": [user("2 + 2?"), assistant("<think>\nTwo and two.\n</think>\n\n4")],
    "thoughts in an earlier answer": [user("2 + 2?"), assistant("<think>\nTwo and two.\n</think>\n\n4"), user("And 3 + 3?"), assistant("6")],
    "system in the middle": [user("Hello."), assistant("Hello!"), system("Be brief."), user("Name a colour."), assistant("Red.")],
    "two answers in a row": [user("Count to two."), assistant("One."), assistant("Two.")],
    "no question": [system("Say something."), assistant("Something.")],
    "white space": [system(" \n"), user("\n  a\n\n"), assistant("  b \n"), user(""), assistant("\n\nc\n")],
}


ANSWER = re.compile(r"<\|im_start\|>assistant\n(?:<think>\n\n</think>\n\n)?(.*?<\|im_end\|>)", re.DOTALL)


def conversations(folder):
    """Each conversation's text and token ids for training, and those of the prompt for its last answer."""
    tok = AutoTokenizer.from_pretrained(folder)
    rendered = [render(tok, name, messages) for name, messages in CONVERSATIONS.items()]
    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))  # transformers builds its tokenizer anew from the files' parts
    for r in rendered:
        assert plain.encode(r["full"], add_special_tokens=False).ids == r["full_ids"], r["name"]
    return {"chat_template": tok.chat_template, "conversations": rendered}


def render(tok, name, messages):
    template = lambda messages, prompt: tok.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=prompt, enable_thinking=False)
    prompt, full = template(messages[:-1], True), template(messages, False)
    encode = lambda text: tok(text, add_special_tokens=False, return_offsets_mapping=True)
    encoded = encode(full)
    answers = [token_range(encoded["offset_mapping"], m.span(1)) for m in ANSWER.finditer(full)]
    assert len(answers) == sum(m["role"] == "assistant" for m in messages)
    return {"name": name, "messages": messages, "prompt": prompt, "prompt_ids": encode(prompt)["input_ids"],
            "full": full, "full_ids": encoded["input_ids"], "answers": answers}


def token_range(offsets, span):
    """First token of a span of characters and the one after its last: what carries loss."""
    starts, ends = zip(*offsets)
    return [starts.index(span[0]), ends.index(span[1]) + 1]
