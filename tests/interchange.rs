//! Adapters in the formats of PEFT, mlx-lm and llama.cpp: the same change in each, refused where it has no exact form.

mod common;

use candle_core::{Device, Tensor};
use common::{MODELS, base, fails, golden, largest, ok, text, tiny, workplace};
use factory::adapters::config::AdapterConfig;
use factory::adapters::lora::Adapter;
use factory::adapters::pattern::Patterns;
use factory::adapters::stored::{self, Format};
use factory::model::batch::Batch;
use factory::model::linear::Projection;
use factory::model::load::Base;
use std::fs;
use std::path::Path;

fn logits(base: &Base, adapter: &Adapter) -> Vec<f32> {
    let mut batch = Batch::default();
    batch.push_sequence(&[7, 42, 3, 99, 12, 200]);
    let hidden = base.decoder.forward(&batch, None, Some(&adapter)).unwrap();
    let logits = base.decoder.logits(&hidden).unwrap();
    logits.flatten_all().unwrap().to_vec1().unwrap()
}

fn random(base: &Base, config: AdapterConfig) -> Adapter {
    let mut adapter = Adapter::init(config, &base.decoder, 3).unwrap();
    for (_, p) in adapter.parameters_mut() {
        let noise = Tensor::randn(0f32, 0.1, p.shape(), &Device::Cpu).unwrap();
        *p = (&*p + noise).unwrap();
    }
    adapter.refresh(&base.decoder).unwrap();
    adapter
}

/// Ranks, alphas and targets of every kind.
fn configs() -> Vec<AdapterConfig> {
    let patterns = |entries: &[(&str, usize)]| {
        Patterns::new(entries.iter().map(|(k, v)| (k.to_string(), *v))).unwrap()
    };
    vec![
        AdapterConfig::new(3, 7.0),
        AdapterConfig {
            rslora: true,
            targets: vec![Projection::Q, Projection::K, Projection::Down],
            ..AdapterConfig::new(5, 4.0)
        },
        AdapterConfig {
            rank_pattern: patterns(&[("q_proj", 2), ("layers.1.mlp.up_proj", 6)]),
            alpha_pattern: Patterns::new([("k_proj".to_string(), 1.5)]).unwrap(),
            ..AdapterConfig::new(4, 9.0)
        },
    ]
}

#[test]
fn every_format_holds_the_same_change() {
    for name in MODELS {
        let base = base(name);
        for (i, config) in configs().into_iter().enumerate() {
            for dora in [false, true] {
                let adapter = random(
                    &base,
                    AdapterConfig {
                        dora,
                        ..config.clone()
                    },
                );
                let expected = logits(&base, &adapter);
                let unchanged = random(&base, AdapterConfig::new(1, 0.0));
                let unchanged = logits(&base, &unchanged);
                let changed = largest(expected.iter().zip(&unchanged).map(|(a, b)| (a - b).abs()));
                assert!(changed > 0.1, "{name} {i}: the adapter changes nothing");
                for format in [Format::Peft, Format::Mlx, Format::Gguf] {
                    let files = match format.files(&adapter, &base.decoder.config) {
                        Ok(files) => files,
                        Err(error) => {
                            assert!(dora && format == Format::Gguf, "{error:#}");
                            continue;
                        }
                    };
                    let file = |name: &str| {
                        let found = files.iter().find(|(file, _)| *file == name);
                        Ok(found.unwrap().1.clone())
                    };
                    let again = format.parse(file).unwrap().fit(&base.decoder).unwrap();
                    let found = logits(&base, &again);
                    let worst = largest(expected.iter().zip(&found).map(|(a, b)| (a - b).abs()));
                    assert!(worst < 1e-4, "{name} {i} dora {dora} {format:?}: {worst}");
                }
            }
        }
    }
}

/// Converts and returns what was said.
fn convert(from: &Path, to: &str, out: &Path, base: &str) -> String {
    ok(&[
        "adapter",
        "convert",
        &text(from),
        "--to",
        to,
        "--out",
        &text(out),
        "--base",
        base,
        "--device",
        "cpu",
    ])
}

