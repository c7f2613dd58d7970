//! Many adapters over one base: a mixed batch is each row alone, a mixture is the sum of its parts.

mod common;

use candle_core::{Device, Tensor};
use common::{MODELS, answers, base, fails, golden, ids, json, largest, ok, text, tiny, workplace};
use factory::adapters::bank::{Bank, Member, Mixture};
use factory::adapters::compose::compose;
use factory::adapters::config::AdapterConfig;
use factory::adapters::lora::Adapter;
use factory::adapters::stored;
use factory::generation::engine::{Adapters, Engine};
use factory::generation::sampler::SamplerConfig;
use factory::generation::sequence::Answer;
use factory::generation::stop::StopConfig;
use factory::model::batch::Batch;
use factory::model::linear::{Delta, Projection};
use factory::model::load::Base;
use factory::model::ops::Path as OpsPath;
use std::ops::Range;

/// LoRA, rsLoRA and DoRA of different ranks, alphas and targets, B ≠ 0.
fn bank(base: &Base) -> Bank {
    let configs = [
        AdapterConfig::new(3, 7.0),
        AdapterConfig {
            rslora: true,
            targets: vec![Projection::Q, Projection::Down],
            ..AdapterConfig::new(5, 4.0)
        },
        AdapterConfig {
            dora: true,
            ..AdapterConfig::new(2, 6.0)
        },
        AdapterConfig {
            dora: true,
            targets: vec![Projection::V, Projection::Up, Projection::Q],
            ..AdapterConfig::new(4, 3.0)
        },
    ];
    let members = configs.into_iter().enumerate().map(|(i, config)| {
        let mut adapter = Adapter::init(config, &base.decoder, i as u64).unwrap();
        for (j, (_, p)) in adapter.parameters_mut().enumerate() {
            let n = p.elem_count();
            let noise: Vec<f32> = (0..n)
                .map(|k| ((i * 57 + j * 31 + k * 7) as f32).sin() * 0.1)
                .collect();
            *p = (&*p + Tensor::from_vec(noise, p.shape(), &Device::Cpu).unwrap()).unwrap();
        }
        adapter.refresh(&base.decoder).unwrap();
        Member {
            name: format!("adapter {i}"),
            adapter,
        }
    });
    Bank::new(members.collect()).unwrap()
}

/// The base, each adapter alone, and mixtures of LoRA, of DoRA and of both.
fn mixtures() -> Vec<Mixture> {
    let mut mixtures = vec![Mixture::default()];
    mixtures.extend((0..4).map(Mixture::only));
    mixtures.push(Mixture(vec![(0, 0.75), (1, -0.5)]));
    mixtures.push(Mixture(vec![(2, 0.25), (3, 1.5)]));
    mixtures.push(Mixture(vec![(3, 0.5), (0, 1.0), (2, 0.0)]));
    mixtures
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    let a: Vec<f32> = a.flatten_all().unwrap().to_vec1().unwrap();
    let b: Vec<f32> = b.flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(a.len(), b.len());
    largest(a.iter().zip(&b).map(|(a, b)| (a - b).abs()))
}

fn with_path(name: &str, path: OpsPath) -> Base {
    let mut base = base(name);
    base.decoder.path = path;
    base
}

const PATHS: [OpsPath; 2] = [OpsPath::Fused, OpsPath::Portable];

