//! What a run needs, computed from shapes. Each count names the tensors it stands for; the
//! allocator's slack and code are not in it.

use crate::adapters::config::AdapterConfig;
use crate::model::config::Config;
use crate::model::decoder::{projection_shape, tensors};
use crate::model::head;
use crate::model::linear::{Projection, Site};
use crate::model::memory::{block, cached, passing};
use crate::model::ops::Path;

/// Bytes of an f32.
const F32: usize = 4;

/// Number of weights; a tied head counts once.
pub fn parameters(config: &Config) -> usize {
    let sizes = tensors(config).into_iter();
    sizes
        .map(|(_, shape)| shape.iter().product::<usize>())
        .sum()
}

/// Number of adapter parameters.
pub fn adapter_parameters(config: &Config, adapter: &AdapterConfig) -> usize {
    let per_site = |site: Site| {
        let [out, width] = projection_shape(config, site.projection);
        let magnitude = if adapter.dora { out } else { 0 };
        adapter.rank_of(site) * (out + width) + magnitude
    };
    sites(config, adapter).map(per_site).sum()
}

fn sites(config: &Config, adapter: &AdapterConfig) -> impl Iterator<Item = Site> {
    (0..config.num_hidden_layers).flat_map(move |layer| {
        let targets = adapter.targets.iter();
        targets.map(move |&projection| Site { layer, projection })
    })
}

/// How a pass computes.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Rows of the batch.
    pub rows: usize,
    /// Tokens of a row.
    pub length: usize,
    /// Bytes of an activation.
    pub size: usize,
    pub path: Path,
    /// Whether backward computes activations again.
    pub recompute: bool,
}

impl Pass {
    fn tokens(&self) -> usize {
        self.rows * self.length
    }

    /// What attention leaves of a block: the portable path keeps the probabilities.
    fn softmax(&self, config: &Config) -> usize {
        let each = match self.path {
            Path::Fused => 1,
            Path::Portable => self.length,
        };
        self.tokens() * config.num_attention_heads * each * F32
    }
}

/// Bytes beside the weights while answering prompts together: keys and values, and one block's
/// activations.
pub fn generation(config: &Config, pass: Pass) -> usize {
    // Scores and their exponentials stand beside the probabilities for a moment.
    (cached(config) + passing(config)) * pass.tokens() * pass.size + 3 * pass.softmax(config)
}

/// Bytes beside the weights while training: the adapter with its gradient and moments, what the
/// forward pass keeps, and the head's chunk or the widest moment of a block's backward.
pub fn training(config: &Config, adapter: &AdapterConfig, pass: Pass) -> usize {
    let kept = |site: Site| {
        let [out, _] = projection_shape(config, site.projection);
        // A·x is f32; DoRA keeps its sum too, unless the block keeps what follows from it (lora::Adapter::forward).
        let block_has = pass.path == Path::Fused
            && match site.projection {
                Projection::Gate | Projection::Up => !config.mlp_bias,
                Projection::V => !config.qkv_bias,
                Projection::Q | Projection::K => !config.qkv_bias && config.qk_norm,
                Projection::O | Projection::Down => false,
            };
        let sum = if adapter.dora && !block_has { out } else { 0 };
        (adapter.rank_of(site) + sum) * F32
    };
    let deltas: usize = sites(config, adapter).map(kept).sum();
    let layers = config.num_hidden_layers;
    let all = (layers * block(config) * pass.size + deltas) * pass.tokens()
        + layers * pass.softmax(config);
    let tape = match pass.recompute {
        true => all / layers + layers * config.hidden_size * pass.size * pass.tokens(),
        false => all,
    };
    // act, its gradient, those of gate and up; as many of the residual's width.
    let (h, mlp) = (config.hidden_size, config.intermediate_size);
    let backward = 4 * (mlp + h) * pass.tokens() * pass.size + 2 * pass.softmax(config);
    let chunk = head::CHUNK.min(pass.tokens()) * (config.vocab_size + h) * F32;
    let state = 4 * adapter_parameters(config, adapter) * F32;
    state + tape + backward.max(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::Family;
    use crate::model::rope::Rope;
    use std::collections::BTreeSet;

    #[test]
    fn counts_are_those_of_smollm2() {
        let config = Config {
            family: Family::Llama,
            vocab_size: 49152,
            hidden_size: 576,
            intermediate_size: 1536,
            num_hidden_layers: 30,
            num_attention_heads: 9,
            num_key_value_heads: 3,
            head_dim: 64,
            rms_norm_eps: 1e-5,
            rope: Rope::plain(1e5),
            without_rope: BTreeSet::new(),
            window: None,
            max_position_embeddings: 8192,
            qk_norm: false,
            qkv_bias: false,
            o_bias: false,
            mlp_bias: false,
            tie_word_embeddings: true,
            eos_token_ids: vec![2],
        };
        // As transformers' num_parameters() and PEFT's get_nb_trainable_parameters() say.
        assert_eq!(parameters(&config), 134_515_008);
        let lora = AdapterConfig::new(8, 16.0);
        assert_eq!(adapter_parameters(&config, &lora), 2_442_240);
        // Peaks in GB at 93 and 744 tokens a batch, as scripts/bench_peft.py measured them: up to a ninth of it is freed memory
        // that the process keeps.
        let dora = AdapterConfig {
            dora: true,
            ..AdapterConfig::new(8, 16.0)
        };
        for (adapter, tokens, measured) in [
            (&lora, 93, 0.72),
            (&lora, 744, 1.25),
            (&dora, 93, 0.76),
            (&dora, 744, 1.43),
        ] {
            let pass = Pass {
                rows: 1,
                length: tokens,
                size: 4,
                path: Path::Fused,
                recompute: false,
            };
            let bytes = 4 * parameters(&config) + training(&config, adapter, pass);
            let share = bytes as f64 / 1e9 / measured;
            assert!((0.89..1.0).contains(&share), "{tokens} tokens: {share}");
        }
    }
}
