"""Greedy generation with OpenVINO GenAI: the peer of `factory generate`. The model is a GGUF file, or with an adapter what is made of it:

    python scripts/peer_openvino.py named --model FILE.gguf --out FOLDER

is OpenVINO's own form of it with names for the products, which it needs to find an adapter's places; an adapter is PEFT's safetensors file.
"""
import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import openvino as ov
import openvino_genai as genai

import peer

# The order in which its reader of GGUF builds a layer.
LAYER = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]


class OpenVino:
    def __init__(self, model, lora, threads, rows, positions):
        scheduler = genai.SchedulerConfig()
        scheduler.max_num_seqs = rows
        scheduler.max_num_batched_tokens = 4096
        scheduler.cache_size = 2
        scheduler.enable_prefix_caching = True
        more = {}
        if lora:
            config = json.loads(Path(lora).with_name("adapter_config.json").read_text())
            more["adapters"] = genai.AdapterConfig(genai.Adapter(lora), config["lora_alpha"] / config["r"])
        self.pipeline = genai.LLMPipeline(model, "CPU", scheduler_config=scheduler, INFERENCE_NUM_THREADS=threads, **more)

    def config(self, **more):
        config = self.pipeline.get_generation_config()
        config.do_sample = config.apply_chat_template = False
        for name, value in more.items():
            setattr(config, name, value)
        return config

    def generate(self, prompts, count):
        prompts = np.array(prompts, np.int64)
        inputs = genai.TokenizedInputs(ov.Tensor(prompts), ov.Tensor(np.ones_like(prompts)))
        found = self.pipeline.generate(inputs, self.config(max_new_tokens=count, ignore_eos=True))
        assert all(len(tokens) == count for tokens in found.tokens)

    def texts(self, prompts, most):
        return self.pipeline.generate(prompts, self.config(max_new_tokens=most)).texts


def named(args):
    p = argparse.ArgumentParser()
    p.add_argument("--model", required=True, type=Path)
    p.add_argument("--out", required=True, type=Path)
    a = p.parse_args(args)
    a.out.mkdir()
    with tempfile.TemporaryDirectory() as work:
        shutil.copy(a.model, work)
        genai.LLMPipeline(f"{work}/{a.model.name}", "CPU", enable_save_ov_model=True)  # writes beside the file
        for file in Path(work).glob("openvino_*tokenizer.*"):
            shutil.copy(file, a.out)
        model = ov.Core().read_model(f"{work}/openvino_model.xml")
        products = [op for op in model.get_ops() if op.get_type_name() == "MatMul" and len(op.input(1).get_partial_shape()) == 2]
        products.sort(key=lambda op: int(op.get_friendly_name().rpartition("_")[2]))
        layers, rest = divmod(len(products), len(LAYER))
        if rest != 1:  # the head
            sys.exit(f"peer_openvino: {len(products)} products are not {len(LAYER)} a layer and a head")
        for i, op in enumerate(products[:-1]):
            op.set_friendly_name(f"__module.model.layers.{i // len(LAYER)}.{LAYER[i % len(LAYER)]}/ov_ext::linear/MatMul")
        ov.save_model(model, a.out / "openvino_model.xml", compress_to_fp16=False)
    (a.out / "generation_config.json").write_text(json.dumps({"eos_token_id": 2}))
    (a.out / "config.json").write_text(json.dumps({"model_type": "llama"}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["named"]:
        named(sys.argv[2:])
    else:
        peer.main(OpenVino, __doc__)
