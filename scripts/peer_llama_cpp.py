"""Greedy generation with llama.cpp's shared libraries, called directly: the peer of `factory generate`.

LLAMA_CPP is the folder that scripts/llama_cpp.sh prints; the model is a GGUF file, an adapter too (`factory adapter convert --to gguf`).
"answers" does what llama.cpp's server does: as many rows as slots, prompts and decoding rows in one batch, a new row in the free slot
that holds most of its beginning. Its own quantizer:

    LLAMA_CPP=... python scripts/peer_llama_cpp.py quantize --model FILE --to q4_0|q8_0 --out FILE
"""
import argparse
import ctypes as c
import os
import sys
from collections import deque
from pathlib import Path

import numpy as np

import peer

FILES = {"libllama": "libllama.v0.5.0.so", "libggml": "libggml.v0.5.0.so"}  # the version whose structs are written down here
FILE_TYPES = {"q4_0": 2, "q8_0": 7}
STEP = 2048  # most tokens of a step


class Params(c.Structure):
    """A struct of parameters as words, larger than any: it is passed by value, in memory, and only its beginning is read."""

    _fields_ = [("words", c.c_uint32 * 64)]


class Batch(c.Structure):
    _fields_ = [("n_tokens", c.c_int32), ("token", c.c_void_p), ("embd", c.c_void_p), ("pos", c.c_void_p), ("n_seq_id", c.c_void_p),
                ("seq_id", c.c_void_p), ("logits", c.c_void_p)]


def library():
    folder = Path(os.environ["LLAMA_CPP"]).resolve()
    ggml = c.CDLL(str(folder / FILES["libggml"]))
    ggml.ggml_backend_load_all_from_path(str(folder).encode())
    lib = c.CDLL(str(folder / FILES["libllama"]))
    lib.silent = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)(lambda *_: None)  # kept: C calls it
    lib.llama_log_set(lib.silent, None)
    pointers = ["model_load_from_file", "init_from_model", "model_get_vocab", "get_memory", "get_logits", "adapter_lora_init"]
    for name in pointers:
        getattr(lib, "llama_" + name).restype = c.c_void_p
    for name in ["model_default_params", "context_default_params", "model_quantize_default_params"]:
        getattr(lib, "llama_" + name).restype = Params
    lib.llama_model_load_from_file.argtypes = [c.c_char_p, Params]
    lib.llama_init_from_model.argtypes = [c.c_void_p, Params]
    lib.llama_adapter_lora_init.argtypes = [c.c_void_p, c.c_char_p]
    lib.llama_set_adapters_lora.argtypes = [c.c_void_p, c.POINTER(c.c_void_p), c.c_size_t, c.POINTER(c.c_float)]
    lib.llama_decode.argtypes = [c.c_void_p, Batch]
    lib.llama_memory_seq_rm.argtypes = [c.c_void_p, c.c_int32, c.c_int32, c.c_int32]
    lib.llama_memory_seq_rm.restype = c.c_bool
    lib.llama_tokenize.argtypes = [c.c_void_p, c.c_char_p, c.c_int32, c.c_void_p, c.c_int32, c.c_bool, c.c_bool]
    lib.llama_detokenize.argtypes = [c.c_void_p, c.c_void_p, c.c_int32, c.c_char_p, c.c_int32, c.c_bool, c.c_bool]
    lib.llama_vocab_is_eog.argtypes = [c.c_void_p, c.c_int32]
    lib.llama_vocab_is_eog.restype = c.c_bool
    for name in ["model_get_vocab", "get_memory", "get_logits", "vocab_n_tokens", "free", "model_free"]:
        getattr(lib, "llama_" + name).argtypes = [c.c_void_p]
    return lib


