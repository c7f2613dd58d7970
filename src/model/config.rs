//! The shape of a decoder, from a `config.json` or GGUF metadata.

use super::attention::Heads;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::path::Path;

/// Decoder families. Their differences are fields of [`Config`] and tensor names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Llama,
    Qwen2,
    Qwen3,
}

impl Family {
    /// The family that `config.json` or GGUF metadata calls `name`.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "llama" => Ok(Self::Llama),
            "qwen2" => Ok(Self::Qwen2),
            "qwen3" => Ok(Self::Qwen3),
            other => {
                bail!("architecture {other:?} is not supported (supported: llama, qwen2, qwen3)")
            }
        }
    }

    /// The name in `config.json` and GGUF metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }
}

/// Shape and constants of a decoder.
#[derive(Debug, Clone)]
pub struct Config {
    pub family: Family,
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub num_key_value_heads: usize,
    /// Width of one head; not always `hidden_size / num_attention_heads`.
    pub head_dim: usize,
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Longest sequence the model was made for.
    pub max_position_embeddings: usize,
    /// Queries and keys are normed head by head (Qwen3).
    pub qk_norm: bool,
    /// The projections of queries, keys and values have a bias (Qwen2).
    pub qkv_bias: bool,
    /// The head is the embedding table.
    pub tie_word_embeddings: bool,
    /// Tokens that end a sequence.
    pub eos_token_ids: Vec<u32>,
}

/// `config.json` as transformers writes it, the fields that matter here.
#[derive(Deserialize)]
struct Raw {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_scaling: Option<serde_json::Value>,
    rope_parameters: Option<serde_json::Value>,
    max_position_embeddings: usize,
    #[serde(default)]
    tie_word_embeddings: bool,
    eos_token_id: Option<TokenIds>,
    hidden_act: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    quantization_config: Option<serde_json::Value>,
}

/// `eos_token_id` is one id or a list.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum TokenIds {
    One(u32),
    Many(Vec<u32>),
}

impl TokenIds {
    /// As a list.
    pub fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}

impl Config {
    /// Reads `config.json`. A setting that would change the arithmetic and is not supported is
    /// refused by name.
    pub fn from_json(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Kind {
            model_type: String,
        }
        let kind: Kind = serde_json::from_str(text).context("not a model config")?;
        let family = Family::from_name(&kind.model_type)?;
        let raw: Raw = serde_json::from_str(text).context("not a model config")?;
        for (set, name) in [
            (raw.attention_bias, "attention_bias"),
            (raw.mlp_bias, "mlp_bias"),
            (raw.use_sliding_window, "use_sliding_window"),
        ] {
            ensure!(!set, "{name} is not supported");
        }
        let act = raw.hidden_act.as_deref().unwrap_or("silu");
        ensure!(
            act == "silu",
            "hidden_act {act:?} is not supported (supported: silu)"
        );
        let is_set = |v: &&serde_json::Value| !v.is_null();
        ensure!(
            raw.quantization_config.as_ref().filter(is_set).is_none(),
            "quantization_config is not supported (use the unquantized weights or a GGUF file)"
        );
        let parameters = raw.rope_parameters.as_ref().filter(is_set);
        for settings in parameters
            .into_iter()
            .chain(raw.rope_scaling.as_ref().filter(is_set))
        {
            check_rope(settings)?;
        }
        let theta = parameters.and_then(|p| p.get("rope_theta")?.as_f64());
        let config = Self {
            family,
            vocab_size: raw.vocab_size,
            hidden_size: raw.hidden_size,
            intermediate_size: raw.intermediate_size,
            num_hidden_layers: raw.num_hidden_layers,
            num_attention_heads: raw.num_attention_heads,
            num_key_value_heads: raw.num_key_value_heads.unwrap_or(raw.num_attention_heads),
            head_dim: raw
                .head_dim
                .unwrap_or(raw.hidden_size / raw.num_attention_heads.max(1)),
            rms_norm_eps: raw.rms_norm_eps,
            rope_theta: theta.or(raw.rope_theta).unwrap_or(10_000.0),
            max_position_embeddings: raw.max_position_embeddings,
            qk_norm: family == Family::Qwen3,
            qkv_bias: family == Family::Qwen2,
            tie_word_embeddings: raw.tie_word_embeddings,
            eos_token_ids: raw.eos_token_id.map(TokenIds::into_vec).unwrap_or_default(),
        };
        config.check()?;
        Ok(config)
    }

