//! Adapters as PEFT's users save them. Folders and logits under tests/goldens/kinds were made by scripts/golden_kinds.py.

mod common;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use common::{base, fails, golden, ids, json, largest, ok, text, tiny};
use factory::adapters::stored;
use factory::model::batch::Batch;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn folders_that_need_nothing_else_have_the_logits_of_peft() {
    let base = base("tiny-llama");
    let kinds = json("kinds/logits.json");
    let kinds = kinds["kinds"].as_object().unwrap();
    assert_eq!(kinds.len(), 10);
    for (name, expected) in kinds {
        let adapter = stored::load(&golden(&format!("kinds/{name}")), &base.decoder).unwrap();
        let logits = |adapter| -> Vec<f32> {
            let mut batch = Batch::default();
            batch.push_sequence(&ids(&expected["ids"]));
            let hidden = base.decoder.forward(&batch, None, adapter).unwrap();
            let logits: Vec<Vec<f32>> = base.decoder.logits(&hidden).unwrap().to_vec2().unwrap();
            let picked = ids(&expected["logit_ids"]);
            let rows = logits.iter();
            rows.flat_map(|row| picked.iter().map(|id| row[*id as usize]))
                .collect()
        };
        let theirs: Vec<Vec<f32>> = serde_json::from_value(expected["logits"].clone()).unwrap();
        let theirs: Vec<f32> = theirs.into_iter().flatten().collect();
        let worst = |ours: &[f32]| largest(ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()));
        let (with, without) = (worst(&logits(Some(&adapter))), worst(&logits(None)));
        println!(
            "{name}: largest difference of a logit {with:.1e}, of the base alone {without:.1e}"
        );
        assert!(with < 1e-4, "{name}: {with}");
        assert!(without > 0.1, "{name} changes nothing");
    }
}

/// A copy of an adapter's folder with changes to its config.
fn copied(from: &str, to: &Path, changes: serde_json::Value) -> PathBuf {
    let _ = fs::create_dir_all(to);
    for entry in fs::read_dir(golden(from)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    let mut config = json(&format!("{from}/adapter_config.json"));
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(to.join("adapter_config.json"), config.to_string()).unwrap();
    to.to_owned()
}

#[test]
fn what_the_config_and_the_tensors_do_not_both_say_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let base = base("tiny-llama");
    for (changes, part) in [
        (serde_json::json!({"layers_to_transform": [0, 1]}), ""),
        (
            serde_json::json!({"layers_to_transform": [1]}),
            "layers.0.self_attn.q_proj has tensors, but adapter_config.json leaves it out",
        ),
        (
            serde_json::json!({"exclude_modules": ".*down_proj"}),
            "layers.0-1.mlp.down_proj has tensors",
        ),
        (
            serde_json::json!({"target_modules": ["q_proj", "down_proj", "o_proj"]}),
            "layers.0-1.self_attn.o_proj has no tensors",
        ),
        (
            serde_json::json!({"modules_to_save": ["lm_head"]}),
            "modules_to_save = [\"lm_head\"] is not supported",
        ),
        (
            serde_json::json!({"target_modules": ["q_proj", "down_proj", "lm_head"]}),
            "target module lm_head is not supported",
        ),
    ] {
        let folder = copied("kinds/eva", &dir.path().join("a"), changes.clone());
        let said = stored::load(&folder, &base.decoder).err();
        let said = said.map_or(String::new(), |error| format!("{error:#}"));
        assert!(
            said.contains(part) && said.is_empty() == part.is_empty(),
            "{changes}: {said}"
        );
    }
    let pissa = text(&golden("kinds/unconverted-pissa"));
    fails(
        &["adapter", "inspect", &pissa],
        1,
        &[
            "init_lora_weights = \"pissa\"",
            "path_initial_model_for_weight_conversion",
        ],
    );
}

