//! The small model as a GGUF file.

use crate::model::{self, EOS, VOCAB};
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use std::io::Cursor;

/// A file of `family` whose tensors are stored as `dtype` where their rows are whole blocks of it.
pub fn file(family: &str, pre: &str, dtype: GgmlDType, hidden: usize) -> Vec<u8> {
    let metadata = metadata(family, pre, hidden);
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let tensors: Vec<(String, QTensor)> = model::shapes(hidden, family == "qwen3")
        .into_iter()
        .map(|(_, name, shape)| {
            let whole = shape.len() == 2 && shape[1].is_multiple_of(dtype.block_size());
            let stored = if whole { dtype } else { GgmlDType::F32 };
            let tensor = QTensor::quantize(&model::tensor(&shape), stored).unwrap();
            (format!("{name}.weight"), tensor)
        })
        .collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let mut bytes = Cursor::new(Vec::new());
    gguf_file::write(&mut bytes, &metadata, &tensors).unwrap();
    bytes.into_inner()
}

fn metadata(family: &str, pre: &str, hidden: usize) -> Vec<(String, Value)> {
    let config = model::config(hidden, family);
    let number = |name: &str| Value::U32(config[name].as_u64().unwrap() as u32);
    let string = |text: &str| Value::String(text.to_string());
    let strings = |all: &[&str]| Value::Array(all.iter().map(|text| string(text)).collect());
    let types = VOCAB
        .iter()
        .map(|t| Value::I32(if t.len() > 5 { 3 } else { 1 }));
    let mut all = vec![("general.architecture".to_string(), string(family))];
    for (key, value) in [
        ("block_count", number("num_hidden_layers")),
        ("embedding_length", number("hidden_size")),
        ("feed_forward_length", number("intermediate_size")),
        ("context_length", number("max_position_embeddings")),
        ("attention.head_count", number("num_attention_heads")),
        ("attention.head_count_kv", number("num_key_value_heads")),
        ("attention.key_length", number("head_dim")),
        ("attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("rope.freq_base", Value::F32(1e4)),
        ("rope.dimension_count", number("head_dim")),
        ("rope.scaling.type", string("none")),
    ] {
        all.push((format!("{family}.{key}"), value));
    }
    for (key, value) in [
        ("model", string("gpt2")),
        ("pre", string(pre)),
        ("tokens", strings(&VOCAB)),
        ("merges", strings(&["a b", "b a"])),
        ("token_type", Value::Array(types.collect())),
        ("eos_token_id", Value::U32(EOS)),
        ("bos_token_id", Value::U32(EOS)),
        ("add_bos_token", Value::Bool(true)),
    ] {
        all.push((format!("tokenizer.ggml.{key}"), value));
    }
    all.push(("general.alignment".to_string(), Value::U32(32)));
    all
}
