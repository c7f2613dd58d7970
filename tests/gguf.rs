//! A GGUF file of tiny-llama, written here with llama.cpp's names and its interleaved q and k rows:
//! the same tokens and logits as from safetensors, and one clear line for every damage.

mod common;
#[path = "common/tiny_gguf.rs"]
mod tiny_gguf;

use candle_core::quantized::gguf_file::Value;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use common::{MODELS, base, factory, golden, json, largest};
use factory::model::batch::Batch;
use factory::model::load::{Base, Source};
use factory::model::weight::{Held, Weight};
use serde_json::Value as Json;
use std::path::Path;
use tiny_gguf::{metadata, tensors, write, write_file, write_quantized};

#[test]
fn gguf_is_the_same_model_as_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    for model in MODELS {
        let path = folder.path().join("tiny.gguf");
        write(&path, model, model.trim_start_matches("tiny-"), &[]);
        let gguf = Base::load(path.to_str().unwrap(), DType::F32, &Device::Cpu).unwrap();
        let safetensors = base(model);
        let text = "select 12 from 'café';\n  99";
        let tokens = safetensors.tokenizer.encode(text).unwrap();
        assert_eq!(gguf.tokenizer.encode(text).unwrap(), tokens);
        assert_eq!(gguf.tokenizer.decode(&tokens).unwrap(), text);
        let logits = |b: &Base| {
            let mut batch = Batch::default();
            batch.push_sequence(&tokens);
            let hidden = b.decoder.forward(&batch, None, None).unwrap();
            b.decoder.logits(&hidden).unwrap().to_vec2::<f32>().unwrap()
        };
        let (a, b) = (logits(&gguf), logits(&safetensors));
        let pairs = a.iter().flatten().zip(b.iter().flatten());
        let worst = largest(pairs.map(|(a, b)| (a - b).abs()));
        println!("{model} from GGUF: {worst:.1e}");
        // A norm's epsilon is f32 in the file.
        assert!(worst < 1e-4, "{model}: {worst}");
    }
}

#[test]
fn biases_that_would_be_lost_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    // Qwen2's tensors under a name whose models have no biases.
    write(&path, "tiny-qwen2", "llama", &[]);
    let error = Base::load(path.to_str().unwrap(), DType::F32, &Device::Cpu);
    let error = format!("{:#}", error.err().unwrap());
    assert!(error.contains("q_proj.bias is not supported"), "{error}");
}

#[test]
fn damaged_and_foreign_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    let error = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let out = factory(&[
            "generate",
            "--base",
            path.to_str().unwrap(),
            "--prompt",
            "x",
        ]);
        assert_eq!(out.status.code(), Some(1));
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
        stderr
            .lines()
            .find(|l| l.starts_with("error: "))
            .unwrap()
            .to_string()
    };
    write(&path, "tiny-llama", "llama", &[]);
    let whole = std::fs::read(&path).unwrap();
    assert!(error(&whole[..whole.len() - 4000]).contains("behind the end of the file"));
    assert!(error(&whole[..100]).contains("not a complete GGUF"));
    // Behind a tensor's name stand its rank, dimensions, type and offset.
    let with = |name: &str, behind: usize, bytes: &[u8]| {
        let name = name.as_bytes();
        let at = whole.windows(name.len()).position(|w| w == name).unwrap();
        let at = at + name.len() + behind;
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        error(&changed)
    };
    assert!(with("token_embd.weight", 4 + 16, &[77]).contains("77"));
    let outside = with("token_embd.weight", 4 + 16 + 4, &[0xff; 8]);
    assert!(
        outside.contains("tensor token_embd.weight ends behind the end of the file"),
        "{outside}"
    );
    let overflowing = with("token_embd.weight", 4, &[0xff; 16]);
    assert!(
        overflowing.contains("tensor token_embd.weight ends behind"),
        "{overflowing}"
    );
    // Every layer may claim the same bytes, and a small file unpack to any size.
    let shared = with("blk.1.attn_q.weight", 4 + 16 + 4, &[0; 8]);
    assert!(
        shared.contains("lies in the bytes of another tensor"),
        "{shared}"
    );
    write(&path, "tiny-llama", "mamba", &[]);
    let mamba = std::fs::read(&path).unwrap();
    assert!(error(&mamba).contains("architecture \"mamba\" is not supported"));
    // Into a token that is not there and longer than every one that is.
    write(
        &path,
        "tiny-llama",
        "llama",
        &["<|endoftext|> <|endoftext|>"],
    );
    let long = std::fs::read(&path).unwrap();
    assert!(error(&long).contains("no token \"<|endoftext|><|endoftext|>\""));
}

