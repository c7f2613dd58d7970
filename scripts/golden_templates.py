"""Conversations as the bases' own chat templates render them, and SentencePiece's spaces, for scripts/goldens.py."""
import json

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer

user = lambda text: {"role": "user", "content": text}
system = lambda text: {"role": "system", "content": text}
assistant = lambda text, **more: {"role": "assistant", "content": text, **more}
tool = lambda text: {"role": "tool", "content": text}
call = lambda name, **arguments: {"type": "function", "function": {"name": name, "arguments": arguments}}

TOOLS = [
    {"type": "function", "function": {
        "name": "depth", "description": "Depth of a lake, in metres — 深さ \"quoted\" </a>\n",
        "parameters": {"type": "object", "required": ["lake"], "properties": {
            "lake": {"type": "string", "enum": ["Inari", "Große Arber"]},
            "digits": {"type": "integer", "default": 2, "maximum": 1e16, "minimum": -1.0, "step": 2.5e-5},
            "exact": {"type": "boolean", "default": True, "examples": [None, [], {}]}}}}},
    {"type": "function", "function": {"name": "clock", "parameters": {}}},
]

CONVERSATIONS = {
    "one turn": [user("How deep is Lake Inari?"), assistant("Up to 92 metres.")],
    "system": [system("Answer in one word."), user("A red fruit?"), assistant("Apple.")],
    "three turns": [system("Be brief."), user("One?"), assistant("1"), user("Two?"), assistant("2"), user("Three?"), assistant("3")],
    "unicode": [user("Größe von «東京»? 😀\u00a0e\u0301"), assistant("ファイル – ✓")],
}
QWEN3 = {
    "white space": [user("\n  a\n\n"), assistant("  b \n"), user("c "), assistant("d\n\n")],
    "reasoning apart": [user("2 + 2?"), assistant("4", reasoning_content="Two and two."), user("3 + 3?"), assistant("6", reasoning_content="Three twice.\n")],
    "reasoning inside": [user("2 + 2?"), assistant("<think>\nTwo and two.\n</think>\n\n4"), user("3 + 3?"), assistant("<think>\nThree twice.\n</think>\n\n6")],
    "tools": [
        system("Use the tools."), user("How deep are Inari and Saimaa?"),
        assistant("I look.", tool_calls=[call("depth", lake="Inari", digits=1), call("depth", lake="Saimaa – 湖", near=[1.5, None, False])]),
        tool("{\"metres\": 92}"), tool("82"), assistant("92 and 82 metres."), user("Thanks."), assistant("Welcome."),
    ],
    "a call alone": [user("What time is it?"), assistant("", tool_calls=[call("clock")]), tool("12:00"), assistant("Noon.")],
    "a call in letters": [user("Call the clock."), assistant("<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n</tool_call>")],
}


def base_templates(folder, qwen3):
    """Ids of each answer's prompt and of the conversation up to its end, as apply_chat_template has them."""
    tok = AutoTokenizer.from_pretrained(folder)
    ids = lambda messages, tools, prompt: tok.apply_chat_template(
        messages, tools=tools, add_generation_prompt=prompt, tokenize=True, return_dict=False)
    out = []
    for name, messages in {**CONVERSATIONS, **(QWEN3 if qwen3 else {})}.items():
        tools = TOOLS if "tool" in name or "call" in name else None
        answers = [
            {"prompt_ids": ids(messages[:i], tools, True), "full_ids": ids(messages[: i + 1], tools, False)}
            for i, message in enumerate(messages) if message["role"] == "assistant"
        ]
        out.append({"name": name, "messages": messages, "tools": tools, "answers": answers})
    return out


PIECES = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
WORDS = ["▁a", "▁b", "ab", "▁ab", "er", "us", "user", "▁user", "▁▁", "as", "ss", "ist", "ant"]
TEXTS = ["ab", " ab", "ab user\n", "\nab", "  ab", "a<|im_end|>b", "user\nab b<|im_end|>\n<|im_start|>as", "<s>ab</s> b", "é 東"]


def spaces():
    """How tokenizers of SentencePiece kind treat a text's start, one of each kind, with the ids of some texts."""
    kinds = {
        "prepend": (normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None, 1),
        "metaspace first": (None, pre_tokenizers.Metaspace("▁", "first", split=False), None),
        "metaspace always": (None, pre_tokenizers.Metaspace("▁", "always", split=True), None),
        "none": (normalizers.Replace(" ", "▁"), None, 0),
    }
    out = []
    for name, (normalizer, splitter, strip) in kinds.items():
        tok = Tokenizer(bpe())
        if normalizer:
            tok.normalizer = normalizer
        if splitter:
            tok.pre_tokenizer = splitter
        tail = [decoders.ByteFallback(), decoders.Fuse()]
        if splitter:
            tok.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace("▁", splitter.prepend_scheme)])
        else:
            tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), *tail, *([decoders.Strip(" ", strip, 0)] if strip else [])])
        tok.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", special_tokens=[("<s>", 1)])
        tok.add_special_tokens([AddedToken(piece, normalized=False, special=True) for piece in PIECES])
        texts = [{"text": text, "ids": tok.encode(text, add_special_tokens=False).ids} for text in TEXTS]
        out.append({"name": name, "tokenizer": json.loads(tok.to_str()), "texts": texts})
    return out


def bpe():
    letters = sorted(set("".join(WORDS)) | set("abcdefghijklmnopqrstuvwxyz▁"))
    vocab = [*PIECES, *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    vocab += [word for word in WORDS if word not in vocab]
    known = {piece: i for i, piece in enumerate(vocab)}
    splits = lambda word: [(word[:i], word[i:]) for i in range(1, len(word)) if word[:i] in known and word[i:] in known]
    merges = [pair for word in sorted(WORDS, key=len) for pair in splits(word)]
    return models.BPE(vocab=known, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