#[test]
fn a_mixture_is_the_sum_of_its_parts_and_rows_keep_to_themselves() {
    for path in PATHS {
        let base = with_path("tiny-qwen3", path);
        let bank = bank(&base);
        let mixtures = mixtures();
        // More rows a run than one task of the kernel takes, a gap that nothing changes, and a last row beyond all runs.
        let runs: Vec<(Range<usize>, &Mixture)> = vec![
            (0..40, &mixtures[5]),
            (40..41, &mixtures[1]),
            (43..50, &mixtures[6]),
            (50..83, &mixtures[7]),
            (83..85, &mixtures[0]),
        ];
        for (site, weight) in base.decoder.projections() {
            let (out, width) = weight.dims().unwrap();
            let x = Tensor::randn(0f32, 1.0, (86, width), &Device::Cpu).unwrap();
            let wx = Tensor::randn(0f32, 1.0, (86, out), &Device::Cpu).unwrap();
            let mut expected = Vec::new();
            for row in 0..86 {
                let (x, wx) = (x.narrow(0, row, 1).unwrap(), wx.narrow(0, row, 1).unwrap());
                let mut y = wx.clone();
                let run = runs.iter().find(|(rows, _)| rows.contains(&row));
                for (member, weight) in run.map_or(&[][..], |(_, mixture)| &mixture.0) {
                    let adapter = &bank.members()[*member].adapter;
                    let (changed, _) = adapter.forward(site, &x, wx.copy().unwrap(), true).unwrap();
                    y = (y + ((changed - &wx).unwrap() * *weight).unwrap()).unwrap();
                }
                expected.push(y);
            }
            let expected = Tensor::cat(&expected, 0).unwrap();
            let (found, _) = bank
                .rows(runs.clone())
                .forward(site, &x, wx.copy().unwrap(), true)
                .unwrap();
            let d = difference(&found, &expected);
            assert!(d < 2e-5, "{path:?} {site}: {d}");
        }
    }
}

#[test]
fn logits_of_a_mixed_batch_are_those_of_each_row_alone() {
    for (name, path) in MODELS.into_iter().flat_map(|m| PATHS.map(|p| (m, p))) {
        let base = with_path(name, path);
        let (bank, mixtures) = (bank(&base), mixtures());
        let rows: Vec<Vec<u32>> = (0..mixtures.len() as u32)
            .map(|i| (0..=i % 5 + 2).map(|j| (i * 37 + j * 11) % 256).collect())
            .collect();
        let logits = |rows: &[&[u32]], chosen: &[&Mixture]| {
            let (mut batch, mut runs) = (Batch::default(), Vec::new());
            for (row, mixture) in rows.iter().zip(chosen) {
                let start = batch.len();
                batch.push_sequence(row);
                runs.push((start..batch.len(), *mixture));
            }
            let delta = bank.rows(runs);
            let hidden = base.decoder.forward(&batch, None, Some(&delta)).unwrap();
            base.decoder.logits(&hidden).unwrap()
        };
        let all: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let together = logits(&all, &mixtures.iter().collect::<Vec<_>>());
        let (mut start, mut worst) = (0, 0f32);
        for (row, mixture) in rows.iter().zip(&mixtures) {
            let alone = logits(&[row], &[mixture]);
            let part = together.narrow(0, start, row.len()).unwrap();
            worst = worst.max(difference(&part, &alone));
            start += row.len();
        }
        println!("{name} {path:?} mixed: {worst:.1e}");
        assert!(worst < 1e-4, "{name} {path:?}: {worst}");
    }
}

#[test]
fn mixtures_have_the_logits_of_peft() {
    for path in PATHS {
        let base = with_path("tiny-qwen3", path);
        for golden_mixture in json("mixtures.json")["mixtures"].as_array().unwrap() {
            let (mut members, mut weights) = (Vec::new(), Vec::new());
            for (i, member) in golden_mixture["members"]
                .as_array()
                .unwrap()
                .iter()
                .enumerate()
            {
                let name = member[0].as_str().unwrap();
                let adapter = stored::load(&golden(name), &base.decoder).unwrap();
                members.push(Member {
                    name: name.to_owned(),
                    adapter,
                });
                weights.push((i, member[1].as_f64().unwrap()));
            }
            let (bank, mixture) = (Bank::new(members).unwrap(), Mixture(weights));
            let tokens = ids(&golden_mixture["ids"]);
            let mut batch = Batch::default();
            batch.push_sequence(&tokens);
            let rows = bank.rows(vec![(0..tokens.len(), &mixture)]);
            let mut deltas: Vec<(&str, &dyn Delta)> = vec![("together", &rows)];
            let composed = compose(&bank, &mixture, &base.decoder).ok();
            deltas.extend(
                composed
                    .iter()
                    .map(|adapter| ("composed", adapter as &dyn Delta)),
            );
            for (how, delta) in deltas {
                let hidden = base.decoder.forward(&batch, None, Some(delta)).unwrap();
                let logits: Vec<Vec<f32>> =
                    base.decoder.logits(&hidden).unwrap().to_vec2().unwrap();
                let expected: Vec<Vec<f32>> =
                    serde_json::from_value(golden_mixture["logits"].clone()).unwrap();
                let picked = ids(&golden_mixture["logit_ids"]);
                let logits = logits
                    .iter()
                    .flat_map(|row| picked.iter().map(|id| row[*id as usize]));
                let worst = largest(
                    logits
                        .zip(expected.iter().flatten())
                        .map(|(a, b)| (a - b).abs()),
                );
                println!("{path:?} {} {how}: {worst:.1e}", golden_mixture["kind"]);
                assert!(worst < 1e-4, "{path:?} {how}: {worst}");
            }
        }
    }
}

