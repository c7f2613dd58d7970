//! Parity with TRL: losses over pairs, judged answers and rollouts, what is told of them, and their gradients towards an adapter. The numbers
//! in tests/goldens/losses were made by scripts/golden_losses.py.

mod common;

use candle_core::Device;
use common::{base, distance, golden, ids, json};
use factory::adapters::lora::Adapter;
use factory::adapters::stored;
use factory::model::linear::Gradients;
use factory::model::load::Base;
use factory::model::ops::Path;
use factory::training::lessons::Metrics;
use factory::training::objective::kto::{self, Kto};
use factory::training::objective::policy::{self, Policy, Rollout, advantages};
use factory::training::objective::preference::{self, Preference};
use factory::training::objective::{Answer, Objective, Units};
use factory::training::packing::pack;
use factory::training::sft::Example;
use factory::training::trainer::{log_probabilities, pass};
use serde_json::Value;
use std::collections::BTreeMap;

/// Base and adapters on one of the two implementations of the operations.
struct Stand {
    base: Base,
    policy: Adapter,
    reference: Adapter,
    numbers: Value,
}

impl Stand {
    fn new(path: Path) -> Self {
        let mut base = base("tiny-llama");
        base.decoder.path = path;
        let adapter =
            |name| stored::load(&golden(&format!("losses/{name}")), &base.decoder).unwrap();
        Self {
            policy: adapter("policy"),
            reference: adapter("reference"),
            numbers: json("losses/losses.json"),
            base,
        }
    }

    fn all() -> [Self; 2] {
        [Path::Fused, Path::Portable].map(Self::new)
    }

    /// log p of each example.
    fn sums(&self, adapter: &Adapter, examples: &[Example]) -> Vec<f64> {
        let answers = log_probabilities(&self.base.decoder, adapter, examples, 3, |_| Ok(()));
        answers.unwrap().iter().map(Answer::sum).collect()
    }

    /// Loss and gradients over passes of `rows` examples, whose prompts are computed once or not.
    fn step(
        &self,
        examples: &[Example],
        rows: usize,
        share: bool,
        objective: &mut dyn Objective,
    ) -> (f64, Gradients) {
        let (mut loss, mut gradients) = (0.0, Gradients::default());
        for (i, examples) in examples.chunks(rows).enumerate() {
            let places: Vec<usize> = (i * rows..i * rows + examples.len()).collect();
            let packed = pack(examples, share);
            let (decoder, policy) = (&self.base.decoder, &self.policy);
            loss += pass(decoder, policy, &packed, &places, objective, &mut gradients).unwrap();
        }
        (loss, gradients)
    }

    /// Errors where loss, gradients or numbers are not those of `expected`.
    fn compare(
        &self,
        expected: &Value,
        (loss, gradients): &(f64, Gradients),
        metrics: &Metrics,
        what: &str,
    ) {
        let name = expected["name"].as_str().unwrap();
        let what = format!("{name} {:?} {what}", self.base.decoder.path);
        let close = |ours: f64, theirs: f64| (ours - theirs).abs() < 1e-4 * theirs.abs().max(1.0);
        let theirs = expected["loss"].as_f64().unwrap();
        assert!(
            close(*loss, theirs),
            "{what}: loss {loss}, expected {theirs}"
        );
        let file = golden(&format!(
            "losses/{}",
            expected["gradients"].as_str().unwrap()
        ));
        let file = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
        assert_eq!(gradients.0.len(), file.len(), "{what}");
        for (name, ours) in &gradients.0 {
            let theirs = &file[&format!("base_model.model.model.{name}.weight")];
            let d = distance(ours, theirs);
            assert!(d < 1e-4, "{what} {name}: gradients differ by {d}");
        }
        for (metric, theirs) in expected["metrics"].as_object().unwrap() {
            // Ours is an estimate from the tokens that were drawn.
            if let Some(ours) = metrics.get(metric.as_str()).filter(|_| metric != "entropy") {
                let theirs = theirs.as_f64().unwrap();
                assert!(
                    close(*ours, theirs),
                    "{what} {metric}: {ours}, expected {theirs}"
                );
            }
        }
    }
}

