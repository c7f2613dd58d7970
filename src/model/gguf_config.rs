//! A decoder's shape from GGUF metadata.

use super::config::{Config, Family, MAX_LAYERS, Window};
use super::config_json::every;
use super::gguf::number;
use super::gguf_parts::Parts;
use super::rope::{Rope, Scaling, yarn_attention};
use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::gguf_file::Value;
use std::collections::BTreeSet;

/// Keys of other architectures that change the arithmetic, and the number with which they do not.
const FOREIGN: [(&str, f64); 10] = [
    ("attention.clamp_kqv", 0.0),
    ("attention.scale", 0.0),
    ("attention.temperature_scale", 0.0),
    ("attn_logit_softcapping", 0.0),
    ("embedding_scale", 1.0),
    ("expert_count", 0.0),
    ("final_logit_softcapping", 0.0),
    ("logit_scale", 1.0),
    ("residual_scale", 1.0),
    ("rope.scaling.alpha", 0.0),
];

/// SmolLM3's files do not say it: every fourth layer is not rotated.
const SMOLLM3_INTERVAL: usize = 4;

/// Every token that a file says to end a text or a turn, the end of a text first.
const ENDS: [&str; 3] = ["eos_token_id", "eot_token_id", "eom_token_id"];

/// Reads `<architecture>.*`.
pub fn config(parts: &Parts) -> Result<Config> {
    let architecture = parts
        .metadata("general.architecture")
        .and_then(|v| v.to_string().ok())
        .context("GGUF metadata general.architecture is missing")?;
    let family = Family::from_gguf_name(architecture)?;
    let keys = Keys {
        parts,
        architecture,
    };
    for (key, neutral) in FOREIGN {
        let value = keys.optional(key).filter(|value| *value != neutral);
        if let Some(value) = value {
            bail!("GGUF metadata {architecture}.{key} {value} is not supported");
        }
    }
    let causal = parts.metadata(&format!("{architecture}.attention.causal"));
    ensure!(
        !matches!(causal, Some(Value::Bool(false))),
        "GGUF metadata {architecture}.attention.causal false is not supported: this model does not write text"
    );
    let heads = keys.whole("attention.head_count")?;
    let hidden_size = keys.whole("embedding_length")?;
    let max = keys.whole("context_length")?;
    let layers = keys.whole("block_count")?;
    // Before a list of so many layers is made.
    ensure!(
        layers <= MAX_LAYERS,
        "block_count is {layers}, expected 1 to {MAX_LAYERS}"
    );
    let embedding = parts
        .shape("token_embd.weight")
        .context("tensor token_embd.weight is missing")?;
    let head_dim = keys.optional("attention.key_length");
    let head_dim = head_dim.map_or(hidden_size / heads.max(1), |n| n as usize);
    let rotary = keys.optional("rope.dimension_count");
    let rotary = rotary.map_or(head_dim, |n| n as usize);
    ensure!(
        rotary == head_dim,
        "rotary embedding of {rotary} of {head_dim} dimensions is not supported"
    );
    let key_heads = keys.optional("attention.head_count_kv");
    let end = |key| parts.metadata(&format!("tokenizer.ggml.{key}"));
    let mut ends: Vec<u32> = Vec::new();
    for id in ENDS.into_iter().filter_map(end).filter_map(number) {
        if !ends.contains(&(id as u32)) {
            ends.push(id as u32);
        }
    }
    let config = Config {
        family,
        vocab_size: embedding.first().copied().unwrap_or(0),
        hidden_size,
        intermediate_size: keys.whole("feed_forward_length")?,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        num_key_value_heads: key_heads.map_or(heads, |n| n as usize),
        head_dim,
        rms_norm_eps: keys.required("attention.layer_norm_rms_epsilon")?,
        rope: keys.rope(head_dim, max)?,
        without_rope: match family {
            Family::SmolLm3 => every(SMOLLM3_INTERVAL, layers),
            _ => BTreeSet::new(),
        },
        window: keys.window(family, layers, max)?,
        max_position_embeddings: max,
        qk_norm: family == Family::Qwen3,
        qkv_bias: family == Family::Qwen2,
        o_bias: false,
        mlp_bias: false,
        tie_word_embeddings: parts.shape("output.weight").is_none(),
        eos_token_ids: ends,
    };
    config.check()?;
    Ok(config)
}

