//! The shape of a decoder. `config_json` and `gguf_config` read it.

use super::attention::Heads;
use super::linear::Projection;
use super::rope::Rope;
use anyhow::{Result, bail, ensure};
use std::collections::BTreeSet;

/// Decoder families. Their differences are fields of [`Config`] and tensor names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
    SmolLm3,
}

const FAMILIES: [Family; 5] = [
    Family::Llama,
    Family::Mistral,
    Family::Qwen2,
    Family::Qwen3,
    Family::SmolLm3,
];

impl Family {
    /// The family that `config.json` calls `name`.
    pub fn from_name(name: &str) -> Result<Self> {
        match FAMILIES.into_iter().find(|f| f.name() == name) {
            Some(family) => Ok(family),
            None => bail!(
                "architecture {name:?} is not supported (supported: {})",
                FAMILIES.map(Self::name).join(", ")
            ),
        }
    }

    /// The name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::SmolLm3 => "smollm3",
        }
    }

    /// The architecture in GGUF metadata, where Mistral's models are Llama's.
    pub fn gguf_name(self) -> &'static str {
        match self {
            Self::Mistral => "llama",
            other => other.name(),
        }
    }

    /// The family whose files have the GGUF architecture `name`.
    pub fn from_gguf_name(name: &str) -> Result<Self> {
        let family = Self::from_name(name)?;
        ensure!(
            family.gguf_name() == name,
            "architecture {name:?} is not known in GGUF files (they say {:?})",
            family.gguf_name()
        );
        Ok(family)
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
    pub rope: Rope,
    /// Layers whose queries and keys are not rotated (SmolLM3).
    pub without_rope: BTreeSet<usize>,
    pub window: Option<Window>,
    /// Longest sequence the model was made for.
    pub max_position_embeddings: usize,
    /// Queries and keys are normed head by head (Qwen3).
    pub qk_norm: bool,
    /// The projections of queries, keys and values have a bias (Qwen2).
    pub qkv_bias: bool,
    /// So has the attention's output.
    pub o_bias: bool,
    /// So have the three projections of the MLP.
    pub mlp_bias: bool,
    /// The head is the embedding table.
    pub tie_word_embeddings: bool,
    /// Tokens that end a sequence.
    pub eos_token_ids: Vec<u32>,
}

/// A sliding window: in some layers a query sees no more than the last `size` keys, its own among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub size: usize,
    pub layers: BTreeSet<usize>,
}

impl Config {
    /// Refuses shapes that no model has, so that later arithmetic cannot overflow or divide by zero.
    pub fn check(&self) -> Result<()> {
        for (name, value, most) in [
            ("vocab_size", self.vocab_size, 1 << 24),
            ("hidden_size", self.hidden_size, 1 << 17),
            ("intermediate_size", self.intermediate_size, 1 << 19),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", self.num_attention_heads, 1 << 10),
            ("num_key_value_heads", self.num_key_value_heads, 1 << 10),
            ("head_dim", self.head_dim, 1 << 10),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                1 << 24,
            ),
            (
                "sliding_window",
                self.window.as_ref().map_or(1, |w| w.size),
                1 << 24,
            ),
        ] {
            ensure!(
                (1..=most).contains(&value),
                "{name} is {value}, expected 1 to {most}"
            );
        }
        ensure!(
            self.rms_norm_eps.is_finite() && self.rms_norm_eps > 0.0,
            "rms_norm_eps is {}, expected a positive number",
            self.rms_norm_eps
        );
        self.rope.check()?;
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

    /// Whether a projection has a bias.
    pub fn biased(&self, projection: Projection) -> bool {
        match projection {
            Projection::Q | Projection::K | Projection::V => self.qkv_bias,
            Projection::O => self.o_bias,
            Projection::Gate | Projection::Up | Projection::Down => self.mlp_bias,
        }
    }
}

/// Most layers of a model.
pub(super) const MAX_LAYERS: usize = 1 << 10;
