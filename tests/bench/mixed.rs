//! What it costs that the rows of a batch have different adapters: tokens a second with 32 rows over 1, 2, 8 and 32 adapters,
//! interleaved, medians.
//!     FACTORY_BASE="$(scripts/fetch_base.sh)" cargo bench --bench mixed

mod median;

use candle_core::{DType, Device, Tensor};
use factory::adapters::bank::{Bank, Member, Mixture};
use factory::adapters::config::AdapterConfig;
use factory::adapters::lora::Adapter;
use factory::generation::engine::{Adapters, Engine};
use factory::generation::sampler::SamplerConfig;
use factory::generation::stop::StopConfig;
use factory::model::load::Base;
use median::median;
use std::time::Instant;

const ROWS: usize = 32;
const TOKENS: usize = 24;
const REPEATS: usize = 5;
const ADAPTERS: [usize; 4] = [1, 2, 8, 32];

fn main() {
    let Ok(path) = std::env::var("FACTORY_BASE") else {
        println!("FACTORY_BASE names no base: nothing measured");
        return;
    };
    let base = Base::load(&path, DType::F32, &Device::Cpu).unwrap();
    for dora in [false, true] {
        let bank = Bank::new((0..ROWS).map(|i| member(&base, i, dora)).collect()).unwrap();
        let mut seconds = vec![Vec::new(); ADAPTERS.len()];
        for _ in 0..REPEATS {
            for (times, adapters) in seconds.iter_mut().zip(ADAPTERS) {
                times.push(rayon::scope(|_| decode(&base, &bank, adapters)));
            }
        }
        let rates: Vec<f64> = seconds
            .into_iter()
            .map(|times| (ROWS * TOKENS) as f64 / median(times))
            .collect();
        for (rate, adapters) in rates.iter().zip(ADAPTERS) {
            let kind = if dora { "DoRA" } else { "LoRA" };
            println!(
                "{kind} rank 8, {ROWS} rows over {adapters} adapters: {rate:.0} tokens/s, {:.2} of one adapter's",
                rate / rates[0]
            );
        }
    }
}

/// A random adapter of rank 8 on every projection, B ≠ 0.
fn member(base: &Base, seed: usize, dora: bool) -> Member {
    let config = AdapterConfig {
        dora,
        ..AdapterConfig::new(8, 16.0)
    };
    let mut adapter = Adapter::init(config, &base.decoder, seed as u64).unwrap();
    for (name, p) in adapter.parameters_mut() {
        if name.ends_with("lora_B") {
            *p = Tensor::randn(0f32, 0.01, p.shape(), &Device::Cpu).unwrap();
        }
    }
    adapter.refresh(&base.decoder).unwrap();
    Member {
        name: seed.to_string(),
        adapter,
    }
}

/// Seconds for `TOKENS` tokens of every row after a prompt of its own.
fn decode(base: &Base, bank: &Bank, adapters: usize) -> f64 {
    let engine = Engine {
        decoder: &base.decoder,
        tokenizer: &base.tokenizer,
        adapters: Some(Adapters {
            bank,
            mixtures: (0..adapters).map(Mixture::only).collect(),
            choice: (0..ROWS).map(|row| row % adapters).collect(),
        }),
        // Sampling at a high temperature: no row ends early, whatever its adapter says.
        sampler: SamplerConfig {
            temperature: 10.0,
            ..SamplerConfig::default()
        },
        stop: StopConfig {
            max_tokens: TOKENS,
            stop: Vec::new(),
        },
        batch: ROWS,
        memory: usize::MAX,
    };
    let prompts: Vec<Vec<u32>> = (0..ROWS as u32)
        .map(|row| (0..40).map(|i| 100 + row * 7 + i * 13).collect())
        .collect();
    let start = Instant::now();
    let answers = engine.generate(&prompts).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let tokens: usize = answers.iter().map(|answer| answer.tokens.len()).sum();
    seconds * (ROWS * TOKENS) as f64 / tokens as f64
}
