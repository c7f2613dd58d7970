//! Folders that mlx-lm quantized: the numbers and logits are MLX's (tests/goldens/tiny-llama-mlx, made by scripts/golden_mlx.py), and
//! what does not fit together is refused by name.

mod common;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use common::{fails, golden, ids, json, largest, ok, text};
use factory::model::batch::Batch;
use factory::model::load::{Base, Source};
use factory::model::ops::Path as OpsPath;
use factory::model::weight::Held;
use serde_json::{Value, json as value};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use tempfile::TempDir;

const NAME: &str = "tiny-llama-mlx";
const DEVICE: Device = Device::Cpu;
/// The projection of 8 bits, and one of 4 that has its shape.
const EIGHT: &str = "model.layers.1.self_attn.q_proj";
const FOUR: &str = "model.layers.0.self_attn.q_proj";

type Tensors = HashMap<String, Tensor>;

/// The folder with another config and other tensors.
fn changed(change: impl FnOnce(&mut Value, &mut Tensors)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut config = json(&format!("{NAME}/config.json"));
    let from = golden(NAME);
    let mut tensors =
        candle_core::safetensors::load(from.join("model.safetensors"), &DEVICE).unwrap();
    // One of the two is enough.
    config
        .as_object_mut()
        .unwrap()
        .remove("quantization_config");
    change(&mut config, &mut tensors);
    fs::write(at("config.json"), config.to_string()).unwrap();
    candle_core::safetensors::save(&tensors, at("model.safetensors")).unwrap();
    fs::copy(from.join("tokenizer.json"), at("tokenizer.json")).unwrap();
    folder
}

/// The folder with nothing in 8 bits.
fn four_bits() -> TempDir {
    changed(|config, tensors| {
        config["quantization"]
            .as_object_mut()
            .unwrap()
            .remove(EIGHT);
        for part in ["weight", "scales", "biases"] {
            let other = tensors[&format!("{FOUR}.{part}")].clone();
            tensors.insert(format!("{EIGHT}.{part}"), other);
        }
    })
}

#[test]
fn numbers_are_those_that_mlx_reads() {
    let source = Source::open(&text(&golden(NAME))).unwrap();
    let all: BTreeMap<String, [Vec<f32>; 2]> =
        serde_json::from_value(json(&format!("{NAME}/golden.json"))["rows"].clone()).unwrap();
    assert_eq!(all.len(), 15);
    for (name, [first, last]) in all {
        let found = source.weights.tensor(&name, DType::F32, &DEVICE).unwrap();
        let found: Vec<Vec<f32>> = found.to_vec2().unwrap();
        assert_eq!(found[0], first, "{name}");
        assert_eq!(found[found.len() - 1], last, "{name}");
    }
}

#[test]
fn logits_are_those_of_mlx_lm() {
    let golden_logits = json(&format!("{NAME}/golden.json"));
    let picked = ids(&golden_logits["logit_ids"]);
    for path in [OpsPath::Fused, OpsPath::Portable] {
        let mut base = Base::load(&text(&golden(NAME)), DType::F32, &DEVICE).unwrap();
        base.decoder.path = path;
        for prompt in golden_logits["prompts"].as_array().unwrap() {
            let mut batch = Batch::default();
            batch.push_sequence(&ids(&prompt["ids"]));
            let hidden = base.decoder.forward(&batch, None, None).unwrap();
            let logits: Vec<Vec<f32>> = base.decoder.logits(&hidden).unwrap().to_vec2().unwrap();
            let expected: Vec<Vec<f32>> = serde_json::from_value(prompt["logits"].clone()).unwrap();
            let found = logits
                .iter()
                .flat_map(|row| picked.iter().map(|id| row[*id as usize]));
            let worst = largest(
                found
                    .zip(expected.iter().flatten())
                    .map(|(a, b)| (a - b).abs()),
            );
            assert!(worst < 1e-4, "{path:?}: {worst}");
        }
    }
}

#[test]
fn four_bits_are_held_as_they_are_and_others_in_eight() {
    let source = Source::open(&text(&golden(NAME))).unwrap();
    for held in [Held::Native, Held::Q8] {
        let base = Base::load_held(&text(&golden(NAME)), Some(held), DType::F32, &DEVICE).unwrap();
        for (site, weight) in base.decoder.projections() {
            let name = format!("model.{site}.weight");
            let exact = source.weights.tensor(&name, DType::F32, &DEVICE).unwrap();
            let found: Vec<Vec<f32>> = weight.numbers().unwrap().to_vec2().unwrap();
            let exact: Vec<Vec<f32>> = exact.to_vec2().unwrap();
            let own = source
                .weights
                .blocks(&name, &[GgmlDType::Q4_1])
                .unwrap()
                .is_some();
            let whole = name.contains("down_proj") || name.contains("layers.0.mlp.up_proj");
            assert_eq!(own, !whole && !name.contains(EIGHT), "{name}");
            if held == Held::Native && own {
                assert_eq!(found, exact, "{name}");
                continue;
            }
            for (found, exact) in found.iter().zip(&exact) {
                for (found, exact) in found.chunks(32).zip(exact.chunks(32)) {
                    let most = largest(exact.iter().map(|x| x.abs()));
                    let worst = largest(found.iter().zip(exact).map(|(a, b)| (a - b).abs()));
                    // Half a step, and the rounding of the scale.
                    assert!(
                        worst <= most * (0.5 / 127.0 + 1.0 / 2048.0),
                        "{name}: {worst}"
                    );
                }
            }
        }
    }
}

