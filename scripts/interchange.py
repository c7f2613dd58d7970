"""Check converted adapters with the readers of mlx-lm, gguf and llama.cpp. scripts/interchange.sh runs every command."""
import argparse
import json
import sys
from pathlib import Path

import numpy as np

GOLDENS = Path(__file__).resolve().parent.parent / "tests" / "goldens" / "smollm2.json"
NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def texts():
    return [prompt["text"] for prompt in json.loads(GOLDENS.read_text())["prompts"]]


def mlx_model(hf, adapter=None):
    """mlx-lm's model; it looks for rope_theta where transformers 5 no longer writes it."""
    from mlx_lm import load

    config = json.loads((Path(hf) / "config.json").read_text())
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    return load(hf, adapter_path=adapter, model_config={"rope_theta": theta})[0]


def mlx(a):
    """Every logit of mlx-lm with its own loader against ours."""
    import mlx.core as mx
    from safetensors.numpy import load_file

    model = mlx_model(a.hf, a.adapter)
    ours = load_file(a.logits)
    worst, positions = 0.0, 0
    for i in range(len(texts())):
        want = np.array(model(mx.array(ours[f"ids.{i}"].astype(np.int32))[None])[0].astype(mx.float32))
        worst = max(worst, float(np.abs(want - ours[f"logits.{i}"]).max()))
        positions += len(want)
    print(json.dumps({"reader": "mlx-lm", "positions": positions, "max_abs_diff": worst}))
    sys.exit(0 if worst <= 2e-3 else 1)


def mlx_write(a):
    """An adapter that mlx-lm makes and saves itself, with random weights."""
    import mlx.core as mx
    from mlx.utils import tree_flatten, tree_map
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import save_config

    model = mlx_model(a.hf)
    model.freeze()
    parameters = {"rank": 6, "scale": 2.5, "dropout": 0.0}
    linear_to_lora_layers(model, 20, parameters, use_dora=a.kind == "dora")
    mx.random.seed(1)
    noise = tree_map(lambda p: p + 0.02 * mx.random.normal(p.shape), model.trainable_parameters())
    out = Path(a.out)
    out.mkdir()
    mx.save_safetensors(str(out / "adapters.safetensors"), dict(tree_flatten(noise)))
    save_config({"fine_tune_type": a.kind, "num_layers": 20, "lora_parameters": parameters, "model": a.hf},
                out / "adapter_config.json")


def permuted(rows, heads):
    """Rows of q or k as llama.cpp's converter orders them for the Llama architecture."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def heads(hf):
    config = json.loads((Path(hf) / "config.json").read_text())
    return {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}


def gguf(a):
    """The converted file as gguf reads it, against PEFT's folder: alpha/rank · B · A of every module."""
    from gguf import GGUFReader
    from safetensors.numpy import load_file

    reader = GGUFReader(a.converted)
    field = lambda name: reader.fields[name].contents()
    for name, want in [("general.type", "adapter"), ("general.architecture", "llama"), ("adapter.type", "lora")]:
        assert field(name) == want, f"{name} is {field(name)}"
    found = {t.name: np.array(t.data).reshape(tuple(reversed(t.shape))) for t in reader.tensors}
    config = json.loads((Path(a.adapter) / "adapter_config.json").read_text())
    peft = load_file(Path(a.adapter) / "adapter_model.safetensors")
    worst, modules = 0.0, 0
    for name in [n for n in found if n.endswith(".lora_a")]:
        _, layer, kind, *_ = name.split(".")
        lora_a, lora_b = found[name], found[name.replace("lora_a", "lora_b")]
        got = field("adapter.lora.alpha") / lora_b.shape[1] * lora_b @ lora_a
        stem = f"base_model.model.model.layers.{layer}.{NAMES[kind]}"
        pa, pb = peft[stem + ".lora_A.weight"], peft[stem + ".lora_B.weight"]
        alpha = config["alpha_pattern"].get(stem.rsplit(".", 1)[1], config["lora_alpha"])
        want = alpha / (len(pa) ** 0.5 if config["use_rslora"] else len(pa)) * pb @ pa
        count = heads(a.hf).get(kind)
        want = permuted(want, count) if count else want
        worst = max(worst, float(np.abs(got - want).max()))
        modules += 1
    assert 2 * modules == len(peft), f"{modules} modules of {len(peft)} tensors"
    print(json.dumps({"reader": "gguf", "modules": modules, "max_abs_diff": worst}))
    sys.exit(0 if worst <= 1e-6 else 1)


def gguf_base(a):
    """A transformers folder as a float32 GGUF with the metadata of another."""
    from gguf import GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
    from safetensors.numpy import load_file

    reader = GGUFReader(a.gguf)
    writer = GGUFWriter(a.out, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type", "general.quantization_version"):
            continue
        kind = field.types[0]
        writer.add_key_value(field.name, field.contents(), kind, field.types[-1] if kind == GGUFValueType.ARRAY else None)
    writer.add_file_type(LlamaFileType.ALL_F32)
    weights = load_file(Path(a.hf) / "model.safetensors")
    fixed = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    norms = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
    for tensor in reader.tensors:
        parts = tensor.name.split(".")
        if parts[0] == "blk":
            kind = parts[2]
            data = weights[f"model.layers.{parts[1]}.{NAMES.get(kind) or norms[kind]}.weight"]
            count = heads(a.hf).get(kind)
            data = permuted(data, count) if count else data
        else:
            data = weights[fixed[parts[0]] + ".weight"]
        writer.add_tensor(tensor.name, np.ascontiguousarray(data, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def prompts(a):
    Path(a.out).write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts()))


def llama(a):
    """Greedy answers of llama.cpp with the adapter loaded, and of the merged model; and ours."""
    from llama_cpp import Llama

    def answers(**model):
        llm = Llama(n_ctx=2048, n_threads=2, verbose=False, type_k=0, type_v=0, **model)  # 0: a float32 cache
        found = []
        for text in texts():
            ids = llm.tokenize((text + "\n").encode(), add_bos=False, special=False)
            found.append(llm.create_completion(ids, max_tokens=24, temperature=0.0)["choices"][0]["text"])
        return found

    loaded, merged = answers(model_path=a.base, lora_path=a.lora), answers(model_path=a.merged)
    base = answers(model_path=a.base)
    ours = [json.loads(line)["predicted_sql"] for line in open(a.answers)]
    same = lambda x, y: sum(p.strip() == q.strip() for p, q in zip(x, y, strict=True))
    print(json.dumps({"reader": "llama.cpp", "prompts": len(loaded), "merged_as_loaded": same(merged, loaded),
                      "factory_as_loaded": same(ours, loaded), "base_as_loaded": same(base, loaded)}))
    for text, one, other in zip(texts(), loaded, merged):
        if one != other:
            print(f"{text[:40]!r}: loaded {one!r}, merged {other!r}")
    sys.exit(0 if merged == loaded and same(base, loaded) < len(base) else 1)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    commands = p.add_subparsers(required=True)
    for run, flags in [(mlx, "hf adapter logits"), (mlx_write, "hf kind out"), (gguf, "adapter converted hf"),
                       (gguf_base, "gguf hf out"), (prompts, "out"), (llama, "base lora merged answers")]:
        command = commands.add_parser(run.__name__.replace("_", "-"), help=run.__doc__)
        for flag in flags.split():
            command.add_argument(f"--{flag}", required=True)
        command.set_defaults(run=run)
    a = p.parse_args()
    a.run(a)


if __name__ == "__main__":
    main()
