//! What is told of a step's tokens, by the names that TRL uses.

use crate::training::lessons::Metrics;

/// The mean divergence from the reference, nats a token.
pub const KL: &str = "kl";
/// The mean of −log p of the tokens that were drawn: at a temperature of 1, the entropy without bias.
pub const ENTROPY: &str = "entropy";

/// Sums over tokens.
#[derive(Default)]
pub struct Tally {
    tokens: f64,
    low: f64,
    high: f64,
    kl: f64,
    surprise: f64,
    /// |log p of training − log p of the sampler|, and the tokens that were compared.
    off: f64,
    compared: f64,
}

impl Tally {
    /// A token: whether its ratio was cut below or above, its divergence and its log p.
    pub fn add(&mut self, low: bool, high: bool, kl: f64, log_p: f64) {
        self.tokens += 1.0;
        self.low += f64::from(u8::from(low));
        self.high += f64::from(u8::from(high));
        self.kl += kl;
        self.surprise -= log_p;
    }

    /// An answer's tokens as training and as the sampler found them.
    pub fn compare(&mut self, trained: &[f32], sampled: &[f32]) {
        let off = trained.iter().zip(sampled);
        self.off += off.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>();
        self.compared += trained.len().min(sampled.len()) as f64;
    }

    /// Means over the tokens.
    pub fn metrics(&self) -> Metrics {
        let mut all = Metrics::new();
        if self.tokens > 0.0 {
            let mean = |sum: f64| sum / self.tokens;
            all.extend([
                ("clip_ratio/low_mean", mean(self.low)),
                ("clip_ratio/high_mean", mean(self.high)),
                ("clip_ratio/region_mean", mean(self.low + self.high)),
                (KL, mean(self.kl)),
                (ENTROPY, mean(self.surprise)),
            ]);
        }
        if self.compared > 0.0 {
            all.insert("sampler_difference", self.off / self.compared);
        }
        all
    }
}
