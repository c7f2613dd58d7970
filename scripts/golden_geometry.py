"""The geometry of adapters by NumPy's SVD of the whole change that PEFT makes, for scripts/goldens.py."""
import numpy as np
import peft
from golden_models import load

# Adapter folder: its base
MEASURED = {
    "tiny-llama-lora": "tiny-llama",
    "tiny-llama-patterns": "tiny-llama",
    "tiny-qwen3-rslora": "tiny-qwen3",
    "tiny-llama-dora": "tiny-llama",
}


def geometry(folder):
    """For each adapter the numbers of every module: of s·B·A, and of the change of the merged weight."""
    return {name: {"factors": factors(folder, name, base), "weights": weights(folder, name, base)} for name, base in MEASURED.items()}


def adapted(folder, name, base):
    model = peft.PeftModel.from_pretrained(load(folder / base)[0], folder / name)
    layers = {n: m for n, m in model.named_modules() if isinstance(m, peft.tuners.lora.Linear)}
    return model, {n.removeprefix("base_model.model.model."): m for n, m in layers.items()}


def factors(folder, name, base):
    _, layers = adapted(folder, name, base)
    return table({n: m.get_delta_weight("default") for n, m in layers.items()})


def weights(folder, name, base):
    model, layers = adapted(folder, name, base)
    before = {n: m.base_layer.weight.detach().clone() for n, m in layers.items()}
    for m in layers.values():
        m.merge()
    return table({n: m.base_layer.weight - before[n] for n, m in layers.items()}, before)


def table(changes, base=None):
    values = {n: np.linalg.svd(w.detach().double().numpy(), compute_uv=False) for n, w in changes.items()}
    total = sum((v**2).sum() for v in values.values())
    found = {}
    for name, v in sorted(values.items()):
        shares = v[v > 0] / v.sum()
        found[name] = {
            "norm": float(np.sqrt((v**2).sum())),
            "stable_rank": float((v**2).sum() / v[0] ** 2),
            "effective_rank": float(np.exp(-(shares * np.log(shares)).sum())),
            "share": float((v**2).sum() / total),
        }
        if base:
            found[name]["relative_norm"] = found[name]["norm"] / float(np.linalg.norm(base[name].double().numpy()))
    return found