#[test]
fn answers_of_a_mixed_batch_are_those_of_each_row_alone() {
    let base = base("tiny-llama");
    let (bank, mixtures) = (bank(&base), mixtures());
    let prompts: Vec<Vec<u32>> = (0..17u32)
        .map(|i| (0..=i % 5).map(|j| (i * 37 + j * 11) % 256).collect())
        .collect();
    let choice: Vec<usize> = (0..17).map(|i| i * 5 % mixtures.len()).collect();
    let generate = |prompts: &[Vec<u32>], choice: Vec<usize>, batch| -> Vec<Answer> {
        let engine = Engine {
            decoder: &base.decoder,
            tokenizer: &base.tokenizer,
            adapters: Some(Adapters {
                bank: &bank,
                mixtures: mixtures.clone(),
                choice,
            }),
            sampler: SamplerConfig::default(),
            stop: StopConfig {
                max_tokens: 12,
                stop: Vec::new(),
            },
            batch,
            memory: usize::MAX,
            speculation: None,
            grammars: Vec::new(),
        };
        engine.generate(prompts).unwrap()
    };
    let together = generate(&prompts, choice.clone(), 6);
    let mut different = 0;
    for (i, answer) in together.iter().enumerate() {
        let alone = &generate(&prompts[i..=i], vec![choice[i]], 1)[0];
        assert!(
            answer.tokens == alone.tokens || alone.min_gap < 1e-3,
            "row {i}: {answer:?} is not {alone:?}"
        );
        let unchanged = &generate(&prompts[i..=i], vec![0], 1)[0];
        different += usize::from(unchanged.tokens != alone.tokens);
    }
    assert!(
        different > 4,
        "the adapters change {different} answers only"
    );
}

#[test]
fn weights_belong_to_the_adapter_before_them() {
    let dir = workplace();
    let (lora, dora) = (
        text(&golden("tiny-llama-lora")),
        text(&golden("tiny-llama-dora")),
    );
    let base = tiny();
    let answers = |flags: &[&str]| answers(&dir.path().join("dev.jsonl"), &base, flags);
    let alone = answers(&["--lora", &lora]);
    assert_eq!(
        answers(&["--lora", &lora, "--lora", &dora, "--lora-weight", "0"]),
        alone
    );
    assert_eq!(
        answers(&["--lora", &dora, "--lora-weight", "0", "--lora", &lora]),
        alone
    );
    assert_eq!(answers(&["--lora", &lora, "--lora-weight=0"]), answers(&[]));
    assert_ne!(
        answers(&["--lora", &lora, "--lora-weight", "-0.5", "--lora", &dora]),
        alone
    );
}

#[test]
fn lora_composes_into_one_adapter_and_dora_does_not() {
    let dir = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    let [lora, rslora, dora] =
        ["lora", "rslora", "dora"].map(|kind| text(&golden(&format!("tiny-qwen3-{kind}"))));
    let qwen3 = text(&golden("tiny-qwen3"));
    let (out, data) = (path("composed"), path("dev.jsonl"));
    let parts = [
        "--lora",
        &lora,
        "--lora-weight",
        "0.75",
        "--lora",
        &rslora,
        "--lora-weight",
        "-0.5",
    ];
    let compose = [
        "adapter", "compose", "--device", "cpu", "--base", &qwen3, "--out", &out,
    ];
    let said = ok(&[&compose[..], &parts, &["--data", &data]].concat());
    assert!(
        said.contains("largest difference to the sum of its parts: "),
        "{said}"
    );
    let answers = |flags: &[&str]| answers(&dir.path().join("dev.jsonl"), &qwen3, flags);
    assert_eq!(answers(&["--lora", &out]), answers(&parts));
    // Only where nothing was written before.
    let again = [&compose[..], &parts].concat();
    fails(&again, 1, &["composed exists"]);
    std::fs::remove_dir_all(&out).unwrap();
    let refused = [&compose[..], &["--lora", &lora, "--lora", &dora]].concat();
    fails(
        &refused,
        1,
        &["tiny-qwen3-dora cannot become part of one adapter"],
    );
    let nothing = [&compose[..], &["--lora", &lora, "--lora-weight", "0"]].concat();
    fails(&nothing, 1, &["every weight is 0"]);
    fails(&compose, 2, &["give adapters"]);
    assert!(!std::path::Path::new(&out).exists());
}