#[test]
fn there_and_back_is_the_same_file() {
    let dir = workplace();
    for (base, adapter) in [
        ("tiny-llama", "tiny-llama-lora"),
        ("tiny-qwen3", "tiny-qwen3-lora"),
    ] {
        let (base, adapter) = (text(&golden(base)), golden(adapter));
        for (format, end) in [("mlx", ""), ("gguf", ".gguf")] {
            let there = dir.path().join(format!("{format}{end}"));
            let back = dir.path().join("back");
            let said = convert(&adapter, format, &there, &base);
            assert!(
                said.starts_with("largest difference of a logit: "),
                "{said}"
            );
            convert(&there, "peft", &back, &base);
            let weights = |folder: &Path| {
                let bytes = fs::read(folder.join("adapter_model.safetensors")).unwrap();
                let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
                let mut tensors: Vec<_> = file
                    .tensors()
                    .iter()
                    .map(|(name, view)| (name.clone(), view.shape().to_vec(), view.data().to_vec()))
                    .collect();
                tensors.sort();
                tensors
            };
            assert!(
                weights(&back) == weights(&adapter),
                "{format}: other tensors"
            );
            // Read as it is, without a conversion.
            let answers = |lora: &Path| {
                common::answers(
                    &dir.path().join("dev.jsonl"),
                    &base,
                    &["--lora", &text(lora), "--template", "plain"],
                )
            };
            assert_eq!(answers(&there), answers(&adapter));
            for made in [&there, &back] {
                match made.is_dir() {
                    true => fs::remove_dir_all(made).unwrap(),
                    false => fs::remove_file(made).unwrap(),
                }
            }
        }
    }
}

