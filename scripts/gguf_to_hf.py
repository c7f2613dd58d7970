"""Dequantise a Llama-architecture GGUF into a Hugging Face folder (float32 weights, config, tokenizer)."""
import argparse
from pathlib import Path

import torch
from gguf import GGUFReader
from tokenizers import pre_tokenizers as pre
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("file", type=Path, help="the .gguf")
    p.add_argument("out", type=Path, help="folder to write")
    a = p.parse_args()
    where = {"pretrained_model_name_or_path": str(a.file.parent), "gguf_file": a.file.name}
    read = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    config = read.config
    if hasattr(config, "quantization_config"):  # the weights are plain floats from here on
        del config.quantization_config
    config.dtype = torch.float32
    model = LlamaForCausalLM(config).float()
    model.load_state_dict(read.state_dict())
    model.save_pretrained(a.out)
    tokenizer = AutoTokenizer.from_pretrained(**where)
    kind = GGUFReader(a.file).fields["tokenizer.ggml.pre"].contents()
    if kind == "smollm":  # transformers' conversion drops the split of digits that this name stands for
        digits = pre.Digits(individual_digits=True)
        tokenizer.backend_tokenizer.pre_tokenizer = pre.Sequence([digits, pre.ByteLevel(add_prefix_space=False)])
    tokenizer.save_pretrained(a.out)
    print(a.out)


if __name__ == "__main__":
    main()
