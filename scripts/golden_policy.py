"""TRL's policy-gradient losses on rollouts that are given, and its advantages, for scripts/golden_losses.py.

What TRL's numbers mean: only tokens whose tool_mask is 1 count, in sums, in lengths and in means; the others are context. rho = exp(log p - old).
Where beta is not 0, k3 = e^(ref - log p) - (ref - log p) - 1 is added to each token's loss times beta and takes the loss's own normaliser;
with use_bias_correction_kl, TRL's default, k3 is first multiplied by rho, gradient through rho included, also in the metric `kl`.
CISPO's epsilon_high is the bound itself, not what is added to 1. RLOO's ratio is of whole answers, by sums, and knows no tool_mask.
The clip ratios count tokens (of sequence level and of RLOO: answers) that are outside on the side that their advantage clips.
`entropy` is a mean over tokens, `completions/*` are lengths without a tool's tokens.
"""
import torch
from datasets import Dataset
from golden_trl import ARGS, load_adapter, log_probs, sample, step
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

PROMPTS = ["t(id, n). count\n", "song(id, singer_id, title, year)\nfirst title?\n"]
GROUP = 4
# Prompt, tokens, whether the end of text follows, tokens that a tool wrote, reward, and about what log rho shall be:
# each sign of the advantage meets a ratio beyond either bound.
ROLLOUTS = [
    (0, 12, False, range(4, 8), 1.0, 0.4), (0, 4, True, [], 0.0, -0.4), (0, 7, True, [], 0.1, 0.4), (0, 2, True, [], 1.0, -0.4),
    (1, 9, True, range(2, 5), 0.0, 0.05), (1, 6, True, [], 0.0, 0.1), (1, 3, True, [], 1.0, -0.1), (1, 8, True, [], 0.1, 0.0),
]
LONGEST = 16  # max_completion_length, more than any rollout has
CLIP = dict(epsilon=0.2, epsilon_high=0.28)
CISPO = 1.5  # its upper bound
KL = dict(beta=0.04)
TOKEN = "-min(rho A, clip(rho, 1 - epsilon, 1 + epsilon_high) A)"
SEQUENCE = dict(importance_sampling_level="sequence")
ONE = "one rho an answer, exp(mean of log p - old)"
# Name, options, whether the old log p are given, formula
LOSSES = [
    ("grpo", dict(loss_type="grpo", **CLIP), True, f"{TOKEN}; mean over answers of an answer's mean over its tokens"),
    ("grpo_kl", dict(loss_type="grpo", **CLIP, **KL), True, "grpo + beta rho k3"),
    ("bnpo", dict(loss_type="bnpo", **CLIP), True, f"{TOKEN}; mean over tokens of the micro-batch"),
    ("dr_grpo", dict(loss_type="dr_grpo", scale_rewards="none", **CLIP), True, f"{TOKEN}; sum over tokens / (answers * max_completion_length)"),
    ("dr_grpo_on_policy", dict(loss_type="dr_grpo", scale_rewards="none", **CLIP), False, "dr_grpo with rho = 1"),
    ("dr_grpo_cool", dict(loss_type="dr_grpo", scale_rewards="none", temperature=0.7, **CLIP), False,
     "dr_grpo with rho = 1, log p of logits / temperature"),
    ("dapo", dict(loss_type="dapo", **CLIP), True, f"{TOKEN}; sum over tokens / num_items, the tokens of the whole step: here one micro-batch"),
    ("dapo_kl", dict(loss_type="dapo", **CLIP, **KL), True, "dapo + beta rho k3"),
    ("dapo_kl_plain", dict(loss_type="dapo", use_bias_correction_kl=False, **CLIP, **KL), True, "dapo + beta k3"),
    ("gspo", dict(loss_type="grpo", **SEQUENCE, **CLIP), True, f"grpo, {ONE}"),
    ("gspo_kl", dict(loss_type="grpo", **SEQUENCE, **CLIP, **KL), True, f"grpo + beta rho k3, {ONE}, in rho k3 too"),
    ("cispo", dict(loss_type="cispo", epsilon=0.2, epsilon_high=CISPO), True,
     "-min(rho, epsilon_high) A log p, no gradient through rho; normalised as dapo"),
]
RLOO = dict(beta=0.0, **CLIP)
GROUPS = [[1.0, 0.0, 0.1, 1.0], [0.7, 0.7, 0.7, 0.7], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.1]]
ADVANTAGES = [
    ("group", GRPOTrainer, dict(scale_rewards="group"), "(R - mean of the group) / (std of the group + 1e-4), std over n - 1"),
    ("batch", GRPOTrainer, dict(scale_rewards="batch"), "(R - mean of the group) / (std of all + 1e-4), std over n - 1"),
    ("none", GRPOTrainer, dict(scale_rewards="none"), "R - mean of the group"),
    ("rloo", RLOOTrainer, dict(beta=0.0), "R - mean of the group's others"),
]