fn option(entry: &Value, name: &str) -> f64 {
    entry["options"][name].as_f64().unwrap()
}

/// The examples pair by pair.
fn pairs(numbers: &Value) -> Vec<Example> {
    let pairs = numbers["pairs"].as_array().unwrap().iter();
    let sides = |pair: &Value| {
        ["chosen", "rejected"].map(|side| Example::new(&ids(&pair["prompt"]), &ids(&pair[side])))
    };
    pairs.flat_map(sides).collect()
}

#[test]
fn sums_of_log_probabilities_are_those_of_transformers() {
    for stand in Stand::all() {
        let examples = pairs(&stand.numbers);
        for (name, adapter) in [("policy", &stand.policy), ("reference", &stand.reference)] {
            let ours = stand.sums(adapter, &examples);
            let theirs = stand.numbers["pairs"].as_array().unwrap().iter();
            let theirs = theirs.flat_map(|pair| {
                ["chosen", "rejected"].map(|side| pair[name][side].as_f64().unwrap())
            });
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!((ours - theirs).abs() < 2e-4, "{name}: {ours} {theirs}");
            }
        }
    }
}

#[test]
fn losses_of_pairs_are_those_of_trl() {
    use preference::Kind::*;
    let kinds = BTreeMap::from([
        ("dpo", Dpo),
        ("hinge", Hinge),
        ("ipo", Ipo),
        ("robust", Robust),
        ("dpo_norm", DpoNorm),
        ("rpo", DpoNll),
        ("dpo_step1", Dpo),
        ("cpo", Cpo),
        ("simpo", SimPo),
        ("dpop", Dpop),
        ("orpo_answers", Orpo),
    ]);
    for stand in Stand::all() {
        let examples = pairs(&stand.numbers);
        let labels = examples.iter().step_by(2).map(Example::labels).sum();
        let mut seen = 0;
        for entry in stand.numbers["preferences"].as_array().unwrap() {
            let Some(kind) = kinds.get(entry["name"].as_str().unwrap()) else {
                continue;
            };
            seen += 1;
            let mut settings = preference::Settings::new(*kind);
            settings.beta = option(entry, "beta");
            match kind {
                DpoNll => {
                    settings.nll_weight = entry["options"]["loss_weights"][1].as_f64().unwrap()
                }
                SimPo => settings.gamma = Some(option(entry, "simpo_gamma")),
                Dpop => settings.lambda = Some(option(entry, "penalty")),
                Robust => settings.label_smoothing = Some(option(entry, "label_smoothing")),
                _ => {}
            }
            let of = match entry["name"] == "dpo_step1" {
                true => &stand.policy,
                false => &stand.reference,
            };
            let mut objective = Preference::new(settings, stand.sums(of, &examples));
            // All at once, prompts apart, and pair by pair: the denominators span passes.
            for (rows, share) in [(8, true), (8, false), (2, true)] {
                objective.begin(4, labels);
                let found = stand.step(&examples, rows, share, &mut objective);
                let mut metrics = objective.metrics();
                if entry["name"] == "dpo_step1" {
                    // Rounding decides between rewards that are alike.
                    metrics.remove("rewards/accuracies");
                }
                if *kind == SimPo {
                    // TRL's are means a token there.
                    metrics.retain(|name, _| !name.starts_with("logps/"));
                }
                stand.compare(
                    entry,
                    &found,
                    &metrics,
                    &format!("{rows} rows, shared {share}"),
                );
            }
        }
        assert_eq!(seen, kinds.len());
    }
}

