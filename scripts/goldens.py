"""Make tests/goldens/: the numbers of transformers, PEFT and gguf that the Rust tests compare with.

    python scripts/goldens.py                       tiny models and variants of them, their logits, training steps of adapters, GGUF blocks
    python scripts/goldens.py --smollm2 FOLDER      also smollm2*.json (FOLDER: what scripts/peers.sh prints)
    python scripts/goldens.py --qwen3 FOLDER        also chatml.json and qwen3_template.json (FOLDER: what scripts/fetch_qwen3_tokenizer.sh prints)

Everything is computed in float32 on the CPU with eager attention, from fixed seeds.
"""
import argparse
import json
from importlib.metadata import version
from pathlib import Path

import transformers
from golden_adapters import ADAPTERS, make_adapter
from golden_chatml import conversations
from golden_compose import mixed_logits
from golden_geometry import geometry
from golden_gguf import blocks
from golden_kinds import make_kinds
from golden_models import TINY, load, make_model, sampled_logits, tiny_logits
from golden_prompts import PROMPTS, TINY_PROMPTS
from golden_variants import variants
from golden_templates import base_templates, spaces


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "tests" / "goldens")
    p.add_argument("--smollm2", type=Path, help="float32 folder of SmolLM2-135M-Instruct")
    p.add_argument("--qwen3", type=Path, help="folder of Qwen3's tokenizer")
    a = p.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    a.out.mkdir(parents=True, exist_ok=True)
    for name, config in TINY.items():
        make_model(a.out / name, config)
        model, tok = load(a.out / name)
        write(a.out / f"{name}.json", ["torch", "transformers"], {"prompts": [tiny_logits(model, tok, text) for text in TINY_PROMPTS]})
    for name, (base, settings) in ADAPTERS.items():
        step = make_adapter(a.out / name, base, settings)
        write(a.out / name / "step.json", ["torch", "transformers", "peft"], step)
    kinds = make_kinds(a.out / "kinds", a.out / "tiny-llama", TINY_PROMPTS[0])
    write(a.out / "kinds" / "logits.json", ["torch", "transformers", "peft"], {"kinds": kinds})
    write(a.out / "mixtures.json", ["torch", "transformers", "peft"], {"mixtures": mixed_logits(a.out, TINY_PROMPTS[0])})
    write(a.out / "geometry.json", ["torch", "transformers", "peft", "numpy"], {"adapters": geometry(a.out)})
    write(a.out / "variants.json", ["torch", "transformers", "peft"], {"variants": variants(a.out)})
    write(a.out / "gguf_types.json", ["gguf", "numpy"], {"types": blocks()})
    write(a.out / "spaces.json", ["tokenizers"], {"tokenizers": spaces()})
    if a.smollm2:
        write(a.out / "smollm2_template.json", ["transformers", "tokenizers"], {"conversations": base_templates(a.smollm2, qwen3=False)})
        model, tok = load(a.smollm2)
        write(a.out / "smollm2.json", ["torch", "transformers"], {"prompts": [sampled_logits(model, tok, text) for text in PROMPTS]})
    if a.qwen3:
        write(a.out / "qwen3_template.json", ["transformers", "tokenizers"], {"conversations": base_templates(a.qwen3, qwen3=True)})
        write(a.out / "chatml.json", ["transformers", "tokenizers"], conversations(a.qwen3))


def write(path, packages, content):
    versions = {name: version(name) for name in packages}
    head = {"script": "scripts/goldens.py", **versions}
    path.write_text(json.dumps({**head, **content}, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
