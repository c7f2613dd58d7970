//! How the next token is chosen from logits.

use super::constraint::{Constraint, has, masked};
use crate::model::ops;
use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Sampling settings.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplerConfig {
    /// 0 is greedy.
    pub temperature: f64,
    /// Share of probability that is sampled from, most likely tokens first.
    pub top_p: f64,
    pub seed: u64,
    /// Answers that are drawn of each row: its prompt stands so often among the prompts, one behind the other.
    pub samples: usize,
    /// Whether the first of several samples is the greedy answer, whatever the temperature.
    pub greedy_first: bool,
    /// How many of the likeliest tokens are told with each token's log-probability; `None` tells none.
    pub logprobs: Option<usize>,
    /// Whether log-probabilities are those at `temperature`, which must not be 0 then. Else they are those at 1.
    pub tempered: bool,
    /// Added to the logits of these tokens.
    pub bias: Vec<(u32, f32)>,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            seed: 0,
            samples: 1,
            greedy_first: false,
            logprobs: None,
            tempered: false,
            bias: Vec::new(),
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
        ensure!(
            self.samples == 1 || self.temperature >= GREEDY,
            "--samples {} needs a --temperature above 0: without one all answers to a row are the same",
            self.samples
        );
        Ok(())
    }
}

/// Which way of drawing this is: another one draws other texts from the same seeds.
pub const VERSION: u32 = 2;

/// Below this, dividing by the temperature overflows.
const GREEDY: f64 = 1e-7;

/// A sampler with its own random stream, so that a row's tokens do not depend on its neighbours.
pub struct Sampler {
    config: SamplerConfig,
    random: StdRng,
}

/// A chosen token.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub token: u32,
    /// Difference between the two largest logits.
    pub gap: f32,
    /// If it was asked for.
    pub logprob: Option<Logprob>,
}

/// How likely a token was by the model alone: at temperature 1 unless [`SamplerConfig::tempered`] says otherwise, and before rules take tokens away.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprob {
    /// Natural logarithm of its probability.
    pub own: f32,
    /// The likeliest tokens with theirs, in that order.
    pub likeliest: Vec<(u32, f32)>,
}

