"""Logits of a tiny model under several adapters at once as PEFT computes them, for scripts/goldens.py."""
import peft
from golden_models import every_position, load

# Members with weights (adapter folders), and how PEFT puts them together.
MIXTURES = {
    "cat": [("tiny-qwen3-lora", 0.75), ("tiny-qwen3-rslora", -0.5)],
    # Summed without weights. DoRA first: PEFT corrects what came before an adapter, here every one corrects the base.
    "active": [("tiny-qwen3-dora", 1.0), ("tiny-qwen3-lora", 1.0)],
}


def mixed_logits(out, text):
    """For each mixture its members and the logits of one prompt."""
    found = []
    for kind, members in MIXTURES.items():
        model, tok = load(out / "tiny-qwen3")
        names = [name for name, _ in members]
        model = peft.PeftModel.from_pretrained(model, out / names[0], adapter_name=names[0])
        for name in names[1:]:
            model.load_adapter(out / name, adapter_name=name)
        if kind == "cat":
            model.add_weighted_adapter(names, [weight for _, weight in members], "composed", "cat")
            model.set_adapter("composed")
        else:
            model.base_model.set_adapter(names)
        model.eval()
        ids = tok(text, add_special_tokens=False)["input_ids"]
        found.append({"kind": kind, "members": members, "ids": ids, **every_position(model, ids)})
    return found
