//! Tiny models under other configs (rope scaling, sliding windows, layers without rope, biases) against transformers and PEFT, and
//! what must not change an answer of theirs. The numbers in tests/goldens/variants.json were made by scripts/goldens.py.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{distance, fails, golden, greedy, ids, json, largest, ok};
use factory::adapters::config::AdapterConfig;
use factory::adapters::lora::Adapter;
use factory::model::batch::Batch;
use factory::model::kv::KvCache;
use factory::model::linear::{Gradients, Projection};
use factory::model::load::Base;
use factory::model::ops::Path as OpsPath;
use factory::training::packing::pack;
use factory::training::sft::Example;
use factory::training::trainer::loss_and_gradient;
use serde_json::{Value, json as value};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use tempfile::TempDir;

const PATHS: [OpsPath; 2] = [OpsPath::Fused, OpsPath::Portable];
const WINDOWED: [&str; 2] = ["mistral-window", "qwen2-window"];

/// A folder of the variant: the weights of its base, its own config.json, biases where that asks for them.
fn folder(variant: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for entry in fs::read_dir(golden(variant["base"].as_str().unwrap())).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let config = &variant["config"];
    fs::write(at("config.json"), config.to_string()).unwrap();
    if config["mlp_bias"] == true {
        fs::rename(at("model.safetensors"), at("weights.safetensors")).unwrap();
        let biases = "tiny-llama-biases.safetensors";
        fs::copy(golden(biases), at(biases)).unwrap();
        let index = value!({"weight_map": {"weights": "weights.safetensors", "biases": biases}});
        fs::write(at("model.safetensors.index.json"), index.to_string()).unwrap();
    }
    folder
}

fn load(folder: &TempDir, path: OpsPath) -> Base {
    let folder = folder.path().to_str().unwrap();
    let mut base = Base::load(folder, DType::F32, &Device::Cpu).unwrap();
    base.decoder.path = path;
    base
}

/// Every variant on both operation paths.
fn each(mut check: impl FnMut(&str, &Value, Base)) {
    let all = json("variants.json");
    let variants = all["variants"].as_object().unwrap();
    assert_eq!(variants.len(), 10);
    for (name, variant) in variants {
        let folder = folder(variant);
        for path in PATHS {
            check(&format!("{name} {path:?}"), variant, load(&folder, path));
        }
    }
}

fn logits(base: &Base, batch: &Batch, cache: Option<&mut KvCache>) -> Tensor {
    let hidden = base.decoder.forward(batch, cache, None).unwrap();
    base.decoder.logits(&hidden).unwrap()
}