#[test]
fn kto_is_that_of_trl() {
    for stand in Stand::all() {
        let rows = stand.numbers["labelled"].as_array().unwrap();
        let mut examples = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            let before = &rows[(i + rows.len() - 1) % rows.len()];
            for answer in [row, before] {
                examples.push(Example::new(
                    &ids(&row["prompt"]),
                    &ids(&answer["completion"]),
                ));
            }
        }
        let good: Vec<bool> = rows
            .iter()
            .map(|row| row["label"].as_bool().unwrap())
            .collect();
        let mut seen = 0;
        for entry in stand.numbers["preferences"].as_array().unwrap() {
            if !entry["name"].as_str().unwrap().starts_with("kto") {
                continue;
            }
            seen += 1;
            let weight = |name: &str| entry["options"][name].as_f64().unwrap_or(1.0);
            let settings = kto::Settings {
                beta: option(entry, "beta"),
                desirable_weight: weight("desirable_weight"),
                undesirable_weight: weight("undesirable_weight"),
            };
            let reference = stand.sums(&stand.reference, &examples);
            let mut objective = Kto::new(settings, good.clone(), reference);
            for share in [true, false] {
                objective.begin(rows.len(), 0);
                let found = stand.step(&examples, examples.len(), share, &mut objective);
                stand.compare(
                    entry,
                    &found,
                    &objective.metrics(),
                    &format!("shared {share}"),
                );
            }
        }
        assert_eq!(seen, 2);
    }
}

/// A rollout's tokens, of which those that a tool wrote are not learned.
fn rollout(row: &Value) -> Example {
    let (prompt, answer) = (ids(&row["prompt"]), ids(&row["completion"]));
    let mut learned: Vec<std::ops::Range<usize>> = Vec::new();
    for (i, own) in ids(&row["tool_mask"]).iter().enumerate() {
        let at = prompt.len() + i;
        match learned.last_mut() {
            _ if *own == 0 => {}
            Some(last) if last.end == at => last.end = at + 1,
            _ => learned.push(at..at + 1),
        }
    }
    Example {
        tokens: [prompt, answer].concat(),
        learned,
    }
}

/// The numbers of a rollout's learned tokens.
fn masked(row: &Value, name: &str) -> Vec<f32> {
    let values: Vec<f32> = serde_json::from_value(row[name].clone()).unwrap();
    let own = ids(&row["tool_mask"]);
    values
        .iter()
        .zip(own)
        .filter(|(_, own)| *own == 1)
        .map(|(v, _)| *v)
        .collect()
}

#[test]
fn losses_of_rollouts_are_those_of_trl() {
    use policy::Kind::*;
    let kinds = BTreeMap::from([
        ("grpo", Grpo),
        ("grpo_kl", Grpo),
        // In one micro-batch it is DAPO.
        ("bnpo", Dapo),
        ("dr_grpo", DrGrpo),
        ("dr_grpo_on_policy", DrGrpo),
        ("dr_grpo_cool", DrGrpo),
        ("dapo", Dapo),
        ("dapo_kl", Dapo),
        ("gspo", Gspo),
        ("gspo_kl", Gspo),
        ("cispo", Cispo),
    ]);
    for mut stand in Stand::all() {
        let numbers = stand.numbers.clone();
        let rows = numbers["rollouts"].as_array().unwrap();
        let examples: Vec<Example> = rows.iter().map(rollout).collect();
        let labels = examples.iter().map(Example::labels).sum();
        let longest = numbers["max_completion_length"].as_u64().unwrap() as usize;
        let mut seen = 0;
        for entry in numbers["policy"].as_array().unwrap() {
            let Some(kind) = kinds.get(entry["name"].as_str().unwrap()) else {
                continue;
            };
            seen += 1;
            let or = |name: &str, value| entry["options"][name].as_f64().unwrap_or(value);
            let beta = or("beta", 0.0);
            stand.base.decoder.temperature = or("temperature", 1.0);
            let settings = policy::Settings {
                beta,
                epsilon: option(entry, "epsilon"),
                epsilon_high: option(entry, "epsilon_high"),
                ..policy::Settings::new(*kind, longest)
            };
            let advantages: Vec<f64> = serde_json::from_value(entry["advantages"].clone()).unwrap();
            let old = entry["old_given"].as_bool().unwrap();
            let rollouts = rows.iter().zip(advantages).map(|(row, advantage)| Rollout {
                advantage: advantage.into(),
                old: old.then(|| masked(row, "old")),
                reference: (beta > 0.0).then(|| masked(row, "reference")),
                sampled: None,
            });
            let mut objective = Policy::new(settings);
            objective.take(rollouts.collect());
            for (size, share) in [(8, true), (8, false), (3, true)] {
                objective.begin(rows.len(), labels);
                let found = stand.step(&examples, size, share, &mut objective);
                let mut metrics = objective.metrics();
                if *kind == Gspo {
                    // TRL counts answers there.
                    metrics.retain(|name, _| !name.starts_with("clip_ratio"));
                }
                stand.compare(
                    entry,
                    &found,
                    &metrics,
                    &format!("{size} rows, shared {share}"),
                );
            }
        }
        assert_eq!(seen, kinds.len());
    }
}

