"""Greedy generation with transformers in f32: the peer of `factory generate`. The model is a folder; an adapter, a PEFT folder, is merged.
"""
import torch
from hf_generate import answer, load
from transformers import AutoTokenizer

import peer


class Transformers:
    def __init__(self, model, lora, threads, rows, positions):
        torch.set_num_threads(threads)
        self.tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
        self.model, self.rows = load(model, lora), rows

    def generate(self, prompts, count):
        ids = torch.tensor(prompts)
        with torch.no_grad():
            self.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, min_new_tokens=count, max_new_tokens=count,
                                pad_token_id=self.tokenizer.eos_token_id)

    def texts(self, prompts, most):
        rows = [{"prompt": prompt.removesuffix("\n")} for prompt in prompts]
        for i in range(0, len(rows), self.rows):
            answer(self.model, self.tokenizer, rows[i : i + self.rows], most)
        return [row["predicted_sql"] for row in rows]


if __name__ == "__main__":
    peer.main(Transformers, __doc__)
