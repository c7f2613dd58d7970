"""DPO and GRPO with TRL on the CPU in float32: the peer of `factory dpo` and `factory grpo`.

    python scripts/peer_trl.py dpo  --base FOLDER --pairs FILE [--batch 4] [--steps 10]
    python scripts/peer_trl.py grpo --base FOLDER --prompts FILE [--generations 8] [--steps 5] [--reward CMD]

PAIRS holds {prompt, chosen, rejected} and PROMPTS {prompt, ...}, one JSON object a line, texts that are read as they are; TRL puts the end
of text behind the answers of pairs. Rows are taken in the file's order. A new LoRA adapter on all linear layers is trained, the reference is
the base. The last line printed is one JSON object; the first --warm steps are in none of its times. The environment is the one of
scripts/golden_losses.py.
"""
import argparse
import json
import shlex
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from datasets import Dataset
from memory import peak_gb
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer


def arguments():
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--base", required=True, help="transformers folder")
    common.add_argument("--rank", type=int, default=8)
    common.add_argument("--alpha", type=float, default=16)
    common.add_argument("--lr", type=float, default=1e-5)
    common.add_argument("--steps", type=int, default=10, help="steps that are timed")
    common.add_argument("--warm", type=int, default=1, help="steps before them")
    common.add_argument("--threads", type=int, help="[default: PyTorch's]")
    common.add_argument("--seed", type=int, default=0)
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = p.add_subparsers(dest="what", required=True)
    d = what.add_parser("dpo", parents=[common])
    d.add_argument("--pairs", required=True, type=Path)
    d.add_argument("--batch", type=int, default=4, help="pairs a step")
    d.add_argument("--beta", type=float, default=0.1)
    d.add_argument("--loss", default="sigmoid", help="TRL's names, several with commas: sigmoid,sft is dpo+nll")
    d.add_argument("--max-seq", type=int, default=1024)
    d.add_argument("--precompute", action="store_true", help="the reference's log p of all pairs before training, apart in the times")
    g = what.add_parser("grpo", parents=[common])
    g.add_argument("--prompts", required=True, type=Path)
    g.add_argument("--generations", type=int, default=8, help="rollouts of a prompt")
    g.add_argument("--batch", type=int, default=1, help="prompts a step")
    g.add_argument("--beta", type=float, default=0.0)
    g.add_argument("--loss", default="dr_grpo")
    g.add_argument("--max-tokens", type=int, default=96)
    g.add_argument("--temperature", type=float, default=1.0)
    g.add_argument("--reward", help="command that reads rows with `completion`, one a line, and answers a number a line [default: small letters]")
    return p.parse_args()


def main():
    a = arguments()
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    with tempfile.TemporaryDirectory() as out:
        found = {"dpo": dpo, "grpo": grpo}[a.what](a, out)
    given = {k: str(v) if isinstance(v, Path) else v for k, v in vars(a).items()}
    print(json.dumps({"peer": "trl", **given, "threads": torch.get_num_threads(), **found, "peak_gb": peak_gb()}))


def dpo(a, out):
    rows = read(a.pairs, ["prompt", "chosen", "rejected"])
    args = DPOConfig(**common(a, out), per_device_train_batch_size=a.batch, beta=a.beta, loss_type=a.loss.split(","), max_length=a.max_seq,
                     precompute_ref_log_probs=a.precompute, train_sampling_strategy="sequential")
    start = time.perf_counter()
    t = DPOTrainer(args=args, train_dataset=Dataset.from_list(rows), **policy(a))
    preparing, steps = time.perf_counter() - start, Steps(a.warm)
    t.add_callback(steps)
    t.train()
    logged = [row for row in t.state.log_history if "num_tokens" in row]
    tokens = logged[-1]["num_tokens"] - (logged[a.warm - 1]["num_tokens"] if a.warm else 0)
    return {"seconds": steps.seconds, "pairs_per_s": a.steps * a.batch / steps.seconds, "tokens_per_s": tokens / steps.seconds,
            "tokens": tokens, "preparing_seconds": preparing, "losses": [row["loss"] for row in logged],
            "accuracies": [row["rewards/accuracies"] for row in logged]}