class LlamaCpp:
    def __init__(self, model, lora, threads, rows, positions):
        self.lib = lib = library()
        self.model = need(lib.llama_model_load_from_file(model.encode(), lib.llama_model_default_params()), f"{model} cannot be loaded")
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.width = lib.llama_vocab_n_tokens(self.vocab)
        self.rows = rows
        params = lib.llama_context_default_params()
        words = params.words
        # n_ctx, n_batch, n_ubatch, n_seq_max, and n_threads, n_threads_batch. The rest is as it is by default.
        if [*words[:4], *words[7:9]] != [512, 2048, 512, 1, 4, 4]:
            sys.exit("peer_llama_cpp: not the version of llama.cpp whose parameters are known here")
        words[0], words[1], words[3] = rows * (-(-positions // 256) * 256), STEP, rows
        words[7] = words[8] = threads
        self.context = need(lib.llama_init_from_model(self.model, params), "no context")
        self.memory = lib.llama_get_memory(self.context)
        if lora:
            adapter = need(lib.llama_adapter_lora_init(self.model, lora.encode()), f"{lora} cannot be loaded")
            lib.llama_set_adapters_lora(self.context, (c.c_void_p * 1)(adapter), 1, (c.c_float * 1)(1.0))

    def __del__(self):
        self.lib.llama_free(self.context)
        self.lib.llama_model_free(self.model)

    def step(self, parts):
        """The likeliest next token of each (slot, first position, tokens)."""
        best = []
        while parts:
            now, parts, room = [], deque(parts), STEP
            while parts and room:
                slot, start, tokens = parts.popleft()
                if len(tokens) > room:
                    parts.appendleft((slot, start + room, tokens[room:]))
                    tokens, whole = tokens[:room], False
                else:
                    whole = True
                now.append((slot, start, tokens, whole))
                room -= len(tokens)
            best += self.decode(now)
        return best

    def decode(self, parts):
        token = np.array([t for _, _, tokens, _ in parts for t in tokens], np.int32)
        pos = np.array([start + i for _, start, tokens, _ in parts for i in range(len(tokens))], np.int32)
        seq = np.array([slot for slot, _, tokens, _ in parts for _ in tokens], np.int32)
        wanted = np.array([whole and i + 1 == len(tokens) for _, _, tokens, whole in parts for i in range(len(tokens))], np.int8)
        one = np.ones(len(token), np.int32)
        seqs = seq.ctypes.data + 4 * np.arange(len(token), dtype=np.uint64)
        batch = Batch(len(token), *(x.ctypes.data if x is not None else None for x in (token, None, pos, one, seqs, wanted)))
        if self.lib.llama_decode(self.context, batch):
            sys.exit("peer_llama_cpp: llama_decode failed")
        count = int(wanted.sum())
        if not count:
            return []
        logits = c.cast(self.lib.llama_get_logits(self.context), c.POINTER(c.c_float))
        return np.ctypeslib.as_array(logits, (count, self.width)).argmax(axis=1).tolist()

    def generate(self, prompts, count):
        for slot in range(len(prompts)):
            self.lib.llama_memory_seq_rm(self.memory, slot, -1, -1)
        parts = [(slot, 0, prompt) for slot, prompt in enumerate(prompts)]
        for _ in range(count):
            best = self.step(parts)
            parts = [(slot, start + len(tokens), [token]) for (slot, start, tokens), token in zip(parts, best)]

    def texts(self, prompts, most):
        prompts = [self.tokenize(prompt) for prompt in prompts]
        answers = [[] for _ in prompts]
        waiting, running = deque(range(len(prompts))), {}
        held = [[] for _ in range(self.rows)]  # the tokens whose keys each slot has
        while waiting or running:
            parts = [(slot, len(held[slot]), answers[index][-1:]) for slot, index in running.items()]
            free = [slot for slot in range(self.rows) if slot not in running]
            while free and waiting:
                index = waiting.popleft()
                prompt = prompts[index]
                slot = max(free, key=lambda slot: common(held[slot], prompt))
                free.remove(slot)
                kept = min(common(held[slot], prompt), len(prompt) - 1)
                self.lib.llama_memory_seq_rm(self.memory, slot, kept, -1)
                held[slot] = prompt[:kept]
                running[slot] = index
                parts.append((slot, kept, prompt[kept:]))
            for (slot, _, tokens), token in zip(parts, self.step(parts)):
                held[slot] = held[slot] + tokens
                answer = answers[running[slot]]
                ended = self.lib.llama_vocab_is_eog(self.vocab, token)
                if not ended:
                    answer.append(token)
                if ended or len(answer) >= most:
                    del running[slot]
        return [self.detokenize(answer) for answer in answers]

    def tokenize(self, text):
        found, text = np.empty(len(text) + 8, np.int32), text.encode()
        count = self.lib.llama_tokenize(self.vocab, text, len(text), found.ctypes.data, len(found), False, False)
        return found[:count].tolist()

    def detokenize(self, tokens):
        tokens, text = np.array(tokens, np.int32), c.create_string_buffer(64 * len(tokens) + 8)
        length = self.lib.llama_detokenize(self.vocab, tokens.ctypes.data, len(tokens), text, len(text), False, False)
        return text.raw[:length].decode(errors="replace")


def common(a, b):
    """How many tokens two lists begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def need(pointer, what):
    return pointer or sys.exit(f"peer_llama_cpp: {what}")


def quantize(args):
    p = argparse.ArgumentParser()
    p.add_argument("--model", required=True)
    p.add_argument("--to", required=True, choices=FILE_TYPES)
    p.add_argument("--out", required=True)
    a = p.parse_args(args)
    lib = library()
    params = lib.llama_model_quantize_default_params()
    params.words[1] = FILE_TYPES[a.to]
    params.words[4] |= 1  # allow_requantize
    if lib.llama_model_quantize(a.model.encode(), a.out.encode(), c.byref(params)):
        sys.exit(f"peer_llama_cpp: {a.model} cannot be quantized")


if __name__ == "__main__":
    if sys.argv[1:2] == ["quantize"]:
        quantize(sys.argv[2:])
    else:
        peer.main(LlamaCpp, __doc__)
