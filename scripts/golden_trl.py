"""The tiny policy and its reference, answers sampled from them, and gradients: what the goldens of scripts/golden_losses.py share."""
import shutil

import peft
import torch
from golden_models import load
from safetensors.torch import save_file

LORA = dict(r=2, lora_alpha=6, target_modules=["down_proj", "k_proj", "v_proj"], task_type="CAUSAL_LM")
# What every trainer is told: float32 on the CPU, nothing recomputed, nothing reported, nothing kept.
ARGS = dict(use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none", save_strategy="no", disable_tqdm=True)


def make_adapters(out, base):
    """Folders `reference` and `policy` in `out`: an adapter, and the same a small way on, as if trained from it."""
    model, _ = load(base)
    torch.manual_seed(2)
    model = peft.get_peft_model(model, peft.LoraConfig(**LORA))
    model.peft_config["default"].base_model_name_or_path = base.name
    model.peft_config["default"].target_modules = LORA["target_modules"]  # a set otherwise, whose order varies
    for name, moved in [("reference", 0.1), ("policy", 0.02)]:
        with torch.no_grad():
            for w in adapter_weights(model).values():
                w.add_(moved * torch.randn_like(w))
        shutil.rmtree(out / name, ignore_errors=True)
        model.save_pretrained(out / name, save_embedding_layers=False)
        (out / name / "README.md").unlink(missing_ok=True)


def load_adapter(base, folder):
    """A trainable adapter on the base, and the base's tokenizer."""
    model, tok = load(base)
    model = peft.PeftModel.from_pretrained(model, folder, is_trainable=True)
    model.peft_config["default"].inference_mode = False
    tok.pad_token = tok.eos_token
    return model, tok


def set_reference(model, folder):
    """Gives the adapter `ref`, which TRL makes as a copy of the policy, the weights of `folder`."""
    peft.set_peft_model_state_dict(model, peft.load_peft_weights(folder, device="cpu"), adapter_name="ref")


def adapter_weights(model):
    """The trained tensors by their names in an adapter's file."""
    return {k.replace(".default", ""): w for k, w in model.named_parameters() if w.requires_grad}


def step(model, loss, path):
    """Writes the gradient of each of the adapter's tensors to `path`, and returns the loss."""
    loss.backward()
    grads = {k: w.grad for k, w in adapter_weights(model).items()}
    assert all(g.isfinite().all() and g.abs().max() > 0 for g in grads.values()), path
    save_file(grads, path, metadata={"format": "pt"})
    return loss.item()


def log_probs(model, prompt, answer):
    """log p of each of the answer's tokens; one row at a time, so nothing is padded."""
    ids = torch.tensor([prompt + answer])
    logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, ids[0, len(prompt) :, None])[:, 0]


def sample(model, prompt, count, generator, temperature=1.0):
    """`count` tokens that are bytes, drawn from the model."""
    ids = list(prompt)
    for _ in range(count):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, -1, :256]
        ids.append(torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator).item())
    return ids[len(prompt) :]


def rounded(value):
    """Numbers in lists or dicts to the nine digits that hold a float32."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value
