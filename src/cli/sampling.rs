//! The flags of commands that draw samples beside a greedy answer.

use super::UsageError;
use crate::generation::sampler::SamplerConfig;
use anyhow::Result;
use serde::Serialize;

/// The flags.
#[derive(Debug, clap::Args, Serialize)]
pub struct SamplingArgs {
    /// Samples a row, beside its greedy answer.
    #[arg(long, value_name = "K", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=1000))]
    samples: u64,
    /// Temperature of the samples.
    #[arg(long, default_value_t = 1.0)]
    temperature: f64,
    /// Sample from the smallest set of tokens with this probability.
    #[arg(long, default_value_t = SamplerConfig::default().top_p)]
    top_p: f64,
}

impl SamplingArgs {
    /// How the samples are drawn, the greedy answer as the first of them. Errors where they would all be the same.
    pub fn sampler(&self, seed: u64) -> Result<SamplerConfig> {
        let sampler = SamplerConfig {
            temperature: self.temperature,
            top_p: self.top_p,
            seed,
            samples: self.samples as usize,
            greedy_first: true,
            logprobs: Some(0),
            ..SamplerConfig::default()
        };
        let checked = SamplerConfig {
            samples: sampler.samples.max(2),
            ..sampler.clone()
        };
        checked.check().map_err(UsageError::of)?;
        Ok(SamplerConfig {
            samples: sampler.samples + 1,
            ..sampler
        })
    }
}