#[test]
fn a_merged_model_answers_as_the_base_with_its_adapters() {
    let dir = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    let [lora, dora] = ["lora", "dora"].map(|kind| text(&golden(&format!("tiny-qwen3-{kind}"))));
    let (base, out) = (text(&golden("tiny-qwen3")), path("merged"));
    let parts = ["--lora", &lora, "--lora-weight", "0.5", "--lora", &dora];
    let merge = [
        "adapter", "merge", "--device", "cpu", "--base", &base, "--out", &out,
    ];
    let said = ok(&[&merge[..], &parts, &["--dtype", "f32"]].concat());
    assert!(
        said.contains("largest difference to the base with its adapters: "),
        "{said}"
    );
    let answers = |base: &str, flags: &[&str]| answers(&dir.path().join("dev.jsonl"), base, flags);
    let apart = answers(&base, &parts);
    assert_eq!(answers(&out, &[]), apart);
    let gguf = path("x.gguf");
    std::fs::write(&gguf, "GGUF").unwrap();
    let other = path("other");
    fails(
        &[
            "adapter", "merge", "--lora", &lora, "--base", &gguf, "--out", &other,
        ],
        1,
        &["a folder with config.json"],
    );
    assert!(!std::path::Path::new(&other).exists());
}

#[test]
fn composed_ranks_are_named_where_members_differ() {
    let base = base("tiny-qwen3");
    let bank = bank(&base);
    let composed = compose(&bank, &Mixture(vec![(0, 0.75), (1, -0.5)]), &base.decoder).unwrap();
    for (site, module) in &composed.modules {
        let both = matches!(site.projection, Projection::Q | Projection::Down);
        let rank = if both { 8 } else { 3 };
        assert_eq!(
            (module.a.dim(0).unwrap(), composed.config.rank_of(*site)),
            (rank, rank)
        );
        assert_eq!(composed.config.scale_of(*site), 1.0);
    }
}

#[test]
fn bad_adapters_are_named_together() {
    let dir = workplace();
    let lora = text(&golden("tiny-llama-lora"));
    let (other, missing) = (
        text(&golden("tiny-qwen3-lora")),
        text(&dir.path().join("none")),
    );
    let base = tiny();
    let generate = |flags: &[&str], code, parts: &[&str]| {
        let fixed = [
            "generate", "--base", &base, "--device", "cpu", "--prompt", "x",
        ];
        fails(&[&fixed[..], flags].concat(), code, parts);
    };
    generate(
        &["--lora", &other, "--lora", &missing],
        1,
        &["tiny-qwen3-lora", "none"],
    );
    generate(
        &[
            "--lora",
            &lora,
            "--lora",
            &lora,
            "--lora",
            &format!("={lora}"),
        ],
        2,
        &["two adapters are called tiny-llama-lora", "has no name"],
    );
    generate(
        &["--lora-weight", "0.5", "--lora", &lora],
        2,
        &["stands before any --lora"],
    );
    generate(
        &["--lora", &lora, "--lora-weight", "1", "--lora-weight", "2"],
        2,
        &["has two weights"],
    );
    generate(
        &["--lora", &lora, "--lora-weight", "inf"],
        2,
        &["not finite"],
    );
    let named = format!("b={lora}");
    ok(&[
        "generate",
        "--base",
        &base,
        "--device",
        "cpu",
        "--max-tokens",
        "2",
        "--prompt",
        "x",
        "--lora",
        &lora,
        "--lora",
        &named,
    ]);
}