fn worst(a: &Tensor, b: &Tensor) -> f32 {
    let difference = (a - b).unwrap().abs().unwrap();
    difference.max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn logits_and_tokens_are_those_of_transformers() {
    each(|name, variant, base| {
        let prompt = &variant["prompt"];
        let tokens = ids(&prompt["ids"]);
        let mut batch = Batch::default();
        batch.push_sequence(&tokens);
        let logits: Vec<Vec<f32>> = logits(&base, &batch, None).to_vec2().unwrap();
        let expected: Vec<Vec<f32>> = serde_json::from_value(prompt["logits"].clone()).unwrap();
        let (rows, columns) = (ids(&prompt["positions"]), ids(&prompt["logit_ids"]));
        let picked = rows.iter().flat_map(|row| {
            let logits = &logits[*row as usize];
            columns.iter().map(|id| logits[*id as usize])
        });
        let pairs = picked.zip(expected.iter().flatten());
        let worst = largest(pairs.map(|(a, b)| (a - b).abs()));
        println!("{name}: largest difference of a logit {worst:.1e}");
        assert!(worst < 1e-4, "{name}: {worst}");
        let answers = greedy(&base, &[tokens], 12, 1);
        assert_eq!(answers[0].tokens, ids(&prompt["greedy"]), "{name}");
    });
}

/// LoRA of rank 1 on q, k and v with the values of scripts/golden_variants.py.
fn adapter(base: &Base) -> Adapter {
    let config = AdapterConfig {
        targets: vec![Projection::Q, Projection::K, Projection::V],
        ..AdapterConfig::new(1, 2.0)
    };
    let mut adapter = Adapter::init(config, &base.decoder, 0).unwrap();
    for (_, p) in adapter.parameters_mut() {
        let values = (0..p.elem_count()).map(|i| (i * 37 % 101) as f32 / 500.0 - 0.1);
        *p = Tensor::from_iter(values, &Device::Cpu)
            .unwrap()
            .reshape(p.shape())
            .unwrap();
    }
    adapter
}

fn gradient(base: &Base, rows: &[Example], shared: bool) -> (f64, Gradients) {
    let labels = rows.iter().map(|row| pack([row], false).labels.len()).sum();
    let (mut gradients, adapter) = (Gradients::default(), adapter(base));
    let packed = pack(rows, shared);
    let loss = loss_and_gradient(&base.decoder, &adapter, &packed, labels, &mut gradients);
    (loss.unwrap(), gradients)
}

#[test]
fn gradients_are_those_of_peft() {
    each(|name, variant, mut base| {
        let step = &variant["step"];
        let rows = step["rows"].as_array().unwrap().iter();
        let rows: Vec<Example> = rows
            .map(|r| Example::new(&ids(&r["prompt"]), &ids(&r["response"])))
            .collect();
        let expected: BTreeMap<String, Vec<f32>> =
            serde_json::from_value(step["gradients"].clone()).unwrap();
        // With a prefix that both rows share, each for itself, and from what enters a block alone.
        for (shared, recompute) in [(true, false), (false, false), (true, true)] {
            base.decoder.recompute = recompute;
            let (loss, gradients) = gradient(&base, &rows, shared);
            let difference = (loss - step["loss"].as_f64().unwrap()).abs();
            assert!(difference < 1e-5, "{name}: loss differs by {difference}");
            assert_eq!(gradients.0.len(), expected.len());
            let mut worst = 0f32;
            for (tensor, g) in &gradients.0 {
                let e = Tensor::new(expected[tensor].as_slice(), &Device::Cpu).unwrap();
                let d = distance(g, &e.reshape(g.shape()).unwrap());
                assert!(d < 1e-4, "{name} {tensor}: {d}");
                worst = worst.max(d);
            }
            println!("{name}: loss {difference:.1e}, gradients {worst:.1e}");
        }
    });
}

/// Longer than two blocks of queries of the attention kernel.
fn long(seed: u32) -> Vec<u32> {
    (0..150).map(|i| (i * i * 7 + seed) % 256).collect()
}

fn windowed(mut check: impl FnMut(&str, [Base; 2])) {
    for name in WINDOWED {
        let folder = folder(&json("variants.json")["variants"][name]);
        check(name, PATHS.map(|path| load(&folder, path)));
    }
}

#[test]
fn a_window_over_many_blocks_is_the_same_on_both_paths() {
    windowed(|name, bases| {
        let rows = [1, 2].map(|answer| Example::new(&long(11), &long(answer)[..90]));
        for shared in [true, false] {
            let [(loss, ours), (other, theirs)] =
                bases.each_ref().map(|base| gradient(base, &rows, shared));
            assert!((loss - other).abs() < 1e-5, "{name}: {loss} is not {other}");
            for (tensor, g) in &ours.0 {
                let d = distance(g, &theirs.0[tensor]);
                assert!(d < 1e-4, "{name} {tensor}: {d}");
            }
        }
    });
}

#[test]
fn in_a_window_packed_is_alone_and_cached_is_uncached() {
    windowed(|name, bases| {
        for base in bases {
            let alone = |tokens: &[u32]| {
                let mut batch = Batch::default();
                batch.push_sequence(tokens);
                logits(&base, &batch, None)
            };
            let rows = [long(11), long(5)[..3].to_vec(), long(8)];
            let mut batch = Batch::default();
            let parent = batch.push_sequence(&rows[0][..100]);
            batch.push_child(parent, &rows[0][100..]);
            batch.push_sequence(&rows[1]);
            let packed = logits(&base, &batch, None);
            let difference = worst(&packed.narrow(0, 0, 150).unwrap(), &alone(&rows[0]));
            println!("{name} packed: {difference:.1e}");
            assert!(difference < 1e-4, "{name}: {difference}");

            let mut cache = KvCache::new(&base.decoder, 30).unwrap();
            // No two blocks of a row lie together in the order of its positions.
            let blocks = |row: usize| -> Vec<usize> { (0..10).map(|i| 29 - row - 3 * i).collect() };
            // In parts of uneven length, then token by token.
            for (start, end) in [(0, 3), (3, 80), (80, 148), (148, 149), (149, 150)] {
                let mut batch = Batch::default();
                let there = || rows.iter().enumerate().filter(|(_, r)| r.len() >= end);
                for (slot, row) in there() {
                    batch.push_cached(&row[start..end], &blocks(slot), start);
                }
                let step = logits(&base, &batch, Some(&mut cache));
                for ((_, row), segment) in there().zip(&batch.segments) {
                    let expected = alone(row).narrow(0, start, end - start).unwrap();
                    let ours = step.narrow(0, segment.rows.start, end - start).unwrap();
                    let difference = worst(&ours, &expected);
                    println!("{name} cached: {difference:.1e}");
                    assert!(difference < 1e-4, "{name} {start}: {difference}");
                }
            }
        }
    });
}

#[test]
fn inspect_says_what_was_read() {
    let variants = &json("variants.json")["variants"];
    for (name, said) in [
        ("llama3", "rope theta 100000, llama3 by 8 from 64"),
        ("llama-yarn", "yarn by 4 from 64, attention factor 1.1386"),
        ("mistral-window", "sliding window of 7 tokens in 2 layers"),
        ("smollm3", "no rope in layers 1"),
        (
            "llama-biases",
            "with bias in q_proj, k_proj, v_proj, o_proj, gate_proj",
        ),
    ] {
        let folder = folder(&variants[name]);
        let out = ok(&["model", "inspect", folder.path().to_str().unwrap()]);
        assert!(out.contains(said), "{name}: {out}");
    }
}

#[test]
fn quantized_weights_are_named_where_only_the_tensors_say_so() {
    let variants = &json("variants.json")["variants"];
    // Its weights are two files, to which one with the scales of a projection is added.
    let folder = folder(&variants["llama-biases"]);
    let at = |name: &str| folder.path().join(name);
    for part in ["scales", "qweight", "weight_scale_inv"] {
        let name = format!("model.layers.1.mlp.up_proj.{part}");
        let scales = Tensor::ones((80, 1), DType::F32, &Device::Cpu).unwrap();
        let scales = HashMap::from([(name.clone(), scales)]);
        candle_core::safetensors::save(&scales, at("scales.safetensors")).unwrap();
        let index = value!({"weight_map": {"1": "weights.safetensors", "2": "tiny-llama-biases.safetensors", "3": "scales.safetensors"}});
        fs::write(at("model.safetensors.index.json"), index.to_string()).unwrap();
        let base = folder.path().to_str().unwrap();
        fails(&["model", "inspect", base], 1, &["quantized", &name]);
    }
}
