//! What a run needs, computed from shapes. Each count names the tensors it stands for; the
//! allocator's slack and code are not in it.

use crate::adapters::config::AdapterConfig;
use crate::model::config::Config;
use crate::model::decoder::{projection_shape, tensors};
use crate::model::head;
use crate::model::linear::Site;

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

/// Bytes of keys and values of `tokens` cached tokens, with `size` bytes an activation.
pub fn cache(config: &Config, tokens: usize, size: usize) -> usize {
    2 * config.num_hidden_layers * config.heads().kv_width() * tokens * size
}

/// Bytes beside the weights while training on batches of `tokens` tokens: the adapter with its
/// gradient and moments, what the forward pass keeps, the head's chunk.
pub fn training(config: &Config, adapter: &AdapterConfig, tokens: usize, size: usize) -> usize {
    let heads = config.heads();
    let (h, q, kv, mlp) = (
        config.hidden_size,
        heads.q_width(),
        heads.kv_width(),
        config.intermediate_size,
    );
    // x and middle, q and the attention's output, k and v, gate and up (block::Saved).
    let mut block = 2 * h + 2 * q + 2 * kv + 2 * mlp + heads.query;
    if config.qk_norm {
        block += q + kv;
    }
    let kept = |site: Site| {
        let [out, _] = projection_shape(config, site.projection);
        adapter.rank_of(site) + if adapter.dora { out } else { 0 }
    };
    let deltas: usize = sites(config, adapter).map(kept).sum();
    let tape = (config.num_hidden_layers * block + deltas) * tokens * size;
    // The widest moment of a block's backward: act, its gradient, those of gate and up.
    let backward = (4 * mlp + 4 * h) * tokens * size;
    let chunk = head::CHUNK.min(tokens) * (config.vocab_size + h) * F32;
    let state = 4 * adapter_parameters(config, adapter) * F32;
    state + tape + backward.max(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::Family;

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
            rope_theta: 1e5,
            max_position_embeddings: 8192,
            qk_norm: false,
            qkv_bias: false,
            tie_word_embeddings: true,
            eos_token_ids: vec![2],
        };
        // As transformers' num_parameters() and PEFT's get_nb_trainable_parameters() say.
        assert_eq!(parameters(&config), 134_515_008);
        let lora = AdapterConfig::new(8, 16.0);
        assert_eq!(adapter_parameters(&config, &lora), 2_442_240);
        assert_eq!(cache(&config, 10, 4), 10 * 30 * 2 * 192 * 4);
        // Measured at 736 tokens, DoRA keeps about 0.5 GB more than LoRA (README, batch 8).
        let dora = AdapterConfig {
            dora: true,
            ..AdapterConfig::new(8, 16.0)
        };
        let more = training(&config, &dora, 736, 4) - training(&config, &lora, 736, 4);
        assert!((400_000_000..600_000_000).contains(&more), "{more}");
    }
}
