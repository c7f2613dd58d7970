"""Adapters of the kinds that PEFT's users save, read from their folders alone, for scripts/goldens.py."""
import shutil

import peft
import torch
from golden_models import every_position, load
from safetensors.torch import load_file, save_file
from transformers import AutoModel

TWO = dict(r=2, lora_alpha=6, target_modules=["q_proj", "down_proj"])
# Folder: fields of LoraConfig
KINDS = {
    "exclude-names": dict(TWO, exclude_modules=["layers.0.mlp.down_proj", "lm_head"]),
    "exclude-regex": dict(TWO, exclude_modules=r"model\.layers\.1\..*q_proj"),
    "one-layer": dict(TWO, layers_to_transform=1),
    "layers-by-pattern": dict(TWO, layers_to_transform=[0], layers_pattern="layers"),
    "regex": dict(TWO, target_modules=r"model\.layers\.\d\.self_attn\.(q|o)_proj"),
    "orthogonal": dict(TWO, init_lora_weights="orthogonal"),
    "eva": dict(TWO, init_lora_weights="eva", eva_config=peft.EvaConfig()),
    "unconverted-pissa": dict(TWO, init_lora_weights="pissa"),
}


def make_kinds(folder, base, prompt):
    """Writes the folders below `folder`; returns the logits of `base` under each adapter as PEFT computes them."""
    shutil.rmtree(folder, ignore_errors=True)
    found = {}
    for name, settings in KINDS.items():
        model, tok = load(base)
        ids = tok(prompt, add_special_tokens=False)["input_ids"]
        model = changed(model, settings)
        save(model, folder / name)
        found[name] = {"ids": ids, **every_position(model, ids)}
    del found["unconverted-pissa"]  # it needs the base that PiSSA changed
    # The state dict of a model that torch.compile has wrapped: the adapter's name stays in the keys.
    model = changed(load(base)[0], TWO)
    save(model, folder / "state-dict")
    state = {f"_orig_mod.{k}": v for k, v in model.state_dict().items() if "lora_" in k}
    save_file(state, folder / "state-dict" / "adapter_model.safetensors")
    found["state-dict"] = {"ids": ids, **every_position(model, ids)}
    # An adapter of the model without its head; PEFT's logits are those of the same factors on the model with it.
    model = changed(AutoModel.from_pretrained(base, dtype=torch.float32, attn_implementation="eager"), TWO, "FEATURE_EXTRACTION")
    save(model, folder / "no-head")
    whole = changed(load(base)[0], TWO)
    factors = load_file(folder / "no-head" / "adapter_model.safetensors")
    factors = {k.replace("base_model.model.", "base_model.model.model."): v for k, v in factors.items()}
    assert not peft.set_peft_model_state_dict(whole, factors).unexpected_keys
    found["no-head"] = {"ids": ids, **every_position(whole, ids)}
    # PiSSA made an adapter of the base as it is.
    model = peft.get_peft_model(load(base)[0], peft.LoraConfig(task_type="CAUSAL_LM", **KINDS["unconverted-pissa"]))
    start = folder / "start"
    model.peft_config["default"].init_lora_weights = True
    model.save_pretrained(start, save_embedding_layers=False)
    model.peft_config["default"].init_lora_weights = "pissa"
    disturb(model, 0.1)
    logits = {"ids": ids, **every_position(model, ids)}
    save(model, folder / "converted-pissa", path_initial_model_for_weight_conversion=str(start))
    found["converted-pissa"] = logits
    shutil.rmtree(start)
    return found


def changed(model, settings, task="CAUSAL_LM"):
    torch.manual_seed(2)
    model = peft.get_peft_model(model, peft.LoraConfig(task_type=task, **settings))
    disturb(model, 0.2)
    return model


def disturb(model, size):
    with torch.no_grad():
        for name, w in model.named_parameters():
            if "lora_" in name:
                w.add_(size * torch.randn_like(w))


def save(model, folder, **more):
    config = model.peft_config["default"]
    config.base_model_name_or_path = "tiny-llama"
    for field in ("target_modules", "exclude_modules"):  # sets, whose order varies
        if isinstance(getattr(config, field), set):
            setattr(config, field, sorted(getattr(config, field)))
    model.save_pretrained(folder, save_embedding_layers=False, **more)
    (folder / "README.md").unlink(missing_ok=True)
