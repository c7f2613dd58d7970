"""TRL's losses on pairs of answers and on single answers with labels, for scripts/golden_losses.py.

What TRL's numbers mean: a loss is the mean over the micro-batch's pairs (KTO: over all its answers) of a pair's term. An NLL term ("sft",
cpo_alpha) is a mean over all tokens of the micro-batch's chosen answers, not over pairs. `rewards/*` are beta times sums of log p against
the reference, whatever the loss is (also IPO's and sigmoid_norm's, which work on means a token); CPO's and ORPO's are beta times log p,
SimPO's and ORPO's log p being means a token. `logps/*` are means over pairs of those sums or means. An accuracy counts only
what is strictly greater.
"""
import torch
import torch.nn.functional as F
from datasets import Dataset
from golden_trl import ARGS, load_adapter, log_probs, sample, set_reference, step
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

PROMPTS = ["t(id, n). count\n", "t(id, n). max id\n",
           "singer(id, name, age, country), song(id, singer_id, title, year)\nhow many singers are from France?\n"]
# Prompt, tokens of the chosen answer, tokens of the rejected one, tokens that both begin with. Two pairs share the long prompt.
PAIRS = [(0, 6, 3, 0), (2, 9, 5, 0), (2, 4, 8, 0), (1, 7, 6, 3)]
# Which pair's answers KTO gets, and which of the two: not the same number of good and of bad ones.
LABELLED = [(0, "chosen"), (0, "rejected"), (1, "rejected"), (1, "chosen"), (2, "rejected"), (3, "rejected")]
DPO, CPO, ORPO, KTO = "trl.DPOTrainer", "trl.experimental.cpo.CPOTrainer", "trl.experimental.orpo.ORPOTrainer", "trl.KTOTrainer"
# s, r: sums of log p of policy and reference; n: tokens; c = s_w - r_w, l = s_l - r_l, u = beta (c - l); NLL: chosen answers', a token
LOSSES = [
    ("dpo", DPO, dict(loss_type=["sigmoid"], beta=0.1), "-log sig(u)"),
    ("hinge", DPO, dict(loss_type=["hinge"], beta=0.5), "max(0, 1 - u)"),
    ("ipo", DPO, dict(loss_type=["ipo"], beta=0.1), "(c/n_w - l/n_l - 1/(2 beta))^2"),
    ("robust", DPO, dict(loss_type=["robust"], beta=0.1, label_smoothing=0.1),
     "(-(1-e) log sig(u) + e log sig(-u)) / (1 - 2e), e = label_smoothing"),
    ("dpo_norm", DPO, dict(loss_type=["sigmoid_norm"], beta=0.5), "-log sig(beta (c/n_w - l/n_l))"),
    ("rpo", DPO, dict(loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.5], beta=0.1), "-log sig(u) + 0.5 NLL"),
    ("dpo_step1", DPO, dict(loss_type=["sigmoid"], beta=0.1), "-log sig(0): the reference is the policy"),
    ("cpo", CPO, dict(loss_type="sigmoid", beta=0.1, cpo_alpha=1.0), "-log sig(beta (s_w - s_l)) + cpo_alpha NLL"),
    ("simpo", CPO, dict(loss_type="simpo", beta=2.0, simpo_gamma=0.5, cpo_alpha=0.0), "-log sig(beta (s_w/n_w - s_l/n_l) - simpo_gamma)"),
    ("orpo", ORPO, dict(beta=0.1), "NLL of prompt and answer but the first token - beta log sig(m_w - m_l - log(1 - e^m_w) + log(1 - e^m_l)), m = s/n"),
    ("kto", KTO, dict(beta=0.1), "good: 1 - sig(beta (s - r - KL)); bad: 1 - sig(beta (KL - s + r)); "
     "KL = max(0, mean of s - r of each prompt with the answer before its own, the first with the last), no gradient"),
    ("kto_weighted", KTO, dict(beta=0.1, desirable_weight=1.5, undesirable_weight=0.8),
     "kto, times the label's weight, still over the number of answers"),
]
DPOP = dict(beta=0.1, penalty=5.0)
ORPO_ANSWERS = dict(beta=0.1)
PADDED = ["logits/chosen", "logits/rejected"]  # CPO and ORPO average them over padding and prompts


def make_pairs(base, out):
    """Pairs of answers that the reference and a flatter model draw, each with the end of text."""
    model, tok = load_adapter(base, out / "reference")
    generator = torch.Generator().manual_seed(26)
    pairs = []
    for at, chosen, rejected, shared in PAIRS:
        prompt = tok(PROMPTS[at], add_special_tokens=False)["input_ids"]
        chosen = sample(model, prompt, chosen, generator)
        start = chosen[:shared]
        rejected = start + sample(model, prompt + start, rejected - shared, generator, temperature=1.5)
        pairs.append({"prompt": prompt, "chosen": chosen + [tok.eos_token_id], "rejected": rejected + [tok.eos_token_id]})
    return pairs


def make_labelled(pairs):
    return [{"prompt": pairs[at]["prompt"], "completion": pairs[at][side], "label": side == "chosen"} for at, side in LABELLED]