/// candle's dequantization, which model::gguf hands the bytes to.
#[test]
fn every_storage_type_has_the_values_of_the_reference_reader() {
    let golden = json("gguf_types.json");
    for (name, case) in golden["types"].as_object().unwrap() {
        let dtype = match name.as_str() {
            "Q4_0" => GgmlDType::Q4_0,
            "Q4_1" => GgmlDType::Q4_1,
            "Q5_0" => GgmlDType::Q5_0,
            "Q5_1" => GgmlDType::Q5_1,
            "Q8_0" => GgmlDType::Q8_0,
            "Q2_K" => GgmlDType::Q2K,
            "Q3_K" => GgmlDType::Q3K,
            "Q4_K" => GgmlDType::Q4K,
            "Q5_K" => GgmlDType::Q5K,
            "Q6_K" => GgmlDType::Q6K,
            "F16" => GgmlDType::F16,
            "BF16" => GgmlDType::BF16,
            other => panic!("{other}"),
        };
        let hex = case["bytes"].as_str().unwrap();
        let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let expected: Vec<f32> = serde_json::from_value(case["values"].clone()).unwrap();
        let storage = QStorage::from_data(bytes.into(), &Device::Cpu, dtype).unwrap();
        let tensor = QTensor::new(storage, expected.len()).unwrap();
        let values: Vec<f32> = tensor.dequantize(&Device::Cpu).unwrap().to_vec1().unwrap();
        let pairs = values.iter().zip(&expected);
        let worst = largest(pairs.map(|(a, b)| (a - b).abs() / b.abs().max(1.0)));
        println!("{name}: {worst:.1e}");
        assert!(worst <= 1e-6, "{name}: {worst}");
    }
    assert_eq!(golden["types"].as_object().unwrap().len(), 12);
}

/// tiny-llama's file with more metadata of its architecture, and with one more tensor.
fn tiny_with(path: &Path, architecture: &str, more: &[(&str, Value)], freqs: Option<&[f32]>) {
    let mut metadata = metadata("tiny-llama", architecture, &[]);
    for (key, value) in more {
        metadata.push((format!("{architecture}.{key}"), value.clone()));
    }
    let mut tensors = tensors("tiny-llama", architecture);
    if let Some(freqs) = freqs {
        let freqs = Tensor::new(freqs, &Device::Cpu).unwrap();
        let freqs = QTensor::quantize(&freqs, GgmlDType::F32).unwrap();
        tensors.push(("rope_freqs.weight".to_string(), freqs));
    }
    write_file(path, &metadata, &tensors);
}

/// Logits of tiny-llama's weights, opened as `path`.
fn logits_of(path: &Path) -> Vec<f32> {
    let base = Base::load(path.to_str().unwrap(), DType::F32, &Device::Cpu).unwrap();
    let mut batch = Batch::default();
    batch.push_sequence(&(0..40).map(|i| i * 37 % 256).collect::<Vec<u32>>());
    let hidden = base.decoder.forward(&batch, None, None).unwrap();
    let logits = base.decoder.logits(&hidden).unwrap();
    logits.flatten_all().unwrap().to_vec1().unwrap()
}