    /// Refuses shapes that no model has, so that later arithmetic cannot overflow or divide by zero.
    pub fn check(&self) -> Result<()> {
        for (name, value, most) in [
            ("vocab_size", self.vocab_size, 1 << 24),
            ("hidden_size", self.hidden_size, 1 << 17),
            ("intermediate_size", self.intermediate_size, 1 << 19),
            ("num_hidden_layers", self.num_hidden_layers, 1 << 10),
            ("num_attention_heads", self.num_attention_heads, 1 << 10),
            ("num_key_value_heads", self.num_key_value_heads, 1 << 10),
            ("head_dim", self.head_dim, 1 << 10),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                1 << 24,
            ),
        ] {
            ensure!(
                (1..=most).contains(&value),
                "{name} is {value}, expected 1 to {most}"
            );
        }
        for (name, value) in [
            ("rms_norm_eps", self.rms_norm_eps),
            ("rope_theta", self.rope_theta),
        ] {
            ensure!(
                value.is_finite() && value > 0.0,
                "{name} is {value}, expected a positive number"
            );
        }
        ensure!(
            self.head_dim.is_multiple_of(2),
            "head_dim {} is odd",
            self.head_dim
        );
        ensure!(
            self.num_attention_heads
                .is_multiple_of(self.num_key_value_heads),
            "num_attention_heads {} is not a multiple of num_key_value_heads {}",
            self.num_attention_heads,
            self.num_key_value_heads
        );
        Ok(())
    }

    /// Head counts and width.
    pub fn heads(&self) -> Heads {
        Heads {
            query: self.num_attention_heads,
            key: self.num_key_value_heads,
            dim: self.head_dim,
        }
    }
}

/// Refuses rotary settings other than a plain theta.
fn check_rope(settings: &serde_json::Value) -> Result<()> {
    let kind = settings.get("rope_type").or_else(|| settings.get("type"));
    let plain = match kind.map(|k| k.as_str().unwrap_or("of unknown type")) {
        None => settings.get("factor").is_none(),
        Some("default") => true,
        Some(other) => bail!("rope scaling {other:?} is not supported"),
    };
    ensure!(plain, "rope scaling of unknown type is not supported");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA: &str = r#"{"model_type":"llama","vocab_size":9,"hidden_size":8,"intermediate_size":4,
        "num_hidden_layers":1,"num_attention_heads":2,"rms_norm_eps":1e-5,"max_position_embeddings":64"#;

    fn parse(extra: &str) -> Result<Config> {
        Config::parse(&format!("{LLAMA}{extra}}}"))
    }

    #[test]
    fn reads_both_spellings_of_theta() {
        assert_eq!(parse(r#","rope_theta":5.0"#).unwrap().rope_theta, 5.0);
        let nested = parse(r#","rope_parameters":{"rope_type":"default","rope_theta":7.0}"#);
        assert_eq!(nested.unwrap().rope_theta, 7.0);
    }

    #[test]
    fn refuses_by_name_what_would_change_the_arithmetic() {
        for (extra, name) in [
            (r#","rope_scaling":{"rope_type":"llama3"}"#, "llama3"),
            (r#","attention_bias":true"#, "attention_bias"),
            (r#","hidden_act":"gelu""#, "gelu"),
            (r#","head_dim":0"#, "head_dim"),
            (r#","rope_theta":-1.0"#, "rope_theta"),
            (
                r#","quantization_config":{"bits":4}"#,
                "quantization_config",
            ),
            (
                r#","rope_parameters":{"rope_type":"default"},"rope_scaling":{"type":"yarn"}"#,
                "yarn",
            ),
        ] {
            let error = format!("{:#}", parse(extra).unwrap_err());
            assert!(error.contains(name), "{error}");
        }
        let other = Config::parse(r#"{"model_type":"mamba"}"#).unwrap_err();
        assert!(format!("{other:#}").contains("mamba"));
    }
}