def grpo(a, out):
    rows = read(a.prompts, ["prompt"])
    args = GRPOConfig(**common(a, out), per_device_train_batch_size=a.generations * a.batch, num_generations=a.generations, beta=a.beta,
                      loss_type=a.loss, scale_rewards="none" if a.loss == "dr_grpo" else "group", max_completion_length=a.max_tokens,
                      temperature=a.temperature, shuffle_dataset=False)
    reward = (lambda **batch: by_command(a.reward, **batch)) if a.reward else small_letters
    t = Phases(args=args, train_dataset=Dataset.from_list(rows), reward_funcs=reward, **policy(a))
    steps = Steps(a.warm, also=t.phases)
    t.add_callback(steps)
    t.train()
    logged = [row for row in t.state.log_history if "reward" in row]
    apart = {f"{name}_seconds": sum(seconds[a.warm :]) for name, seconds in t.phases.items()}
    rollouts = a.steps * a.batch * a.generations
    return {"seconds": steps.seconds, **apart, "update_seconds": steps.seconds - sum(apart.values()), "rollouts": rollouts,
            "rollouts_per_s": rollouts / steps.seconds, "mean_length": [row["completions/mean_length"] for row in logged],
            "rewards": [row["reward"] for row in logged], "losses": [row["loss"] for row in logged]}


def policy(a):
    """A trainer's model, tokenizer and new adapter."""
    model = AutoModelForCausalLM.from_pretrained(a.base, dtype=torch.float32)
    lora = LoraConfig(r=a.rank, lora_alpha=a.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    return {"model": model, "processing_class": AutoTokenizer.from_pretrained(a.base), "peft_config": lora}


def common(a, out):
    return dict(output_dir=out, use_cpu=True, bf16=False, gradient_checkpointing=False, max_steps=a.warm + a.steps, learning_rate=a.lr,
                logging_steps=1, report_to="none", save_strategy="no", disable_tqdm=True, seed=a.seed)


class Steps(TrainerCallback):
    """Seconds in the steps behind the first `warm` ones: with what a trainer does inside a step, so GRPO's generation, not between them."""

    def __init__(self, warm, also=None):
        self.warm, self.seconds, self.also = warm, 0.0, also or {}

    def on_step_begin(self, args, state, control, **_):
        for seconds in self.also.values():
            seconds.append(0.0)
        self.start = time.perf_counter()

    def on_step_end(self, args, state, control, **_):
        if state.global_step > self.warm:
            self.seconds += time.perf_counter() - self.start


class Phases(GRPOTrainer):
    """GRPOTrainer that keeps the seconds of generation and of scoring, step by step."""

    def __init__(self, **settings):
        self.phases = {"generation": [], "scoring": []}
        super().__init__(**settings)

    def _generate(self, *inputs):
        return self.timed("generation", super()._generate, inputs)

    def _calculate_rewards(self, *inputs):
        return self.timed("scoring", super()._calculate_rewards, inputs)

    def timed(self, phase, work, inputs):
        start = time.perf_counter()
        result = work(*inputs)
        self.phases[phase][-1] += time.perf_counter() - start
        return result


def small_letters(completions, **_):
    return [sum(c.islower() for c in text) / max(len(text), 1) for text in completions]


def by_command(command, prompts, completions, **columns):
    """The numbers that `command` answers to the rows with their completions."""
    kept = {k: v for k, v in columns.items() if isinstance(v, list) and k != "completion_ids"}
    texts = enumerate(zip(prompts, completions))
    rows = [{"prompt": prompt, "completion": text, **{k: v[i] for k, v in kept.items()}} for i, (prompt, text) in texts]
    asked = "".join(json.dumps(row) + "\n" for row in rows)
    done = subprocess.run(shlex.split(command), input=asked, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"--reward ended with {done.returncode}")
    rewards = [float(line) for line in done.stdout.split()]
    if len(rewards) != len(rows):
        raise SystemExit(f"--reward answered {len(rewards)} numbers to {len(rows)} rows")
    return rewards


def read(path, fields):
    rows = [json.loads(line) for line in path.open() if line.strip()]
    for i, row in enumerate(rows):
        if missing := [field for field in fields if field not in row]:
            raise SystemExit(f"{path}, row {i + 1}: no {missing[0]}")
    return rows


if __name__ == "__main__":
    main()