/// A folder of tiny-llama's weights with other fields in its config.json.
fn folder_with(fields: Json) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(golden("tiny-llama")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let mut config = json("tiny-llama/config.json");
    let fields = fields.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(fields);
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

#[test]
fn what_a_file_says_of_rope_and_windows_is_what_a_config_says() {
    let text = |s: &str| Value::String(s.to_string());
    let four = || ("rope.scaling.factor", Value::F32(4.0));
    let linear = serde_json::json!({"rope_parameters": {"rope_type": "linear", "factor": 4, "rope_theta": 1e5}});
    let yarn = |more: Json| {
        let mut yarn = serde_json::json!({"rope_type": "yarn", "factor": 4, "rope_theta": 1e5, "original_max_position_embeddings": 32});
        let more = more.as_object().unwrap().clone();
        yarn.as_object_mut().unwrap().extend(more);
        serde_json::json!({"rope_parameters": yarn})
    };
    let stretched = |more: Vec<(&'static str, Value)>| {
        let mut all = vec![
            ("rope.scaling.type", text("yarn")),
            four(),
            ("rope.scaling.original_context_length", Value::U32(32)),
        ];
        all.extend(more);
        all
    };
    let smollm3 = serde_json::json!({"model_type": "smollm3"});
    let llama3 = serde_json::json!({"rope_parameters": {"rope_type": "llama3", "factor": 8, "rope_theta": 1e5,
        "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 64}});
    // What llama.cpp's converter makes of that: plain over scaled.
    let divisors = |i: i32| {
        let wave = std::f32::consts::TAU * 1e5f32.powf(i as f32 / 8.0);
        let smooth = (64.0 / wave - 1.0) / 3.0;
        match wave {
            w if w < 16.0 => 1.0,
            w if w > 64.0 => 8.0,
            _ => 1.0 / ((1.0 - smooth) / 8.0 + smooth),
        }
    };
    let freqs: Vec<f32> = (0..8).map(divisors).collect();
    let window = serde_json::json!({"model_type": "mistral", "sliding_window": 7});
    for (architecture, more, freqs, config) in [
        (
            "llama",
            vec![("rope.scaling.type", text("linear")), four()],
            None,
            linear.clone(),
        ),
        ("llama", vec![four()], None, linear.clone()),
        (
            "llama",
            vec![("rope.scale_linear", Value::F32(4.0))],
            None,
            linear,
        ),
        (
            "llama",
            vec![("rope.scaling.type", text("none")), four()],
            None,
            serde_json::json!({}),
        ),
        (
            "llama",
            vec![("rope.scaling.factor", Value::F32(0.0))],
            None,
            serde_json::json!({}),
        ),
        (
            "llama",
            stretched(vec![]),
            None,
            yarn(serde_json::json!({})),
        ),
        (
            "llama",
            stretched(vec![
                ("rope.scaling.yarn_beta_fast", Value::F32(8.0)),
                ("rope.scaling.yarn_beta_slow", Value::F32(2.0)),
                ("rope.scaling.yarn_attn_factor", Value::F32(1.25)),
                ("rope.scaling.yarn_ext_factor", Value::F32(1.0)),
            ]),
            None,
            yarn(serde_json::json!({"beta_fast": 8, "beta_slow": 2, "attention_factor": 1.25})),
        ),
        (
            "llama",
            stretched(vec![("rope.scaling.yarn_log_multiplier", Value::F32(0.5))]),
            None,
            yarn(serde_json::json!({"mscale": 1, "mscale_all_dim": 0.5})),
        ),
        ("llama", vec![], Some(&freqs[..]), llama3),
        ("llama", vec![], Some(&[1.0; 8][..]), serde_json::json!({})),
        (
            "llama",
            vec![("attention.sliding_window", Value::U32(7))],
            None,
            window,
        ),
        ("smollm3", vec![], None, smollm3),
    ] {
        let folder = folder_with(config.clone());
        let path = folder.path().join("same.gguf");
        tiny_with(&path, architecture, &more, freqs);
        let (a, b) = (logits_of(&path), logits_of(folder.path()));
        let worst = largest(a.iter().zip(&b).map(|(a, b)| (a - b).abs()));
        println!("{config}: {worst:.1e}");
        assert!(worst < 1e-4, "{config}: {worst}");
    }
}

#[test]
fn a_rope_or_a_shape_that_is_not_understood_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    let text = |s: &str| Value::String(s.to_string());
    for (more, freqs, name) in [
        (("rope.scaling.type", text("longrope")), None, "longrope"),
        (("rope.scaling.factor", Value::F32(-4.0)), None, "factor"),
        (
            ("rope.scaling.factor", Value::F32(4.0)),
            Some(&[2.0; 8][..]),
            "rope_freqs",
        ),
        (
            ("vocab_size", Value::U32(259)),
            Some(&[2.0; 7][..]),
            "rope_freqs",
        ),
        (
            ("vocab_size", Value::U32(259)),
            Some(&[0.0; 8][..]),
            "rope_freqs",
        ),
        (("expert_count", Value::U32(8)), None, "expert_count"),
        (("logit_scale", Value::F32(0.5)), None, "logit_scale"),
        (
            ("attention.causal", Value::Bool(false)),
            None,
            "attention.causal",
        ),
    ] {
        tiny_with(&path, "llama", &[more], freqs);
        let error = Base::load(path.to_str().unwrap(), DType::F32, &Device::Cpu).err();
        let error = format!("{:#}", error.unwrap());
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn every_fourth_layer_of_smollm3_is_without_rope() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    let mut metadata = metadata("tiny-llama", "smollm3", &[]);
    for (key, value) in &mut metadata {
        if key == "smollm3.block_count" {
            *value = Value::U32(8);
        }
    }
    write_file(&path, &metadata, &tensors("tiny-llama", "smollm3"));
    let source = Source::open(path.to_str().unwrap()).unwrap();
    assert_eq!(Vec::from_iter(source.config.without_rope), [3, 7]);
}

#[test]
fn every_end_that_a_file_names_ends_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    let mut metadata = metadata("tiny-llama", "llama", &[]);
    for (key, id) in [("eot_token_id", 256), ("eom_token_id", 257)] {
        metadata.push((format!("tokenizer.ggml.{key}"), Value::U32(id)));
    }
    write_file(&path, &metadata, &tensors("tiny-llama", "llama"));
    let base = Base::load(path.to_str().unwrap(), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(base.tokenizer.ends(), [258, 256, 257]);
}

/// Writes tiny-llama in as many parts as `tensors` says, each with so many of them.
fn split(folder: &Path, tensors_of: &[usize]) -> Vec<std::path::PathBuf> {
    let mut tensors = tensors("tiny-llama", "llama");
    let (count, total) = (tensors_of.len(), tensors.len());
    let mut paths = Vec::new();
    for (i, n) in tensors_of.iter().enumerate() {
        let mut metadata = match i {
            0 => metadata("tiny-llama", "llama", &[]),
            _ => Vec::new(),
        };
        metadata.push(("split.no".to_string(), Value::U16(i as u16)));
        metadata.push(("split.count".to_string(), Value::U16(count as u16)));
        metadata.push(("split.tensors.count".to_string(), Value::I32(total as i32)));
        let path = folder.join(format!("tiny-{:05}-of-{count:05}.gguf", i + 1));
        write_file(&path, &metadata, &tensors.drain(..*n).collect::<Vec<_>>());
        paths.push(path);
    }
    assert!(tensors.is_empty());
    paths
}

#[test]
fn a_split_file_is_read_whole_whichever_part_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let whole = logits_of(&golden("tiny-llama"));
    let total = tensors("tiny-llama", "llama").len();
    // The first part may have metadata alone.
    for tensors_of in [vec![0, 9, total - 9], vec![5, total - 5]] {
        let paths = split(folder.path(), &tensors_of);
        for path in &paths {
            let worst = largest(
                logits_of(path)
                    .iter()
                    .zip(&whole)
                    .map(|(a, b)| (a - b).abs()),
            );
            println!("split in {tensors_of:?}: {worst:.1e}");
            assert!(worst < 1e-4, "{}: {worst}", path.display());
        }
    }
    let two = |n| folder.path().join(format!("tiny-0000{n}-of-00002.gguf"));
    let three = |n| folder.path().join(format!("tiny-0000{n}-of-00003.gguf"));
    let error = |path: &Path| {
        let error = Base::load(path.to_str().unwrap(), DType::F32, &Device::Cpu);
        format!("{:#}", error.err().unwrap())
    };
    // Of another model, renamed, missing.
    std::fs::copy(three(3), two(2)).unwrap();
    assert!(
        error(&two(1)).contains("does not say that it is part 2 of 2"),
        "{}",
        error(&two(1))
    );
    std::fs::remove_file(two(2)).unwrap();
    let missing = error(&two(1));
    assert!(
        missing.contains("one is missing") && missing.contains("tiny-00002-of-00002.gguf"),
        "{missing}"
    );
    let renamed = folder.path().join("model.gguf");
    std::fs::rename(two(1), &renamed).unwrap();
    let renamed = error(&renamed);
    assert!(
        renamed.contains("one of 2 parts") && renamed.contains("-00001-of-00002.gguf"),
        "{renamed}"
    );
    // The folder itself is no base, but it says what is.
    let folder = error(folder.path());
    assert!(folder.contains("model.gguf"), "{folder}");
}

#[test]
fn blocks_are_the_numbers_that_a_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    // Interleaved heads, and none.
    for (model, architecture) in [("tiny-llama", "llama"), ("tiny-qwen3", "qwen3")] {
        for kind in [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q8_0] {
            write_quantized(&path, model, architecture, kind);
            let load = |held| {
                let base = path.to_str().unwrap();
                Base::load_held(base, held, DType::F32, &Device::Cpu).unwrap()
            };
            let (native, numbers) = (load(None), load(Some(Held::Numbers)));
            assert_eq!(native.decoder.held, Held::Native, "what nobody chose");
            let weights = native.decoder.projections();
            for ((site, a), (_, b)) in weights.zip(numbers.decoder.projections()) {
                let values = |w: &Weight| -> Vec<f32> {
                    let numbers = w.numbers().unwrap().flatten_all().unwrap();
                    numbers.to_vec1().unwrap()
                };
                // What has no blocks in the file is rounded to 8 bits.
                let (_, width) = a.dims().unwrap();
                let same = values(a) == values(b);
                assert_eq!(same, width % 32 == 0, "{model} {kind:?} {site}");
            }
            let logits = |b: &Base| {
                let mut batch = Batch::default();
                batch.push_sequence(&[5, 9, 200, 31]);
                let hidden = b.decoder.forward(&batch, None, None).unwrap();
                let logits = b.decoder.logits(&hidden).unwrap();
                logits.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            let (a, b) = (logits(&native), logits(&numbers));
            let square = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>();
            let apart: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
            let share = (square(&apart) / square(&b)).sqrt();
            println!("{model} {kind:?}: logits apart by {share:.4} of their size");
            // Activations of 8 bits; random weights pass errors on.
            assert!(share > 0.0 && share < 0.06, "{model} {kind:?}: {share}");
        }
    }
}
