"""Write a transformers folder of random bfloat16 weights in a published model's shape: parity and speed without its download.
With --gguf TYPE a GGUF file of them.

    python scripts/random_base.py --shape qwen3-0.6b --tokenizer "$(scripts/fetch_qwen3_tokenizer.sh)" --out DIR [--seed 0]
    python scripts/random_base.py --shape qwen3-0.6b --tokenizer "$(scripts/fetch_qwen3_tokenizer.sh)" --gguf Q8_0 --out FILE.gguf
"""
import argparse
import json
import shutil
from pathlib import Path

import gguf
import torch
from golden_models import published_style
from transformers import AutoModelForCausalLM, Qwen3Config

SHAPES = {
    "qwen3-0.6b": Qwen3Config(
        vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16,
        num_key_value_heads=8, head_dim=128, tie_word_embeddings=True, rms_norm_eps=1e-6, max_position_embeddings=40960,
        rope_parameters=dict(rope_type="default", rope_theta=1e6), bos_token_id=151643, eos_token_id=151645, dtype="bfloat16"),
}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--shape", required=True, choices=SHAPES)
    p.add_argument("--tokenizer", required=True, type=Path, help="folder with the model's tokenizer.json")
    p.add_argument("--out", required=True, type=Path)
    p.add_argument("--gguf", metavar="TYPE", choices=["F32", "BF16", "Q8_0", "Q4_0", "Q4_1"])
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    config = SHAPES[a.shape]
    torch.manual_seed(a.seed)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, w in model.named_parameters():
            w.copy_(random_weight(name, w.shape, config.num_hidden_layers))
    if a.gguf:
        write_gguf(model, json.loads((a.tokenizer / "tokenizer.json").read_text()), a.gguf, a.out)
        print(a.out)
        return
    model.generation_config.eos_token_id = [151645, 151643]  # as published
    model.save_pretrained(a.out)
    published_style(a.out / "config.json")
    for name in ["tokenizer_config.json", "tokenizer.json"]:
        shutil.copyfile(a.tokenizer / name, a.out / name)
    print(a.out)


def random_weight(name, shape, layers):
    """Every product keeps the size of its input, all layers together add about as much again, and logits are about 1."""
    if len(shape) == 1:
        return 1 + 0.1 * torch.randn(shape)
    if "embed" in name:
        return shape[1] ** -0.5 * torch.randn(shape)
    out = "o_proj" in name or "down_proj" in name
    return shape[1] ** -0.5 * ((2 * layers) ** -0.5 if out else 1.0) * torch.randn(shape)


def write_gguf(model, tokenizer, kind, out):
    """As llama.cpp's converter writes Qwen3: vectors stay f32, the head is the embeddings."""
    c, kind = model.config, gguf.GGMLQuantizationType[kind]
    w = gguf.GGUFWriter(out, "qwen3")
    w.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind.name}" if kind.name != "F32" else "ALL_F32"])
    w.add_block_count(c.num_hidden_layers)
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_key_length(c.head_dim)
    w.add_value_length(c.head_dim)
    w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    pieces = {id: piece for piece, id in tokenizer["model"]["vocab"].items()}
    special = {token["id"]: token for token in tokenizer["added_tokens"]}
    pieces |= {id: token["content"] for id, token in special.items()}
    normal, control, user, unused = (gguf.TokenType[kind] for kind in ("NORMAL", "CONTROL", "USER_DEFINED", "UNUSED"))
    kinds = [(control if special[id]["special"] else user) if id in special else normal if id in pieces else unused for id in range(c.vocab_size)]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list([pieces.get(id, f"[PAD{id}]") for id in range(c.vocab_size)])
    w.add_token_types(kinds)
    w.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    w.add_eos_token_id(c.eos_token_id)
    w.add_bos_token_id(c.bos_token_id)
    w.add_add_bos_token(False)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, c.num_hidden_layers)
    for name, tensor in model.named_parameters():
        values = tensor.detach().float().numpy()
        held = kind if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        w.add_tensor(names.get_name(name, (".weight", ".bias")), gguf.quants.quantize(values, held), raw_dtype=held)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