#[test]
fn scales_that_are_too_large_for_a_block_are_held_in_eight_bits() {
    let folder = changed(|_, tensors| {
        for part in ["scales", "biases"] {
            let part = tensors.get_mut(&format!("{FOUR}.{part}")).unwrap();
            *part = (part.to_dtype(DType::F32).unwrap() * 1e6).unwrap();
        }
    });
    let source = Source::open(&text(folder.path())).unwrap();
    let name = format!("{FOUR}.weight");
    assert!(
        source
            .weights
            .blocks(&name, &[GgmlDType::Q4_1])
            .unwrap()
            .is_none()
    );
    let held = Some(Held::Native);
    let base = Base::load_held(&text(folder.path()), held, DType::F32, &DEVICE).unwrap();
    let (_, weight) = base.decoder.projections().next().unwrap();
    let exact = source.weights.tensor(&name, DType::F32, &DEVICE).unwrap();
    assert!(common::distance(&weight.numbers().unwrap(), &exact) < 0.01);
}

#[test]
fn four_bits_are_answered_from_unless_another_way_is_asked_for() {
    let (mixed, four) = (text(&golden(NAME)), four_bits());
    let four = text(four.path());
    let held = |base: &str| {
        let base = Base::load_held(base, None, DType::F32, &DEVICE);
        base.unwrap().decoder.held
    };
    assert_eq!((held(&mixed), held(&four)), (Held::Numbers, Held::Native));
    let said = ok(&["model", "inspect", &four]);
    for part in ["x MLX 4 bits in groups of 32 (", "native"] {
        assert!(said.contains(part), "{said}");
    }
    let said = ok(&["model", "inspect", &mixed]);
    for part in ["1 x MLX 8 bits in groups of 64 (", "on the CPU: f32"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn an_adapter_is_trained_and_answers_over_it() {
    let (folder, dir) = (four_bits(), common::workplace());
    let path = |name: &str| text(&dir.path().join(name));
    let (base, out) = (text(folder.path()), path("adapter"));
    let train = ["sft", "--data", &path("train.jsonl"), "--base", &base];
    let how = [
        "--base-weights",
        "native",
        "--device",
        "cpu",
        "--steps",
        "2",
    ];
    ok(&[&train[..], &how, &["--out", &out]].concat());
    let said = common::answers(&dir.path().join("dev.jsonl"), &base, &["--lora", &out]);
    assert_eq!(said.lines().count(), 6);
    let merge = ["adapter", "merge", "--lora", &out, "--out", &path("merged")];
    fails(&merge, 1, &["quantized", "GGUF"]);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let refused = |parts: &[&str], change: &dyn Fn(&mut Value, &mut Tensors)| {
        let folder = changed(change);
        let error = Source::open(&text(folder.path())).err().unwrap();
        let error = format!("{error:#}");
        for part in parts {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    };
    let name = |part: &str| format!("{FOUR}.{part}");
    for part in ["scales", "biases"] {
        let own = name(part);
        refused(&[&own, "missing"], &|_, all| drop(all.remove(&own)));
        refused(&[&own, "[64, 1]", "expected [64, 2]"], &|_, all| {
            let narrow = all[&own].narrow(1, 0, 1).unwrap().contiguous().unwrap();
            all.insert(own.clone(), narrow);
        });
    }
    let weight = name("weight");
    refused(&[&weight, "missing"], &|_, all| drop(all.remove(&weight)));
    refused(&[&weight, "U32"], &|_, all| {
        let other = all[&weight].to_dtype(DType::F32).unwrap();
        all.insert(weight.clone(), other);
    });
    refused(&[&weight, "64 x 24", "groups of 32"], &|_, all| {
        let narrow = all[&weight].narrow(1, 0, 3).unwrap().contiguous().unwrap();
        all.insert(weight.clone(), narrow);
    });
    refused(&[&weight, "two dimensions"], &|_, all| {
        let flat = all[&weight].flatten_all().unwrap();
        all.insert(weight.clone(), flat);
    });
    // Read in other bits or groups than they were written in.
    refused(
        &["scales", "[259, 2]", "expected [259, 1]"],
        &|config, _| {
            config["quantization"]["group_size"] = value!(64);
        },
    );
    refused(&["scales", "expected"], &|config, _| {
        config["quantization"][EIGHT] = value!({"bits": 4, "group_size": 64});
    });
    refused(&[FOUR, "not quantized by the config"], &|config, _| {
        config["quantization"][FOUR] = value!(false);
    });
    let whole = "model.layers.0.mlp.up_proj";
    refused(&[whole, "by the weights it is not"], &|config, _| {
        config["quantization"][whole] = value!({"bits": 4, "group_size": 32});
    });
    refused(&["model.layers.7", "not in the weights"], &|config, _| {
        config["quantization"]["model.layers.7"] = value!({"bits": 4, "group_size": 32});
    });
    // Without a word in its config.
    let folder = changed(|config, _| drop(config.as_object_mut().unwrap().remove("quantization")));
    fails(
        &["model", "inspect", &text(folder.path())],
        1,
        &["quantized", "scales"],
    );
}