struct Keys<'a> {
    parts: &'a Parts,
    architecture: &'a str,
}

impl Keys<'_> {
    fn optional(&self, key: &str) -> Option<f64> {
        let key = format!("{}.{key}", self.architecture);
        self.parts.metadata(&key).and_then(number)
    }

    fn required(&self, key: &str) -> Result<f64> {
        self.optional(key).with_context(|| {
            let architecture = self.architecture;
            format!("GGUF metadata {architecture}.{key} is missing or no number")
        })
    }

    fn whole(&self, key: &str) -> Result<usize> {
        Ok(self.required(key)? as usize)
    }

    /// Base and scaling, as llama.cpp reads them: a scaling without a type is linear, and a factor of 0 is none.
    fn rope(&self, head_dim: usize, max: usize) -> Result<Rope> {
        let mut rope = Rope::plain(self.optional("rope.freq_base").unwrap_or(10_000.0));
        let kind = format!("{}.rope.scaling.type", self.architecture);
        let kind = match self.parts.metadata(&kind) {
            None => "linear",
            Some(kind) => kind.to_string()?,
        };
        let of = |key: &str| self.optional(&format!("rope.scaling.{key}"));
        let factor = of("factor").or_else(|| self.optional("rope.scale_linear"));
        let factor = factor.filter(|factor| *factor != 0.0).unwrap_or(1.0);
        match kind {
            "none" => {}
            "linear" if factor == 1.0 => {}
            "linear" => rope.scaling = Scaling::Linear { factor },
            "yarn" => {
                ensure!(
                    of("yarn_ext_factor").is_none_or(|f| f == 1.0 || f < 0.0),
                    "rope scaling yarn with yarn_ext_factor {} is not supported",
                    of("yarn_ext_factor").unwrap_or(0.0)
                );
                rope.scaling = Scaling::Yarn {
                    factor,
                    original: of("original_context_length").unwrap_or(max as f64),
                    beta_fast: of("yarn_beta_fast").unwrap_or(32.0),
                    beta_slow: of("yarn_beta_slow").unwrap_or(1.0),
                    truncate: true,
                };
                let all = of("yarn_log_multiplier").unwrap_or(0.0);
                let usual = match all {
                    0.0 => yarn_attention(factor, 1.0),
                    all => yarn_attention(factor, 1.0) / yarn_attention(factor, all),
                };
                rope.attention_factor = of("yarn_attn_factor").unwrap_or(usual);
            }
            other => bail!("rope scaling {other:?} is not supported (supported: linear, yarn)"),
        }
        rope.attention_factor *= of("attn_factor").unwrap_or(1.0);
        self.divided(rope, head_dim)
    }

    /// With the divisors of a Llama 3 file.
    fn divided(&self, mut rope: Rope, head_dim: usize) -> Result<Rope> {
        for name in ["rope_factors_long.weight", "rope_factors_short.weight"] {
            ensure!(
                self.parts.shape(name).is_none(),
                "rope scaling \"longrope\" ({name}) is not supported"
            );
        }
        let Some(shape) = self.parts.shape("rope_freqs.weight") else {
            return Ok(rope);
        };
        ensure!(
            shape == [head_dim / 2],
            "rope_freqs.weight is {shape:?}, expected [{}]",
            head_dim / 2
        );
        ensure!(
            rope.scaling == Scaling::Plain,
            "rope_freqs.weight together with rope.scaling is not supported"
        );
        let by: Vec<f32> = self.parts.tensor("rope_freqs.weight")?.to_vec1()?;
        if by.iter().any(|by| *by != 1.0) {
            rope.scaling = Scaling::Divided(by);
        }
        Ok(rope)
    }

    /// Llama's files have it for all layers (Mistral); of other architectures they do not say for which.
    fn window(&self, family: Family, layers: usize, max: usize) -> Result<Option<Window>> {
        let size = self.optional("attention.sliding_window").unwrap_or(0.0) as usize;
        if size == 0 || size >= max {
            return Ok(None);
        }
        ensure!(
            family == Family::Llama && self.optional("attention.sliding_window_pattern").is_none(),
            "GGUF metadata {}.attention.sliding_window {size} is not supported",
            self.architecture
        );
        Ok(Some(Window {
            size,
            layers: (0..layers).collect(),
        }))
    }
}
