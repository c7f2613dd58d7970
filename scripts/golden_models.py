"""Tiny random models of each architecture, and the logits and greedy tokens of a model, for scripts/goldens.py."""
import json
import shutil

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen3Config

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # ids 256, 257, 258; a byte's id is the byte
SHARED = dict(num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=259, eos_token_id=258,
              max_position_embeddings=512, attn_implementation="eager", dtype="bfloat16")
TINY = {
    "tiny-llama": LlamaConfig(hidden_size=64, intermediate_size=80, head_dim=16, tie_word_embeddings=True, bos_token_id=257,
                              pad_token_id=258, rms_norm_eps=1e-5, rope_parameters=dict(rope_type="default", rope_theta=1e5), **SHARED),
    "tiny-qwen2": Qwen2Config(hidden_size=32, intermediate_size=64, tie_word_embeddings=True, bos_token_id=256,
                              pad_token_id=256, rms_norm_eps=1e-6, rope_parameters=dict(rope_type="default", rope_theta=1e6), **SHARED),
    "tiny-qwen3": Qwen3Config(hidden_size=32, intermediate_size=96, head_dim=32, tie_word_embeddings=False, bos_token_id=256,
                              pad_token_id=256, rms_norm_eps=1e-6, rope_parameters=dict(rope_type="default", rope_theta=1e6), **SHARED),
}
SEED = {"llama": 6, "qwen2": 9, "qwen3": 7}  # chosen so that no two best logits come close along the greedy paths
SHARD = {"qwen2": "40KB"}  # of this one the weights are split over two files


def load(folder):
    """The model, in float32 whatever its weights are stored in, and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    return model, AutoTokenizer.from_pretrained(folder)


def make_model(folder, config):
    """A transformers folder with random bfloat16 weights, scaled by fan-in so that the logits lie well apart."""
    kind = config.model_type
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(SEED[kind])
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, w in model.named_parameters():
            w.copy_(random_weight(name, w.shape))
    if kind != "llama":  # as the published models: two ends of text
        model.generation_config.eos_token_id = [258, 256]
    model.save_pretrained(folder, max_shard_size=SHARD.get(kind, "1GB"))
    assert len(list(folder.glob("*.safetensors"))) == (2 if kind in SHARD else 1)
    tok = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(byte_characters())}, merges=[]))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens(SPECIAL)
    PreTrainedTokenizerFast(tokenizer_object=tok, eos_token="<|im_end|>").save_pretrained(folder)
    if kind != "llama":
        published_style(folder / "config.json")


def random_weight(name, shape):
    noise = torch.randn(shape)
    if name.endswith("bias"):
        return 0.5 * noise
    if len(shape) == 1:
        return 1 + 0.2 * noise
    gain = 0.5 * shape[1] ** 0.5 if "embed" in name or "lm_head" in name else 2.0
    return gain / shape[1] ** 0.5 * noise


def byte_characters():
    """GPT-2's printable stand-in for every byte, in byte order."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    extra = iter(range(256, 512))
    return [chr(b) if b in kept else chr(next(extra)) for b in range(256)]


def published_style(path):
    """Name rope's base and the dtype as transformers 4 did: the style of the published Qwen folders."""
    config = json.loads(path.read_text())
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def forward(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0]


def greedy(model, ids, count, stop=None):
    """The next `count` best tokens (up to and with `stop`), and the smallest gap between the best two logits."""
    out, gap = [], float("inf")
    while len(out) < count and (not out or out[-1] != stop):
        top = forward(model, ids + out)[-1].topk(2)
        gap = min(gap, (top.values[0] - top.values[1]).item())
        out.append(top.indices[0].item())
    return out, round(gap, 5)


def tiny_logits(model, tok, text):
    """Every position's logits of every fourth id."""
    ids = tok(text, add_special_tokens=False)["input_ids"]
    out, gap = greedy(model, ids, 12)
    assert gap > 0.05 and not {256, 258} & set(out), (text, gap, out)
    return {"text": text, "ids": ids, "greedy": out, "gap": gap, **every_position(model, ids)}


def every_position(model, ids):
    """Every position's logits of every fourth id of a tiny model."""
    picked = list(range(0, 259, 4))
    return {"logit_ids": picked, "logits": [[round(v, 5) for v in row] for row in forward(model, ids)[:, picked].tolist()]}


def sampled_logits(model, tok, text):
    """The last position's logits of its best ids and of some spread over the vocabulary."""
    ids = tok(text, add_special_tokens=False)["input_ids"]
    out, gap = greedy(model, ids, 24, stop=tok.eos_token_id)
    last = forward(model, ids)[-1]
    spaced = torch.arange(0, len(last), -(-len(last) // 40)).tolist()
    picked = list(dict.fromkeys(last.topk(16).indices.tolist() + spaced))
    return {"text": text, "ids": ids, "greedy": out, "greedy_text": tok.decode(out), "gap": gap,
            "logit_ids": picked, "logits": [round(last[i].item(), 5) for i in picked]}