#[test]
fn dora_is_kept_by_mlx_and_refused_by_llama_cpp() {
    let dir = workplace();
    let (base, dora) = (tiny(), golden("tiny-llama-dora"));
    let (mlx, gguf) = (dir.path().join("mlx"), dir.path().join("x.gguf"));
    convert(&dora, "mlx", &mlx, &base);
    let config = fs::read_to_string(mlx.join("adapter_config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["fine_tune_type"], "dora");
    assert_eq!(config["num_layers"], 2);
    let said = ok(&["adapter", "diff", &text(&dora), &text(&mlx)]);
    assert!(
        said.contains("largest difference of a magnitude: 0.0e0"),
        "{said}"
    );
    let arguments = |to: &'static str, out: &Path| {
        [
            "adapter",
            "convert",
            &text(&dora),
            "--to",
            to,
            "--out",
            &text(out),
            "--base",
            &base,
        ]
        .map(str::to_owned)
    };
    let refused = |to, out: &Path, code, parts: &[&str]| {
        let arguments = arguments(to, out);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        fails(&arguments, code, parts);
    };
    refused(
        "gguf",
        &gguf,
        1,
        &[
            "no exact form as a llama.cpp LoRA GGUF",
            "merge the adapter",
        ],
    );
    assert!(!gguf.exists());
    refused("gguf", &dir.path().join("x"), 2, &["give a .gguf file"]);
    refused(
        "peft",
        &dir.path().join("x"),
        2,
        &["is a PEFT folder already"],
    );
    refused("mlx", &mlx, 1, &["exists"]);
}

#[test]
fn inspect_and_diff_say_what_differs() {
    let (lora, dora) = (
        text(&golden("tiny-llama-lora")),
        text(&golden("tiny-llama-dora")),
    );
    let said = ok(&["adapter", "inspect", &dora]);
    for part in [
        "PEFT folder",
        "DoRA of rank ",
        "down_proj   0-1 ",
        "14 modules, ",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let same = ok(&[
        "adapter",
        "diff",
        &lora,
        &lora,
        "--base",
        &tiny(),
        "--device",
        "cpu",
    ]);
    assert!(same.contains(" 0.000e0     1.0000"), "{same}");
    assert!(
        same.contains("largest difference of a logit: 0.0e0 of "),
        "{same}"
    );
    let other = ok(&["adapter", "diff", &lora, &dora]);
    assert!(!other.contains("1.0000"), "{other}");
    let qwen3 = text(&golden("tiny-qwen3-lora"));
    fails(
        &["adapter", "diff", &lora, &qwen3],
        1,
        &["they are for different bases"],
    );
}

#[test]
fn files_that_are_no_adapter_are_refused_by_name() {
    let dir = workplace();
    let (mlx, gguf) = (dir.path().join("mlx"), dir.path().join("x.gguf"));
    let base = base("tiny-llama");
    convert(&golden("tiny-llama-lora"), "mlx", &mlx, &tiny());
    convert(&golden("tiny-llama-lora"), "gguf", &gguf, &tiny());
    let config = fs::read_to_string(mlx.join("adapter_config.json")).unwrap();
    let refused = |change: &dyn Fn(&mut serde_json::Value), part: &str| {
        let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
        change(&mut config);
        fs::write(mlx.join("adapter_config.json"), config.to_string()).unwrap();
        fails(
            &["adapter", "inspect", &text(&mlx)],
            1,
            &["adapter_config.json", part],
        );
    };
    refused(&|c| c["fine_tune_type"] = "full".into(), "fine_tune_type");
    refused(
        &|c| c["lora_parameters"]["rank"] = 0.into(),
        "lora_parameters.rank",
    );
    refused(
        &|c| c["lora_parameters"]["scale"] = "2".into(),
        "lora_parameters.scale",
    );
    refused(
        &|c| c["lora_parameters"] = 1.into(),
        "no config of an mlx-lm adapter",
    );
    fs::write(
        mlx.join("adapter_config.json"),
        config.replace("\"rank\": ", "\"rank\": 1"),
    )
    .unwrap();
    let wrong = [
        "do not fit its config",
        "layers.0-1.self_attn.q_proj of rank 1",
    ];
    fails(&["adapter", "inspect", &text(&mlx)], 1, &wrong);

    // llama.cpp's file says for which architecture it is, not for how many heads.
    let bytes = fs::read(&gguf).unwrap();
    for end in (0..bytes.len()).step_by(97) {
        fs::write(&gguf, &bytes[..end]).unwrap();
        assert!(stored::load(&gguf, &base.decoder).is_err(), "{end}");
    }
    let said = |bytes: Vec<u8>| {
        fs::write(&gguf, bytes).unwrap();
        format!("{:#}", stored::load(&gguf, &base.decoder).err().unwrap())
    };
    // Every place where it stands.
    let with = |from: &str, to: &str| {
        let mut bytes = bytes.clone();
        for at in 0..bytes.len() - from.len() {
            if bytes[at..].starts_with(from.as_bytes()) {
                bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            }
        }
        said(bytes)
    };
    let message = with("\u{4}\0\0\0\0\0\0\0lora", "\u{4}\0\0\0\0\0\0\0dora");
    assert!(
        message.contains("adapter.type is dora, expected lora"),
        "{message}"
    );
    let message = with("adapter.lora.alpha", "adapter.alora.alph");
    assert!(message.contains("aLoRA"), "{message}");
    // The rank of the first tensor, behind its name and its number of dimensions.
    let mut empty = bytes.clone();
    let name = "blk.0.attn_q.weight.lora_a";
    let at = bytes
        .windows(name.len())
        .position(|w| w == name.as_bytes())
        .unwrap();
    empty[at + name.len() + 4 + 8..][..8].fill(0);
    let message = said(empty);
    assert!(
        message.contains("blk.0.attn_q.weight.lora_a is empty"),
        "{message}"
    );
    let message = with("llama", "qwen3");
    assert!(
        message.contains("the adapter is for architecture qwen3, the base is llama"),
        "{message}"
    );
    let message = with("blk.0.attn_q", "blk.7.attn_q");
    assert!(
        message.contains("layers.7.self_attn.q_proj: the base has none"),
        "{message}"
    );
    let message = with("blk.0.attn_q", "blk.0.attn_x");
    assert!(
        message.contains("blk.0.attn_x.weight.lora_a: no LoRA tensor"),
        "{message}"
    );
}
