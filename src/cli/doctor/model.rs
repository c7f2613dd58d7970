//! A tiny random decoder with an adapter: forward, backward, one optimizer step, ten decoded tokens.

use super::Check;
use super::side::Side;
use crate::adapters::config::AdapterConfig;
use crate::adapters::lora::Adapter;
use crate::model::batch::Batch;
use crate::model::config::{Config, Family, Window};
use crate::model::decoder::{self, Decoder, Weights};
use crate::model::kv::{BLOCK, KvCache};
use crate::model::linear::Gradients;
use crate::model::rope::Rope;
use crate::model::weight::Held;
use crate::training::optim::Optimizer;
use crate::training::packing::pack;
use crate::training::sft::Example;
use crate::training::trainer::loss_and_gradient;
use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeSet;

/// Tokens decoded.
pub const TOKENS: usize = 10;

const PROMPT: [u32; 7] = [3, 141, 59, 26, 53, 58, 97];

pub const CHECKS: [Check; 5] = [
    Check {
        name: "decoder: logits",
        compute: |s| {
            let decoder = decoder(s)?;
            let mut batch = Batch::default();
            batch.push_sequence(&PROMPT);
            batch.push_sequence(&PROMPT[2..]);
            let adapter = adapter(&decoder, s)?;
            let hidden = decoder.forward(&batch, None, Some(&adapter))?;
            Ok(vec![decoder.logits(&hidden)?])
        },
    },
    Check {
        name: "decoder: loss",
        compute: |s| {
            let (_, _, loss, _) = step(s)?;
            Ok(vec![Tensor::new(loss as f32, &s.device)?])
        },
    },
    Check {
        name: "decoder: adapter gradients, worst",
        compute: |s| Ok(step(s)?.3.0.into_values().collect()),
    },
    Check {
        name: "decoder: one optimizer step",
        compute: optimizer_step,
    },
    Check {
        name: "decoder: cached logits",
        compute: cached_logits,
    },
];

/// How many of the first greedy tokens `side` and the reference have in common.
pub fn same_tokens(side: &Side) -> Result<usize> {
    let (ours, expected) = (greedy(side)?, greedy(&Side::reference())?);
    let same = ours.iter().zip(&expected).take_while(|(a, b)| a == b);
    Ok(same.count())
}

/// Loss and gradients of two rows.
fn step(s: &Side) -> Result<(Decoder, Adapter, f64, Gradients)> {
    let decoder = decoder(s)?;
    let adapter = adapter(&decoder, s)?;
    let rows = [
        Example::new(&PROMPT, &[9, 8, 7]),
        Example::new(&PROMPT[3..], &[100, 4]),
    ];
    let mut gradients = Gradients::default();
    let rows = pack(&rows, true);
    let loss = loss_and_gradient(&decoder, &adapter, &rows, 5, &mut gradients)?;
    Ok((decoder, adapter, loss, gradients))
}

/// How far every parameter moves, by gradients that are the same on every side: Adam makes a step of
/// full length of the smallest gradient, and of its rounding.
fn optimizer_step(s: &Side) -> Result<Vec<Tensor>> {
    let decoder = decoder(s)?;
    let mut adapter = adapter(&decoder, s)?;
    let before: Vec<(String, Tensor)> = parameters(&adapter);
    let mut gradients = Gradients::default();
    for (i, (name, p)) in before.iter().enumerate() {
        gradients.add(name.clone(), s.random_f32(p.dims(), 100 + i as u64)?)?;
    }
    Optimizer::new(decoder.path, 0.0).step(&mut adapter, &gradients, 1e-2, 1.0)?;
    let moved = parameters(&adapter).into_iter().zip(before);
    moved.map(|((_, p), (_, q))| Ok((p - q)?)).collect()
}

fn parameters(adapter: &Adapter) -> Vec<(String, Tensor)> {
    let all = adapter.parameters();
    all.map(|(name, p)| (name, p.clone())).collect()
}