impl Sampler {
    /// The sampler of the `index`-th prompt. A row's first sample draws as the row does where there are no others.
    pub fn new(config: &SamplerConfig, index: usize) -> Self {
        let (row, sample) = (index / config.samples, index % config.samples);
        let mut config = config.clone();
        if config.greedy_first && config.samples > 1 && sample == 0 {
            config.temperature = 0.0;
        }
        // Products spread neighbouring seeds, rows and samples over distinct streams.
        let stream = (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ (sample as u64).wrapping_mul(0xD1B5_4A32_D192_ED03);
        Self {
            random: StdRng::seed_from_u64(config.seed ^ stream),
            config,
        }
    }

    /// Chooses from `logits` `[vocab]`; `None` where they are no numbers to choose by.
    ///
    /// A token that `constraint` does not allow is drawn again from those that it allows: each then comes with its share of their
    /// probability, and where the first draw is allowed, nothing is masked. Where none is allowed, the constraint is taken away.
    pub fn sample(
        &mut self,
        logits: &[f32],
        constraint: &mut Option<Box<dyn Constraint>>,
    ) -> Option<Choice> {
        let said = logits;
        let biased = self.biased(logits);
        let logits = biased.as_deref().unwrap_or(logits);
        let best = ops::best(logits)?;
        let mut token = self.choose(logits, best.index);
        if let Some(rules) = constraint
            && !rules.allows(token as u32)
        {
            let again = match self.config.temperature < GREEDY {
                true => next_best(logits, best.index, rules.as_mut()),
                false => masked(logits, rules.as_mut())
                    .and_then(|left| Some(self.draw(&left, left[ops::best(&left)?.index]))),
            };
            match again {
                Some(again) => token = again,
                None => *constraint = None,
            }
        }
        let temperature = match self.config.tempered {
            true => self.config.temperature,
            false => 1.0,
        };
        let logprob = |likeliest| logprob(said, token, likeliest, temperature);
        Some(Choice {
            token: token as u32,
            gap: best.gap,
            logprob: self.config.logprobs.and_then(logprob),
        })
    }

    /// The logits with what is added to them; `None` where nothing is.
    fn biased(&self, logits: &[f32]) -> Option<Vec<f32>> {
        let bias = &self.config.bias;
        let mut biased = (!bias.is_empty()).then(|| logits.to_vec())?;
        for &(token, more) in bias {
            if let Some(logit) = biased.get_mut(token as usize) {
                *logit += more;
            }
        }
        Some(biased)
    }

    fn choose(&mut self, logits: &[f32], best: usize) -> usize {
        match self.config.temperature < GREEDY {
            true => best,
            false => self.draw(logits, logits[best]),
        }
    }

    /// A token by its probability, `largest` being the largest logit. One number is drawn a token.
    fn draw(&mut self, logits: &[f32], largest: f32) -> usize {
        let weights = ops::likelihoods(logits, largest, self.config.temperature);
        let share: f64 = self.random.random();
        if self.config.top_p >= 1.0 {
            return pick(weights.iter().copied().enumerate(), share * total(&weights));
        }
        // A token below the cutoff is not among the fewest that have this share: all such tokens together have less than the rest of
        // it. Only those above need be put in order.
        let sum = total(&weights);
        let cutoff = ((1.0 - self.config.top_p) * sum / weights.len() as f64) as f32;
        let likely = weights.into_iter().enumerate();
        let mut likely: Vec<(usize, f32)> =
            likely.filter(|(_, weight)| *weight >= cutoff).collect();
        likely.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let (mut kept, mut mass) = (0, 0.0);
        while kept < likely.len() && mass < self.config.top_p * sum {
            mass += f64::from(likely[kept].1);
            kept += 1;
        }
        pick(likely[..kept].iter().copied(), share * mass)
    }
}

/// How many of the likeliest tokens are asked for one by one before those that are out of the question are told together: that takes
/// as long as a hundred of them.
const TRIED: usize = 16;

/// The likeliest token behind the `refused` one that may come next; of equal ones the first.
fn next_best(logits: &[f32], refused: usize, rules: &mut dyn Constraint) -> Option<usize> {
    let mut left = logits.to_vec();
    left[refused] = f32::NEG_INFINITY;
    for _ in 0..TRIED {
        let next = ops::best(&left)?.index;
        if left[next] == f32::NEG_INFINITY {
            return None;
        }
        if rules.allows(next as u32) {
            return Some(next);
        }
        left[next] = f32::NEG_INFINITY;
    }
    let bounds = rules.bounds()?;
    let rest = left.into_iter().enumerate();
    let rest = rest.filter(|(token, logit)| *logit > f32::NEG_INFINITY && has(&bounds, *token));
    let mut rest: BinaryHeap<_> = rest
        .map(|(token, logit)| (rank(logit), Reverse(token)))
        .collect();
    let mut falling = std::iter::from_fn(|| rest.pop());
    let next = falling.find(|(_, Reverse(token))| rules.allows(*token as u32))?;
    Some(next.1.0)
}

/// A whole number that is the larger the larger the number is.
fn rank(number: f32) -> u32 {
    let bits = number.to_bits();
    match number.is_sign_negative() {
        true => !bits,
        false => bits | 1 << 31,
    }
}

/// Of `token`; `None` where the logits are no numbers.
fn logprob(logits: &[f32], token: usize, likeliest: usize, temperature: f64) -> Option<Logprob> {
    let largest = logits[ops::best(logits)?.index];
    let log_sum = total(&ops::likelihoods(logits, largest, temperature)).ln();
    let of = |token: usize| (f64::from(logits[token] - largest) / temperature - log_sum) as f32;
    let mut tokens: Vec<usize> = Vec::new();
    if likeliest > 0 {
        tokens.extend(0..logits.len());
        let first = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
        if likeliest < tokens.len() {
            tokens.select_nth_unstable_by(likeliest, first);
            tokens.truncate(likeliest);
        }
        tokens.sort_by(first);
    }
    Some(Logprob {
        own: of(token),
        likeliest: tokens.into_iter().map(|t| (t as u32, of(t))).collect(),
    })
}

fn total(weights: &[f32]) -> f64 {
    weights.iter().map(|weight| f64::from(*weight)).sum()
}

/// The first token at which the weights so far exceed `target`, which is less than all together; rounding may leave the last.
fn pick(weights: impl Iterator<Item = (usize, f32)>, target: f64) -> usize {
    let (mut sum, mut last) = (0.0, 0);
    for (token, weight) in weights.filter(|(_, weight)| *weight > 0.0) {
        sum += f64::from(weight);
        last = token;
        if sum > target {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f64, top_p: f64, row: usize) -> Sampler {
        let config = SamplerConfig {
            temperature,
            top_p,
            ..SamplerConfig::default()
        };
        Sampler::new(&config, row)
    }

    #[test]
    fn greedy_takes_the_first_maximum() {
        let mut s = sampler(0.0, 1.0, 0);
        let choice = s.sample(&[0.0, 2.0, 2.0, -1.0], &mut None).unwrap();
        assert_eq!((choice.token, choice.gap), (1, 0.0));
        assert_eq!(s.sample(&[0.0, 2.0, 3.5], &mut None).unwrap().gap, 1.5);
    }

    #[test]
    fn nothing_is_chosen_by_what_is_no_number() {
        for temperature in [0.0, 0.7] {
            for top_p in [1.0, 0.8] {
                let mut s = sampler(temperature, top_p, 0);
                let (nan, inf) = (f32::NAN, f32::INFINITY);
                for logits in [[0.0, nan], [nan, 0.0], [inf, 0.0], [-inf, -inf]] {
                    assert_eq!(s.sample(&logits, &mut None), None, "{logits:?}");
                }
                assert_eq!(s.sample(&[-inf, 0.0], &mut None).unwrap().token, 1);
            }
        }
    }

    #[test]
    fn streams_repeat_by_seed_and_differ_by_row() {
        let draw = |row| {
            let mut s = sampler(1.0, 1.0, row);
            (0..32)
                .map(|_| s.sample(&[0.0; 64], &mut None).unwrap().token)
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn samples_of_a_row_differ_and_the_first_is_the_rows() {
        let draw = |samples, index| {
            let config = SamplerConfig {
                temperature: 1.0,
                samples,
                ..SamplerConfig::default()
            };
            let mut s = Sampler::new(&config, index);
            let tokens = (0..32).map(|_| s.sample(&[0.0; 64], &mut None).unwrap().token);
            tokens.collect::<Vec<_>>()
        };
        // How many there are changes none of them.
        assert_eq!(draw(1, 5), draw(3, 15));
        assert_eq!(draw(3, 17), draw(4, 22));
        let all: std::collections::BTreeSet<_> = (0..64).map(|index| draw(8, index)).collect();
        assert_eq!(all.len(), 64);
    }

    #[test]
    fn the_first_may_be_the_greedy_answer() {
        let draw = |greedy_first, index| {
            let config = SamplerConfig {
                temperature: 1.0,
                samples: 4,
                greedy_first,
                ..SamplerConfig::default()
            };
            let mut s = Sampler::new(&config, index);
            let logits: Vec<f32> = (0..64).map(|i| (i % 7) as f32 / 10.0).collect();
            let tokens = (0..32).map(|_| s.sample(&logits, &mut None).unwrap().token);
            tokens.collect::<Vec<_>>()
        };
        assert_eq!(draw(true, 8), [6; 32]);
        // The others are those that they are without it.
        assert_eq!(draw(true, 9), draw(false, 9));
        assert_ne!(draw(false, 8), [6; 32]);
    }

    #[test]
    fn greedy_samples_are_refused() {
        let with = |samples, temperature| SamplerConfig {
            samples,
            temperature,
            ..SamplerConfig::default()
        };
        assert!(with(1, 0.0).check().is_ok() && with(2, 0.5).check().is_ok());
        let error = with(2, 0.0).check().unwrap_err().to_string();
        assert!(
            error.contains("--samples 2 needs a --temperature"),
            "{error}"
        );
    }

    /// Even tokens alone, and none behind `most` of them.
    struct Even {
        most: usize,
        /// How often all were asked for.
        asked: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    }

    impl Constraint for Even {
        fn allows(&mut self, token: u32) -> bool {
            self.most > 0 && token.is_multiple_of(2)
        }

        fn allowed(&mut self) -> Option<Vec<u32>> {
            self.asked
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let even = if self.most > 0 { 0x5555_5555 } else { 0 };
            Some(vec![even; 2])
        }

        fn accept(&mut self, _token: u32) {
            self.most -= 1;
        }
    }

    #[test]
    fn what_rules_leave_comes_by_its_share() {
        const DRAWS: usize = 20_000;
        let logits: Vec<f32> = [0.4f32, 0.3, 0.2, 0.1].iter().map(|p| p.ln()).collect();
        let asked = std::sync::Arc::default();
        let even = |most| -> Option<Box<dyn Constraint>> {
            let asked = std::sync::Arc::clone(&asked);
            Some(Box::new(Even { most, asked }))
        };
        let mut rules = even(1);
        let mut s = sampler(1.0, 1.0, 3);
        let mut counts = [0; 4];
        for _ in 0..DRAWS {
            counts[s.sample(&logits, &mut rules).unwrap().token as usize] += 1;
        }
        let share = counts[0] as f64 / DRAWS as f64;
        assert!((share - 0.4 / 0.6).abs() < 0.02 && counts[1] + counts[3] == 0);
        // The mask was made where the first draw was not allowed.
        let asked = asked.load(std::sync::atomic::Ordering::Relaxed) as f64 / DRAWS as f64;
        assert!((asked - 0.4).abs() < 0.02, "{asked}");
        let mut greedy = sampler(0.0, 1.0, 0);
        assert_eq!(
            greedy.sample(&[1.0, 2.0, 1.5], &mut even(1)).unwrap().token,
            2
        );
        // Where nothing is left, the rules go and the answer goes on.
        let mut none = even(0);
        assert_eq!(greedy.sample(&[1.0, 2.0, 1.5], &mut none).unwrap().token, 1);
        assert!(none.is_none());
    }

    /// One token alone, of which the rules tell only that it is among the last.
    struct One(u32);

    impl Constraint for One {
        fn allows(&mut self, token: u32) -> bool {
            token == self.0
        }

        fn allowed(&mut self) -> Option<Vec<u32>> {
            unreachable!("greedy answers need no mask")
        }

        fn bounds(&mut self) -> Option<Vec<u32>> {
            Some(vec![0, u32::MAX])
        }

        fn accept(&mut self, _token: u32) {}
    }

    #[test]
    fn a_greedy_answer_takes_the_likeliest_that_may_come_however_unlikely() {
        let mut greedy = sampler(0.0, 1.0, 0);
        let logits: Vec<f32> = (0..64).map(|i| 30.0 - ((i * 29) % 64) as f32).collect();
        for one in 32..64 {
            let mut rules: Option<Box<dyn Constraint>> = Some(Box::new(One(one)));
            assert_eq!(greedy.sample(&logits, &mut rules).unwrap().token, one);
            assert!(rules.is_some());
        }
        // Where none is left behind all that may be.
        let mut rules: Option<Box<dyn Constraint>> = Some(Box::new(One(64)));
        assert_eq!(greedy.sample(&logits, &mut rules).unwrap().token, 0);
        assert!(rules.is_none());
        let mut numbers = [-2.5f32, -1.0, -0.0, 0.0, 1e-9, 3.0, f32::MAX];
        numbers.reverse();
        numbers.sort_by_key(|number| rank(*number));
        assert_eq!(numbers, [-2.5, -1.0, -0.0, 0.0, 1e-9, 3.0, f32::MAX]);
    }

    #[test]
    fn log_probabilities_are_the_models_own() {
        let logits: Vec<f32> = [0.1f32, 0.4, 0.2, 0.3]
            .iter()
            .map(|p| p.ln() + 5.0)
            .collect();
        for temperature in [0.0, 3.0] {
            let config = SamplerConfig {
                temperature,
                logprobs: Some(2),
                bias: vec![(2, 100.0), (1, -1.0), (99, 1.0)],
                ..SamplerConfig::default()
            };
            let choice = Sampler::new(&config, 0).sample(&logits, &mut None).unwrap();
            let logprob = choice.logprob.unwrap();
            let own = [0.1f32, 0.4, 0.2, 0.3][choice.token as usize].ln();
            assert_eq!(choice.token, 2, "by the bias");
            assert!((logprob.own - own).abs() < 1e-5);
            let tokens: Vec<u32> = logprob.likeliest.iter().map(|(token, _)| *token).collect();
            assert_eq!(tokens, [1, 3]);
            assert!((logprob.likeliest[1].1 - 0.3f32.ln()).abs() < 1e-5);
        }
    }

    #[test]
    fn log_probabilities_may_be_those_that_are_drawn_by() {
        let logits: Vec<f32> = [1.0f32, 4.0, 9.0].iter().map(|p| p.ln() - 3.0).collect();
        let config = SamplerConfig {
            temperature: 2.0,
            logprobs: Some(3),
            tempered: true,
            ..SamplerConfig::default()
        };
        let choice = Sampler::new(&config, 0).sample(&logits, &mut None).unwrap();
        for (token, found) in choice.logprob.unwrap().likeliest {
            let share = [1.0f32, 2.0, 3.0][token as usize] / 6.0;
            assert!((found - share.ln()).abs() < 1e-5, "{token}: {found}");
        }
    }

    /// Probabilities 0.4, 0.3, 0.2 and 0.1 in the order of their tokens' names 2, 0, 3, 1, and many that have nearly none.
    #[test]
    fn tokens_come_as_often_as_they_are_likely() {
        const DRAWS: usize = 20_000;
        let mut logits = vec![-40.0; 500];
        for (token, p) in [(2, 0.4f32), (0, 0.3), (3, 0.2), (1, 0.1)] {
            logits[token] = p.ln();
        }
        for (top_p, expected) in [
            (1.0, [0.3, 0.1, 0.4, 0.2]),
            (0.95, [0.3, 0.1, 0.4, 0.2]),
            (0.85, [0.3 / 0.9, 0.0, 0.4 / 0.9, 0.2 / 0.9]),
            (0.65, [0.3 / 0.7, 0.0, 0.4 / 0.7, 0.0]),
            (0.05, [0.0, 0.0, 1.0, 0.0]),
        ] {
            let mut s = sampler(1.0, top_p, 7);
            let mut counts = [0; 500];
            for _ in 0..DRAWS {
                counts[s.sample(&logits, &mut None).unwrap().token as usize] += 1;
            }
            for (count, expected) in counts.iter().zip(expected) {
                let found = *count as f64 / DRAWS as f64;
                assert!(
                    (found - expected).abs() < 0.02,
                    "{top_p}: {found} {expected}"
                );
                assert!(expected > 0.0 || *count == 0, "{top_p}");
            }
            assert_eq!(counts[4..].iter().sum::<usize>(), 0);
        }
        // A temperature of 1/2 squares them: 16 : 9 : 4 : 1.
        let mut s = sampler(0.5, 1.0, 7);
        let drawn = (0..DRAWS).filter(|_| s.sample(&logits, &mut None).unwrap().token == 2);
        assert!((drawn.count() as f64 / DRAWS as f64 - 16.0 / 30.0).abs() < 0.02);
    }

    /// Against a sort of everything, on logits as flat and as steep as may be.
    #[test]
    fn the_fewest_tokens_of_a_share_are_those_of_a_sort() {
        let mut random = StdRng::seed_from_u64(3);
        for round in 0..200 {
            let steep = [0.0, 0.1, 2.0, 9.0][round % 4];
            let logits: Vec<f32> = (0..300)
                .map(|_| steep * random.random_range(-1f32..1.0))
                .collect();
            let top_p = random.random_range(0.01..0.999);
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights = ops::likelihoods(&logits, largest, 1.0);
            let mut order: Vec<usize> = (0..300).collect();
            order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b)));
            let (mut mass, sum) = (0.0, total(&weights));
            let enough = order.iter().take_while(|token| {
                let before = mass;
                mass += f64::from(weights[**token]);
                before < top_p * sum
            });
            let fewest: Vec<usize> = enough.copied().collect();
            let mut s = sampler(1.0, top_p, round);
            for _ in 0..50 {
                let token = s.sample(&logits, &mut None).unwrap().token as usize;
                assert!(fewest.contains(&token), "{top_p} {token}");
            }
        }
    }
}
