//! How the next token is chosen from logits.

use anyhow::{Result, ensure};
use candle_core::Tensor;
use candle_transformers::generation::{LogitsProcessor, Sampling};

/// Sampling settings.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplerConfig {
    /// 0 is greedy.
    pub temperature: f64,
    /// Share of probability that is sampled from, most likely tokens first.
    pub top_p: f64,
    pub seed: u64,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            seed: 0,
        }
    }
}

impl SamplerConfig {
    /// Refuses values without meaning.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.temperature.is_finite() && self.temperature >= 0.0,
            "--temperature must be 0 or more"
        );
        ensure!(
            self.top_p > 0.0 && self.top_p <= 1.0,
            "--top-p must be above 0 and at most 1"
        );
        Ok(())
    }
}

/// A sampler with its own random stream, so that a row's tokens do not depend on its neighbours.
pub struct Sampler {
    config: SamplerConfig,
    random: LogitsProcessor,
}

impl Sampler {
    /// The sampler of the `index`-th row.
    pub fn new(config: &SamplerConfig, index: usize) -> Self {
        let sampling = match config.top_p < 1.0 {
            true => Sampling::TopP {
                p: config.top_p,
                temperature: config.temperature,
            },
            false => Sampling::All {
                temperature: config.temperature,
            },
        };
        // A product spreads neighbouring seeds and rows over distinct streams.
        let stream = (index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self {
            config: config.clone(),
            random: LogitsProcessor::from_sampling(config.seed ^ stream, sampling),
        }
    }

    /// Chooses from `logits` `[vocab]`; `None` where they are no numbers to choose by.
    pub fn sample(&mut self, logits: &[f32]) -> Result<Option<u32>> {
        let best = argmax(logits);
        if logits.iter().any(|l| l.is_nan()) || !logits[best].is_finite() {
            return Ok(None);
        }
        // Below this, dividing by the temperature overflows.
        if self.config.temperature < 1e-7 {
            return Ok(Some(best as u32));
        }
        let logits = Tensor::new(logits, &candle_core::Device::Cpu)?;
        Ok(Some(self.random.sample(&logits)?))
    }
}

/// The first of the largest values.
fn argmax(logits: &[f32]) -> usize {
    let mut best = 0;
    for (i, l) in logits.iter().enumerate() {
        if *l > logits[best] {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_first_maximum() {
        let mut s = Sampler::new(&SamplerConfig::default(), 0);
        assert_eq!(s.sample(&[0.0, 2.0, 2.0, -1.0]).unwrap(), Some(1));
    }

    #[test]
    fn nothing_is_chosen_by_what_is_no_number() {
        for temperature in [0.0, 0.7] {
            let config = SamplerConfig {
                temperature,
                ..Default::default()
            };
            let mut s = Sampler::new(&config, 0);
            let (nan, inf) = (f32::NAN, f32::INFINITY);
            for logits in [[0.0, nan], [nan, 0.0], [inf, 0.0], [-inf, -inf]] {
                assert_eq!(s.sample(&logits).unwrap(), None, "{logits:?}");
            }
            assert_eq!(s.sample(&[-inf, 0.0]).unwrap(), Some(1));
        }
    }

    #[test]
    fn streams_repeat_by_seed_and_differ_by_row() {
        let config = SamplerConfig {
            temperature: 1.0,
            ..Default::default()
        };
        let draw = |row| {
            let mut s = Sampler::new(&config, row);
            (0..32)
                .map(|_| s.sample(&[0.0; 64]).unwrap().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