#[test]
fn tensors_of_two_adapters_or_of_whole_modules_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let folder = copied("kinds/eva", &dir.path().join("a"), serde_json::json!({}));
    let weights = folder.join("adapter_model.safetensors");
    let tensors = candle_core::safetensors::load(&weights, &Device::Cpu).unwrap();
    let said = |more: &dyn Fn(&str) -> Option<String>| {
        let mut all: BTreeMap<String, Tensor> = tensors.clone().into_iter().collect();
        for (name, tensor) in &tensors {
            all.extend(more(name).map(|name| (name, tensor.clone())));
        }
        safetensors::serialize_to_file(&all, None, &weights).unwrap();
        format!("{:#}", stored::read(&folder).err().unwrap())
    };
    let second = said(&|name| {
        Some(
            name.replace("lora_A.", "lora_A.other.")
                .replace("lora_B.", "lora_B.other."),
        )
    });
    assert!(
        second.contains("of several adapters or models") && second.contains("adapter other"),
        "{second}"
    );
    let twice = said(&|name| Some(format!("_orig_mod.{name}")));
    assert!(
        twice.contains("its module has such a tensor already"),
        "{twice}"
    );
    let head = said(&|name| {
        name.contains("layers.0.self_attn.q_proj.lora_A")
            .then(|| "base_model.model.lm_head.weight".into())
    });
    assert!(
        head.contains("lm_head.weight: a module's own weights"),
        "{head}"
    );
}

#[test]
fn quantized_lora_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let base = base("tiny-llama");
    let config = &base.decoder.config;
    let (rank, width) = (32, config.hidden_size);
    let values = config.num_key_value_heads * config.head_dim;
    for (dtype, near) in [
        (GgmlDType::F32, 0.0),
        (GgmlDType::F16, 1e-3),
        (GgmlDType::BF16, 8e-3),
        (GgmlDType::Q8_0, 8e-3),
        (GgmlDType::Q5_1, 4e-2),
        (GgmlDType::Q4_0, 0.15),
    ] {
        let tensor = |rows: usize, columns: usize| {
            let values = (0..rows * columns).map(|i| (i as f32 * 0.37).sin());
            Tensor::from_iter(values, &Device::Cpu)
                .unwrap()
                .reshape((rows, columns))
                .unwrap()
        };
        let a = tensor(rank, width);
        let mut tensors = Vec::new();
        for (module, rows) in [("blk.1.attn_v", values), ("blk.1.attn_output", width)] {
            for (part, tensor) in [("a", &a), ("b", &tensor(rows, rank))] {
                let name = format!("{module}.weight.lora_{part}");
                tensors.push((name, QTensor::quantize(tensor, dtype).unwrap()));
            }
        }
        let string = |text: &str| Value::String(text.to_owned());
        let metadata = [
            ("general.architecture", string("llama")),
            ("general.type", string("adapter")),
            ("adapter.type", string("lora")),
            ("adapter.lora.alpha", Value::F32(16.0)),
        ];
        let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value)).collect();
        let tensors: Vec<_> = tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
            .collect();
        let path = dir.path().join("x.gguf");
        gguf_file::write(&mut fs::File::create(&path).unwrap(), &metadata, &tensors).unwrap();
        let adapter = stored::load(&path, &base.decoder).unwrap();
        assert_eq!(adapter.modules.len(), 2);
        let module = adapter.modules.values().next().unwrap();
        let d = common::distance(&module.a, &a);
        assert!(d <= near, "{dtype:?}: {d}");
    }
}

#[test]
fn a_base_that_is_not_said_or_not_here_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let ask = |lora: &Path, more: &[&str]| {
        let args = [
            "generate",
            "--lora",
            lora.to_str().unwrap(),
            "--prompt",
            "x",
            "--max-tokens",
            "2",
        ];
        [&args[..], more]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let refused = |lora: &Path, code, parts: &[&str]| {
        let args = ask(lora, &["--device", "cpu"]);
        fails(
            &args.iter().map(String::as_str).collect::<Vec<_>>(),
            code,
            parts,
        );
    };
    let unsaid = copied(
        "kinds/eva",
        &path("unsaid"),
        serde_json::json!({"base_model_name_or_path": null}),
    );
    refused(&unsaid, 2, &["unsaid does not say its base", "--base"]);
    let gone = serde_json::json!({"base_model_name_or_path": "/mnt/models/gone"});
    let gone = copied("kinds/eva", &path("gone"), gone);
    refused(
        &gone,
        2,
        &[
            "made for the base /mnt/models/gone, which is not here",
            "--base",
        ],
    );
    for lora in [&unsaid, &gone] {
        let args = ask(lora, &["--base", &tiny(), "--device", "cpu"]);
        ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
    }
    refused(
        &golden("tiny-llama"),
        1,
        &["it is a base model, not an adapter: give it as --base"],
    );
    let adapter = text(&golden("kinds/eva"));
    fails(
        &["generate", "--base", &adapter, "--prompt", "x"],
        1,
        &["it is an adapter, not a base model: give it as --lora"],
    );
}
