//! A decoder of a few kilobytes: mutations of so small a file are quick to run and seldom miss its
//! header.

use candle_core::{Device, Tensor};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

pub const VOCAB: [&str; 8] = ["a", "b", "Ġ", "Ċ", "ab", "ba", "x", "<|im_end|>"];
pub const EOS: u32 = 7;
const HEADS: usize = 2;
const HEAD_DIM: usize = 2;
const MLP: usize = 2;

/// Tensors of one layer and model by their name in transformers and in GGUF, with their shape.
pub fn shapes(hidden: usize, qwen3: bool) -> Vec<(&'static str, &'static str, Vec<usize>)> {
    let (q, kv) = (HEADS * HEAD_DIM, HEAD_DIM);
    let mut shapes = vec![
        ("embed_tokens", "token_embd", vec![VOCAB.len(), hidden]),
        ("norm", "output_norm", vec![hidden]),
        ("layers.0.input_layernorm", "blk.0.attn_norm", vec![hidden]),
        (
            "layers.0.post_attention_layernorm",
            "blk.0.ffn_norm",
            vec![hidden],
        ),
        ("layers.0.self_attn.q_proj", "blk.0.attn_q", vec![q, hidden]),
        (
            "layers.0.self_attn.k_proj",
            "blk.0.attn_k",
            vec![kv, hidden],
        ),
        (
            "layers.0.self_attn.v_proj",
            "blk.0.attn_v",
            vec![kv, hidden],
        ),
        (
            "layers.0.self_attn.o_proj",
            "blk.0.attn_output",
            vec![hidden, q],
        ),
        (
            "layers.0.mlp.gate_proj",
            "blk.0.ffn_gate",
            vec![MLP, hidden],
        ),
        ("layers.0.mlp.up_proj", "blk.0.ffn_up", vec![MLP, hidden]),
        (
            "layers.0.mlp.down_proj",
            "blk.0.ffn_down",
            vec![hidden, MLP],
        ),
    ];
    if qwen3 {
        shapes.push((
            "layers.0.self_attn.q_norm",
            "blk.0.attn_q_norm",
            vec![HEAD_DIM],
        ));
        shapes.push((
            "layers.0.self_attn.k_norm",
            "blk.0.attn_k_norm",
            vec![HEAD_DIM],
        ));
    }
    shapes
}

/// Small numbers that differ.
pub fn tensor(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>() as u32;
    let values: Vec<f32> = (0..count)
        .map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// `config.json`.
pub fn config(hidden: usize, family: &str) -> Value {
    json!({
        "model_type": family, "vocab_size": VOCAB.len(), "hidden_size": hidden,
        "intermediate_size": MLP, "num_hidden_layers": 1, "num_attention_heads": HEADS,
        "num_key_value_heads": 1, "head_dim": HEAD_DIM, "rms_norm_eps": 1e-5, "rope_theta": 1e4,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}, "rope_scaling": null,
        "max_position_embeddings": 64, "tie_word_embeddings": true, "eos_token_id": EOS,
        "hidden_act": "silu", "attention_bias": false, "use_sliding_window": false,
    })
}

/// `tokenizer.json`.
pub fn tokenizer() -> Value {
    let ids = VOCAB
        .iter()
        .enumerate()
        .map(|(i, t)| (t.to_string(), i.into()));
    let vocab: serde_json::Map<String, Value> = ids.take(EOS as usize).collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": {"type": "NFC"},
        "added_tokens": [{"id": EOS, "content": VOCAB[EOS as usize], "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
        "pre_tokenizer": byte_level, "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocab, "merges": ["a b", ["b", "a"]]},
    })
}

/// The bytes of `model.safetensors`, of the tensors whose place in [`shapes`] `wanted` accepts.
pub fn weights(hidden: usize, qwen3: bool, wanted: impl Fn(usize) -> bool) -> Vec<u8> {
    let shapes = shapes(hidden, qwen3).into_iter().enumerate();
    let tensors = shapes.filter(|(i, _)| wanted(*i));
    let tensors =
        tensors.map(|(_, (name, _, shape))| (format!("model.{name}.weight"), tensor(&shape)));
    safetensors(tensors.collect())
}

/// A safetensors file.
pub fn safetensors(tensors: HashMap<String, Tensor>) -> Vec<u8> {
    safetensors::serialize(&tensors, None).unwrap()
}

/// `adapter_config.json` of rank 1.
pub fn adapter_config(dora: bool) -> Value {
    json!({
        "peft_type": "LORA", "base_model_name_or_path": "x", "r": 1, "lora_alpha": 2, "use_dora": dora,
        "target_modules": ["q_proj", "model.layers.0.mlp.down_proj"], "use_rslora": false, "bias": "none",
        "modules_to_save": null, "lora_dropout": 0.5,
        "rank_pattern": {"down_proj": 1}, "alpha_pattern": {r"layers\.\d\.self.*": 3},
        "init_lora_weights": true, "fan_in_fan_out": false,
    })
}

/// The bytes of `adapter_model.safetensors` for it.
pub fn adapter(hidden: usize, dora: bool) -> Vec<u8> {
    let mut tensors = HashMap::new();
    for (site, out, width) in [
        ("self_attn.q_proj", HEADS * HEAD_DIM, hidden),
        ("mlp.down_proj", hidden, MLP),
    ] {
        let mut add = |part: &str, shape: &[usize]| {
            tensors.insert(
                format!("base_model.model.model.layers.0.{site}.{part}"),
                tensor(shape),
            );
        };
        add("lora_A.weight", &[1, width]);
        add("lora_B.weight", &[out, 1]);
        if dora {
            add("lora_magnitude_vector", &[out]);
        }
    }
    safetensors(tensors)
}

/// Writes a model folder.
pub fn write(folder: &Path, hidden: usize, family: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let file = |name: &str, bytes: Vec<u8>| std::fs::write(folder.join(name), bytes).unwrap();
    file("config.json", config(hidden, family).to_string().into());
    file("tokenizer.json", tokenizer().to_string().into());
    file(
        "model.safetensors",
        weights(hidden, family == "qwen3", |_| true),
    );
}