/// Logits of given tokens after prompts of three lengths, the last of which is computed beside the others' tokens.
fn cached_logits(s: &Side) -> Result<Vec<Tensor>> {
    let decoder = decoder(s)?;
    let adapter = adapter(&decoder, s)?;
    let blocks = (PROMPT.len() + 2).div_ceil(BLOCK);
    let mut cache = KvCache::new(&decoder, 3 * blocks)?;
    let mut logits = Vec::new();
    for step in 0..3 {
        let mut batch = Batch::default();
        for slot in 0..3 {
            let prompt = &PROMPT[slot * 2..];
            let own: Vec<usize> = (slot * blocks..(slot + 1) * blocks).collect();
            match step - i32::from(slot == 2) {
                ..0 => continue,
                0 => batch.push_cached(prompt, &own, 0),
                1 => batch.push_cached(&[42], &own, prompt.len()),
                _ => batch.push_cached(&[7], &own, prompt.len() + 1),
            };
        }
        let hidden = decoder.forward(&batch, Some(&mut cache), Some(&adapter))?;
        logits.push(decoder.logits(&hidden)?);
    }
    Ok(logits)
}

fn greedy(s: &Side) -> Result<Vec<u32>> {
    let decoder = decoder(s)?;
    let adapter = adapter(&decoder, s)?;
    let blocks: Vec<usize> = (0..(PROMPT.len() + TOKENS).div_ceil(BLOCK)).collect();
    let mut cache = KvCache::new(&decoder, blocks.len())?;
    let (mut next, mut past, mut tokens) = (PROMPT.to_vec(), 0, Vec::new());
    for _ in 0..TOKENS {
        let mut batch = Batch::default();
        batch.push_cached(&next, &blocks, past);
        past += next.len();
        let hidden = decoder.forward(&batch, Some(&mut cache), Some(&adapter))?;
        let last = hidden.narrow(0, next.len() - 1, 1)?;
        let logits: Vec<f32> = decoder.logits(&last)?.squeeze(0)?.to_vec1()?;
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        let best = best.context("no logits")? as u32;
        tokens.push(best);
        next = vec![best];
    }
    Ok(tokens)
}

/// Norms of query and key heads, biases, a layer in a window and one without rope together, which no family has, to see all.
fn decoder(s: &Side) -> Result<Decoder> {
    let config = Config {
        family: Family::Qwen3,
        vocab_size: 160,
        hidden_size: 64,
        intermediate_size: 96,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 16,
        rms_norm_eps: 1e-6,
        rope: Rope::plain(1e4),
        without_rope: BTreeSet::from([1]),
        window: Some(Window {
            size: 5,
            layers: BTreeSet::from([0]),
        }),
        max_position_embeddings: 64,
        qk_norm: true,
        qkv_bias: true,
        o_bias: true,
        mlp_bias: true,
        tie_word_embeddings: false,
        eos_token_ids: Vec::new(),
    };
    let weights = Random { config: &config };
    let mut decoder = Decoder::new(config.clone(), &weights, Held::Numbers, s.dtype, &s.device)?;
    decoder.path = s.path;
    Ok(decoder)
}

/// DoRA with alpha ≠ rank, B ≠ 0.
fn adapter(decoder: &Decoder, s: &Side) -> Result<Adapter> {
    let config = AdapterConfig {
        dora: true,
        ..AdapterConfig::new(4, 12.0)
    };
    let mut adapter = Adapter::init(config, decoder, 0)?;
    for (i, (name, p)) in adapter.parameters_mut().enumerate() {
        if name.ends_with("lora_B") {
            *p = (s.random_f32(p.dims(), i as u64)? * 0.1)?;
        }
    }
    adapter.refresh(decoder)?;
    Ok(adapter)
}

/// Weights by name and shape, the same on every side; scaled so that activations stay near 1.
struct Random<'a> {
    config: &'a Config,
}

impl Weights for Random<'_> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let mut all = decoder::tensors(self.config).into_iter();
        all.find(|(other, _)| other == name).map(|(_, shape)| shape)
    }

    fn tensor(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let shape = self.shape(name).context("no such weight")?;
        let seed = name
            .bytes()
            .fold(0u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
        let side = Side {
            device: device.clone(),
            ..Side::reference()
        };
        let values = side.random_f32(&shape, seed)?;
        let values = match shape.as_slice() {
            [_, width] => (values * (3.0 / *width as f64).sqrt())?,
            _ => ((values * 0.2)? + 1.0)?,
        };
        Ok(values.to_dtype(dtype)?)
    }
}