def sums(base, out, pairs):
    """Each answer's tokens, and its sum of log p under policy and reference."""
    found = [{"tokens": {side: len(p[side]) for side in ["chosen", "rejected"]}} for p in pairs]
    for name in ["policy", "reference"]:
        model, _ = load_adapter(base, out / name)
        for pair, row in zip(pairs, found):
            row[name] = {side: log_probs(model, pair["prompt"], pair[side]).sum().item() for side in ["chosen", "rejected"]}
    return found


def preferences(base, out, pairs):
    """An entry for each loss, its gradients in a file."""
    entries = []
    for name, trainer, options, formula in LOSSES:
        loss, metrics = run(base, out, pairs, name, trainer, options)
        entries.append({"name": name, "made_by": trainer, "options": options, "formula": formula, "loss": loss, "metrics": metrics,
                        "gradients": f"{name}.safetensors"})
    for name, options, made, formula in [
        ("dpop", DPOP, dpop, "-log sig(beta (c - l - penalty max(0, r_w - s_w)))"),
        ("orpo_answers", ORPO_ANSWERS, orpo_answers, "as orpo, NLL of the chosen answers' tokens alone"),
    ]:
        model, _ = load_adapter(base, out / "policy")
        reference, _ = load_adapter(base, out / "reference")
        loss = step(model, made(model, reference, pairs, **options), out / f"{name}.safetensors")
        entries.append({"name": name, "made_by": "autograd, not TRL", "options": options, "formula": formula, "loss": loss, "metrics": {},
                        "gradients": f"{name}.safetensors"})
    return entries


def run(base, out, pairs, name, trainer, options):
    """Loss and metrics of one micro-batch of all pairs."""
    model, tok = load_adapter(base, out / "policy")
    text = {"prompt": "a", "chosen": "b", "rejected": "c"} if trainer != KTO else {"prompt": "a", "completion": "b", "label": True}
    common = dict(output_dir=str(out / "run"), per_device_train_batch_size=8, **ARGS, **options)
    texts = Dataset.from_list([text, text])  # never looked at: batches are made from the pairs' tokens
    if trainer in [DPO, KTO]:
        make, config = (DPOTrainer, DPOConfig) if trainer == DPO else (KTOTrainer, KTOConfig)
        t = make(model=model, args=config(**common), train_dataset=texts, processing_class=tok)
        if name != "dpo_step1":
            set_reference(model, out / "reference")
        batch = t.data_collator(dpo_rows(pairs) if trainer == DPO else kto_rows(make_labelled(pairs)))
        model.train()
        loss = step(model, t.compute_loss(model, batch), out / f"{name}.safetensors")
        return loss, {k: v[0] for k, v in t._metrics["train"].items() if k != "num_tokens"}
    make, config = (CPOTrainer, CPOConfig) if trainer == CPO else (ORPOTrainer, ORPOConfig)
    t = make(model=model, args=config(**common), train_dataset=texts, processing_class=tok)
    model.train()
    loss, metrics = t.get_batch_loss_metrics(model, t.data_collator(cpo_rows(pairs)))
    return step(model, loss, out / f"{name}.safetensors"), {k: v for k, v in metrics.items() if k not in PADDED}


def dpo_rows(pairs):
    return [{"prompt_ids": p["prompt"], "chosen_ids": p["chosen"], "rejected_ids": p["rejected"]} for p in pairs]


def kto_rows(rows):
    """As KTOTrainer prepares them: beside a row's own answer the one of the row before, for the estimate of KL."""
    return [{"prompt_ids": row["prompt"], "completion_ids": row["completion"], "KL_completion_ids": rows[i - 1]["completion"],
             "label": row["label"]} for i, row in enumerate(rows)]


def cpo_rows(pairs):
    """As CPOTrainer and ORPOTrainer tokenize them."""
    rows = []
    for p in pairs:
        row = {"prompt_input_ids": p["prompt"], "prompt_attention_mask": [1] * len(p["prompt"])}
        for side in ["chosen", "rejected"]:
            ids = p["prompt"] + p[side]
            row |= {f"{side}_input_ids": ids, f"{side}_attention_mask": [1] * len(ids), f"{side}_labels": [-100] * len(p["prompt"]) + p[side]}
        rows.append(row)
    return rows


def answer_sums(model, pairs):
    """Sums of log p of all chosen and of all rejected answers."""
    return [torch.stack([log_probs(model, p["prompt"], p[side]).sum() for p in pairs]) for side in ["chosen", "rejected"]]


def dpop(model, reference, pairs, beta, penalty):
    s_w, s_l = answer_sums(model, pairs)
    with torch.no_grad():
        r_w, r_l = answer_sums(reference, pairs)
    assert 0 < (s_w < r_w).sum() < len(pairs), "the penalty bears on some pairs and not on others"
    return -F.logsigmoid(beta * ((s_w - r_w) - (s_l - r_l) - penalty * (r_w - s_w).relu())).mean()


def orpo_answers(model, _reference, pairs, beta):
    s_w, s_l = answer_sums(model, pairs)
    n_w, n_l = (torch.tensor([float(len(p[side])) for p in pairs]) for side in ["chosen", "rejected"])
    m_w, m_l = s_w / n_w, s_l / n_l
    odds = m_w - m_l - torch.log1p(-m_w.exp()) + torch.log1p(-m_l.exp())
    return -s_w.sum() / n_w.sum() - beta * F.logsigmoid(odds).mean()
