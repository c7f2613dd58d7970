"""Make tests/goldens/tiny-llama-mlx: tiny-llama as mlx-lm quantizes it, with numbers that MLX reads from it and mlx-lm's logits.

    python3 -m venv .readers
    .readers/bin/pip install 'mlx[cpu]==0.32.4' mlx-lm==0.32.2
    .readers/bin/python scripts/golden_mlx.py

4 bits in groups of 32, with a projection in 8 bits and groups of 64, and one that is left as it is, as mixed recipes do. Numbers are
computed in float32.
"""
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx_lm.utils import load_model, quantize_model, save_model, save_config

GOLDENS = Path(__file__).resolve().parent.parent / "tests" / "goldens"
OWN = {"model.layers.1.self_attn.q_proj": {"bits": 8, "group_size": 64}, "model.layers.0.mlp.up_proj": False}
ROPE = {"rope_theta": 100000.0}  # mlx-lm knows only the old place of it
PICKED = list(range(0, 259, 4))


def main():
    mx.set_default_device(mx.cpu)
    out = GOLDENS / "tiny-llama-mlx"
    out.mkdir(exist_ok=True)
    model, config = load_model(GOLDENS / "tiny-llama", model_config=ROPE)
    model, config = quantize_model(model, config, group_size=32, bits=4, quant_predicate=lambda path, _: OWN.get(path, True))
    save_model(out, model)
    save_config(config, out / "config.json")
    (out / "model.safetensors.index.json").unlink(missing_ok=True)
    shutil.copy(GOLDENS / "tiny-llama" / "tokenizer.json", out)

    model, config = load_model(out)
    model.set_dtype(mx.float32)
    stored = mx.load(str(out / "model.safetensors"))
    matrices = [name for name in stored if name.endswith(("_proj.weight", "embed_tokens.weight"))]
    rows = {name: ends(stored, name, config["quantization"]) for name in matrices}
    prompts = [prompt(model, p["ids"]) for p in json.loads((GOLDENS / "tiny-llama.json").read_text())["prompts"]]
    golden = {"script": "scripts/golden_mlx.py", "mlx": version("mlx"), "mlx-lm": version("mlx-lm"),
              "rows": rows, "logit_ids": PICKED, "prompts": prompts}
    (out / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


def ends(stored, name, quantization):
    """The first and the last row of a matrix."""
    module = name.removesuffix(".weight")
    w = stored[name]
    if f"{module}.scales" in stored:
        how = quantization.get(module) or quantization
        scales, biases = (stored[f"{module}.{part}"].astype(mx.float32) for part in ("scales", "biases"))
        w = mx.dequantize(w, scales, biases, group_size=how["group_size"], bits=how["bits"])
    w = w.astype(mx.float32)
    return [[float(str(v)) for v in np.array(w[row])] for row in (0, -1)]  # the shortest digits of a float32


def prompt(model, ids):
    logits = model(mx.array([ids]))[0]
    return {"ids": ids, "logits": [[round(v, 5) for v in row] for row in logits[:, mx.array(PICKED)].tolist()]}


if __name__ == "__main__":
    main()
