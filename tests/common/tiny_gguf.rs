//! The tiny models as GGUF files, with llama.cpp's names and its interleaved q and k rows.

use super::common::{golden, json};
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::Path;

fn strings(values: impl IntoIterator<Item = String>) -> Value {
    Value::Array(values.into_iter().map(Value::String).collect())
}

pub fn metadata(model: &str, architecture: &str, merges: &[&str]) -> Vec<(String, Value)> {
    let tokenizer = json(&format!("{model}/tokenizer.json"));
    let mut tokens = vec![String::new(); 259];
    for (token, id) in tokenizer["model"]["vocab"].as_object().unwrap() {
        tokens[id.as_u64().unwrap() as usize] = token.clone();
    }
    for token in tokenizer["added_tokens"].as_array().unwrap() {
        tokens[token["id"].as_u64().unwrap() as usize] = token["content"].as_str().unwrap().into();
    }
    let config = json(&format!("{model}/config.json"));
    let number = |name: &str| Value::U32(config[name].as_u64().unwrap() as u32);
    let float = |value: &Json| Value::F32(value.as_f64().unwrap() as f32);
    let theta = config.get("rope_theta");
    let theta = theta.unwrap_or_else(|| &config["rope_parameters"]["rope_theta"]);
    let whole = |name: &str| config[name].as_u64();
    let head_dim = whole("head_dim")
        .unwrap_or_else(|| whole("hidden_size").unwrap() / whole("num_attention_heads").unwrap());
    let of = |key: &str, value| (format!("{architecture}.{key}"), value);
    vec![
        (
            "general.architecture".into(),
            Value::String(architecture.into()),
        ),
        of("block_count", number("num_hidden_layers")),
        of("embedding_length", number("hidden_size")),
        of("feed_forward_length", number("intermediate_size")),
        of("context_length", number("max_position_embeddings")),
        of("attention.head_count", number("num_attention_heads")),
        of("attention.head_count_kv", number("num_key_value_heads")),
        of("attention.key_length", Value::U32(head_dim as u32)),
        of(
            "attention.layer_norm_rms_epsilon",
            float(&config["rms_norm_eps"]),
        ),
        of("rope.freq_base", float(theta)),
        ("tokenizer.ggml.model".into(), Value::String("gpt2".into())),
        ("tokenizer.ggml.pre".into(), Value::String("gpt-2".into())),
        ("tokenizer.ggml.tokens".into(), strings(tokens)),
        (
            "tokenizer.ggml.merges".into(),
            strings(merges.iter().map(|m| m.to_string())),
        ),
        ("tokenizer.ggml.eos_token_id".into(), number("eos_token_id")),
    ]
}

/// Interleaves the two halves of every head, as llama.cpp's converter does for llama.
fn permute(w: &Tensor, heads: usize) -> Tensor {
    let (rows, columns) = w.dims2().unwrap();
    let w = w.reshape((heads, 2, rows / heads / 2, columns)).unwrap();
    let w = w.transpose(1, 2).unwrap().contiguous().unwrap();
    w.reshape((rows, columns)).unwrap()
}

/// The tensors of the tiny model `model` as llama.cpp's converter writes them, for `architecture`.
pub fn tensors(model: &str, architecture: &str) -> Vec<(String, QTensor)> {
    // In the same order every time: a test moves a tensor to where the first one lies.
    let mut weights = BTreeMap::new();
    for entry in std::fs::read_dir(golden(model)).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|e| e == "safetensors") {
            weights.extend(candle_core::safetensors::load(file, &Device::Cpu).unwrap());
        }
    }
    let interleaved = |w: &Tensor, heads| match (architecture, w.rank()) {
        ("llama" | "smollm3", 2) => permute(w, heads),
        _ => w.clone(),
    };
    let mut tensors: Vec<(String, QTensor)> = Vec::new();
    for (name, tensor) in &weights {
        let (name, kind) = name.rsplit_once('.').unwrap();
        let (gguf, tensor) = match name.trim_start_matches("model.") {
            "embed_tokens" => ("token_embd".to_string(), tensor.clone()),
            "norm" => ("output_norm".to_string(), tensor.clone()),
            "lm_head" => ("output".to_string(), tensor.clone()),
            block => {
                let mut parts = block.split('.').skip(1);
                let layer = parts.next().unwrap();
                let (part, tensor) = match parts.last().unwrap() {
                    "q_proj" => ("attn_q", interleaved(tensor, 4)),
                    "k_proj" => ("attn_k", interleaved(tensor, 2)),
                    "v_proj" => ("attn_v", tensor.clone()),
                    "o_proj" => ("attn_output", tensor.clone()),
                    "q_norm" => ("attn_q_norm", tensor.clone()),
                    "k_norm" => ("attn_k_norm", tensor.clone()),
                    "gate_proj" => ("ffn_gate", tensor.clone()),
                    "up_proj" => ("ffn_up", tensor.clone()),
                    "down_proj" => ("ffn_down", tensor.clone()),
                    "input_layernorm" => ("attn_norm", tensor.clone()),
                    "post_attention_layernorm" => ("ffn_norm", tensor.clone()),
                    other => panic!("{other}"),
                };
                (format!("blk.{layer}.{part}"), tensor)
            }
        };
        let tensor = tensor.to_dtype(DType::F32).unwrap();
        let tensor = QTensor::quantize(&tensor, GgmlDType::F32).unwrap();
        tensors.push((format!("{gguf}.{kind}"), tensor));
    }
    tensors
}

/// Writes the tiny model `model` as llama.cpp's converter would, for `architecture`.
pub fn write(path: &Path, model: &str, architecture: &str, merges: &[&str]) {
    let metadata = metadata(model, architecture, merges);
    write_file(path, &metadata, &tensors(model, architecture));
}

/// [`write`] with its matrices in blocks of `kind`, where their rows are whole blocks of 32.
pub fn write_quantized(path: &Path, model: &str, architecture: &str, kind: GgmlDType) {
    let mut tensors = tensors(model, architecture);
    for (_, tensor) in &mut tensors {
        if tensor.shape().rank() == 2 && tensor.shape().dims()[1] % 32 == 0 {
            let numbers = tensor.dequantize(&Device::Cpu).unwrap();
            *tensor = QTensor::quantize(&numbers, kind).unwrap();
        }
    }
    write_file(path, &metadata(model, architecture, &[]), &tensors);
}

pub fn write_file(path: &Path, metadata: &[(String, Value)], tensors: &[(String, QTensor)]) {
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let mut file = std::fs::File::create(path).unwrap();
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
}
