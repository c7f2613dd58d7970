//! What answers depend on, by the names of the flags that decide it: rows of another run are not to be mixed in.

use crate::adapters::identity;
use crate::data::jsonl::{self, Line};
use crate::generation::engine::Engine;
use crate::generation::sampler;
use crate::run::words::hex;
use anyhow::Result;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Of the answers of `engine` to `lines`, whose tokens are `prompts`. How many rows are answered at once is not in it: that
/// changes ties alone.
pub fn of(engine: &Engine, lines: &[Line], prompts: &[Vec<u32>]) -> Result<Map<String, Value>> {
    let rows = jsonl::to_bytes(lines)?;
    let decoder = engine.decoder;
    let mut base = format!("{:?}\n", decoder.config).into_bytes();
    base.extend(decoder.sample()?);
    let (mut adapters, mut weights, mut routes) = (Vec::new(), Value::Null, Value::Null);
    if let Some(chosen) = &engine.adapters {
        for member in chosen.bank.members() {
            adapters.push(hex(&identity::digest(&member.adapter)?));
        }
        weights = json!(chosen.mixtures.iter().map(|m| &m.0).collect::<Vec<_>>());
        routes = json!(digest(format!("{:?}", chosen.choice).as_bytes()));
    }
    let Value::Object(map) = json!({
        "factory": env!("CARGO_PKG_VERSION"),
        "--data": digest(&rows),
        "tokens of the prompts": digest(format!("{prompts:?}").as_bytes()),
        "end tokens": engine.tokenizer.ends(),
        "--base": digest(&base),
        "--weights": decoder.held.name(),
        "--dtype": format!("{:?}", decoder.dtype),
        "--device": format!("{:?}", decoder.device.location()),
        "--lora": adapters,
        "--lora-weight": weights,
        "--route": routes,
        "--max-tokens": engine.stop.max_tokens,
        "--stop": engine.stop.stop,
        "--temperature": engine.sampler.temperature,
        "--top-p": engine.sampler.top_p,
        "--seed": engine.sampler.seed,
        "--samples": engine.sampler.samples,
        "--greedy-first": engine.sampler.greedy_first,
        "log-probabilities": engine.sampler.logprobs.is_some(),
        "way of drawing": sampler::VERSION,
    }) else {
        unreachable!("the literal is an object");
    };
    Ok(map)
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