def make_rollouts(base, out):
    """Answers that the policy draws, their log p under policy and reference, and old ones beside them."""
    policy, tok = load_adapter(base, out / "policy")
    reference, _ = load_adapter(base, out / "reference")
    generator = torch.Generator().manual_seed(8)
    rollouts, bounds = [], torch.tensor([1 - CLIP["epsilon"], 1 + CLIP["epsilon_high"], CISPO])
    for at, count, ends, tool, reward, drift in ROLLOUTS:
        prompt = tok(PROMPTS[at], add_special_tokens=False)["input_ids"]
        answer = sample(policy, prompt, count, generator) + [tok.eos_token_id] * ends
        with torch.no_grad():
            logp, ref = log_probs(policy, prompt, answer), log_probs(reference, prompt, answer)
        old = logp - drift - 0.25 * torch.randn(len(answer), generator=generator)
        assert ((logp - old).exp()[:, None] - bounds).abs().min() > 1e-3, "rounding could put a ratio on the other side of a bound"
        rollouts.append({"prompt": prompt, "completion": answer, "tool_mask": [int(i not in tool) for i in range(len(answer))],
                         "reward": reward, "policy": logp.tolist(), "old": old.tolist(), "reference": ref.tolist()})
    return rollouts


def policy_losses(base, out, rollouts):
    """An entry for each loss on one micro-batch of all rollouts, its gradients in a file."""
    entries = []
    for name, options, old_given, formula in LOSSES:
        t, batch = scored(base, out, GRPOTrainer, options, rollouts)
        if old_given:
            batch["old_per_token_logps"] = padded(rollouts, "old")
        if "beta" in options:
            batch["ref_per_token_logps"] = padded(rollouts, "reference")
        entries.append({**entry(t, batch, out, name, options, formula), "old_given": old_given, "num_items": batch["num_items_in_batch"].item()})
    t, batch = scored(base, out, RLOOTrainer, RLOO, rollouts)
    drift = [sum(p - o for p, o in zip(row["policy"], row["old"])) / len(row["old"]) for row in rollouts]
    old = [sum(row["policy"]) - d for row, d in zip(rollouts, drift)]  # so that one ratio an answer stays near its tokens' ratios
    batch["old_logps"] = torch.tensor(old)
    formula = "-min(rho A, clip(rho, 1 - epsilon, 1 + epsilon_high) A), rho = exp(sum of log p - old_sum); mean over answers; tool_mask not heeded"
    return entries + [{**entry(t, batch, out, "rloo", RLOO, formula), "old_sums": old}]


def entry(t, batch, out, name, options, formula):
    loss = step(t.model, t._compute_loss(t.model, batch), out / f"{name}.safetensors")
    return {"name": name, "made_by": f"trl.{type(t).__name__}", "options": options, "formula": formula,
            "advantages": batch["advantages"].tolist(), "loss": loss,
            "metrics": {k: v[0] for k, v in t._metrics["train"].items() if k != "num_tokens"}, "gradients": f"{name}.safetensors"}


def advantages(base, out, rollouts):
    """What TRL makes of the rewards of GROUPS, and what it logs of them."""
    rewards = [r for group in GROUPS for r in group]
    rows = [{**rollouts[0], "reward": r} for r in rewards]
    found = []
    for name, trainer, options, formula in ADVANTAGES:
        t, batch = scored(base, out, trainer, options, rows)
        logged = {k: t._metrics["train"][k][0] for k in ["reward", "reward_std", "frac_reward_zero_std"]}
        found.append({"name": name, "made_by": f"trl.{trainer.__name__}", "options": options, "formula": formula,
                      "advantages": batch["advantages"].tolist(), "metrics": logged})
    return {"group_size": GROUP, "rewards": rewards, "cases": found}


def scored(base, out, trainer, options, rollouts):
    """A trainer, and the batch that it makes of rollouts as if it had generated and scored them."""
    model, tok = load_adapter(base, out / "policy")
    config = GRPOConfig if trainer is GRPOTrainer else RLOOConfig
    args = config(output_dir=str(out / "run"), per_device_train_batch_size=len(rollouts), num_generations=GROUP,
                  max_completion_length=LONGEST, **ARGS, **options)
    rows = [{"prompt": tok.decode(row["prompt"]), "reward": row["reward"]} for row in rollouts]
    t = trainer(model=model, args=args, reward_funcs=given, train_dataset=Dataset.from_list(rows), processing_class=tok)
    prompts, answers = [row["prompt"] for row in rollouts], [row["completion"] for row in rollouts]
    if trainer is GRPOTrainer:
        t.rollout_func = lambda *_: {"prompt_ids": prompts, "completion_ids": answers, "logprobs": None,
                                     "env_mask": [row["tool_mask"] for row in rollouts]}
    else:
        t._generate = lambda texts: (prompts, answers, tok.batch_decode(answers))
    t.current_gradient_accumulation_steps = 1  # set as training begins otherwise
    model.train()
    return t, t._generate_and_score_completions(rows)


def given(reward, **_):
    return reward


def padded(rollouts, key):
    """The rollouts' log p, zeros behind the shorter ones."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row[key]) for row in rollouts], batch_first=True)