#[test]
fn rloo_is_that_of_trl() {
    for stand in Stand::all() {
        let numbers = &stand.numbers;
        let entries = numbers["policy"].as_array().unwrap();
        let entry = entries
            .iter()
            .find(|entry| entry["name"] == "rloo")
            .unwrap();
        let rows = numbers["rollouts"].as_array().unwrap();
        // TRL's RLOO knows no tool: all tokens are learned.
        let examples: Vec<Example> = rows
            .iter()
            .map(|row| Example::new(&ids(&row["prompt"]), &ids(&row["completion"])))
            .collect();
        let advantages: Vec<f64> = serde_json::from_value(entry["advantages"].clone()).unwrap();
        let sums: Vec<f64> = serde_json::from_value(entry["old_sums"].clone()).unwrap();
        let rollouts = rows
            .iter()
            .zip(advantages)
            .zip(sums)
            .map(|((row, advantage), sum)| {
                // Its ratio is the whole answer's: how the sum is spread over the tokens is all one.
                let n = ids(&row["completion"]).len();
                Rollout {
                    advantage: advantage.into(),
                    old: Some(vec![(sum / n as f64) as f32; n]),
                    ..Rollout::default()
                }
            });
        let mut objective = Policy::new(policy::Settings {
            epsilon: option(entry, "epsilon"),
            epsilon_high: option(entry, "epsilon_high"),
            ..policy::Settings::new(policy::Kind::Rloo, 16)
        });
        objective.take(rollouts.collect());
        objective.begin(rows.len(), examples.iter().map(Example::labels).sum());
        let found = stand.step(&examples, 4, true, &mut objective);
        stand.compare(entry, &found, &Metrics::new(), "");
    }
}

#[test]
fn advantages_are_those_of_trl() {
    let numbers = json("losses/losses.json");
    let all = &numbers["advantages"];
    let rewards: Vec<f64> = serde_json::from_value(all["rewards"].clone()).unwrap();
    let size = all["group_size"].as_u64().unwrap() as usize;
    for (name, kind) in [
        ("group", policy::Kind::Grpo),
        ("none", policy::Kind::DrGrpo),
        ("rloo", policy::Kind::Rloo),
    ] {
        let cases = all["cases"].as_array().unwrap();
        let case = cases.iter().find(|case| case["name"] == name).unwrap();
        let theirs: Vec<f64> = serde_json::from_value(case["advantages"].clone()).unwrap();
        let ours = rewards.chunks(size).flat_map(|group| {
            let group: Vec<Option<f64>> = group.iter().map(|reward| Some(*reward)).collect();
            advantages(kind, &group)
        });
        for (ours, theirs) in ours.zip(theirs) {
            assert!((ours - theirs).abs() < 1e-6, "{name}: {ours} {theirs}");
        }
    }
}

#[test]
fn what_a_tool_wrote_gets_no_gradient_of_its_own() {
    let stand = Stand::new(Path::Fused);
    let row = &stand.numbers["rollouts"][0];
    let example = rollout(row);
    let labels = pack([&example], true).labels;
    let own = ids(&row["tool_mask"])
        .iter()
        .filter(|own| **own == 1)
        .count();
    assert_eq!(labels.len(), own);
    let prompt = ids(&row["prompt"]).len();
    for label in labels {
        let predicted = label.row as usize + 1 - prompt;
        assert_eq!(row["tool_mask"][predicted], 1, "token {predicted}");
    }
}
