//! What several test files share: the tiny models under tests/goldens and the binary.

use candle_core::{DType, Device, Tensor};
use factory::generation::engine::Engine;
use factory::generation::sampler::SamplerConfig;
use factory::generation::sequence::{Answer, StopConfig};
use factory::model::load::Base;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

#[allow(dead_code)]
pub const MODELS: [&str; 3] = ["tiny-llama", "tiny-qwen2", "tiny-qwen3"];

pub fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens")
        .join(name)
}

#[allow(dead_code)] // not every test file reads JSON
pub fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(name)).unwrap()).unwrap()
}

#[allow(dead_code)]
pub fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[allow(dead_code)]
pub fn base(name: &str) -> Base {
    Base::load(golden(name).to_str().unwrap(), DType::F32, &Device::Cpu).unwrap()
}

/// Greedy answers to `prompts`.
#[allow(dead_code)]
pub fn greedy(base: &Base, prompts: &[Vec<u32>], max_tokens: usize, batch: usize) -> Vec<Answer> {
    let engine = Engine {
        decoder: &base.decoder,
        tokenizer: &base.tokenizer,
        delta: None,
        sampler: SamplerConfig::default(),
        stop: StopConfig {
            max_tokens,
            stop: Vec::new(),
        },
        batch,
    };
    engine.generate(prompts, |_| Ok(())).unwrap()
}

/// ‖a − b‖ / ‖b‖
#[allow(dead_code)]
pub fn distance(a: &Tensor, b: &Tensor) -> f32 {
    let norm = |t: &Tensor| {
        let squares = t.sqr().unwrap().sum_all().unwrap();
        squares.to_scalar::<f32>().unwrap().sqrt()
    };
    norm(&(a - b).unwrap()) / norm(b)
}

/// Runs the binary.
#[allow(dead_code)]
pub fn factory(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(args)
        .env("HF_HUB_OFFLINE", "1")
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap()
}
