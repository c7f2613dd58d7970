//! What answering took: tokens, and the time for them.

use serde::Serialize;
use std::ops::AddAssign;
use std::time::Duration;

/// Tokens that were computed, and how long it took. A step's time is shared by its tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Work {
    pub tokens: usize,
    pub seconds: f64,
}

impl Work {
    /// 0 of no work.
    pub fn tokens_per_second(&self) -> f64 {
        match self.tokens {
            0 => 0.0,
            tokens => tokens as f64 / self.seconds.max(f64::EPSILON),
        }
    }
}

/// What one call or several took.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Of prompts, those computed.
    pub prefill: Work,
    /// Of answers.
    pub decode: Work,
    /// Tokens of prompts whose keys were there already.
    pub reused: usize,
    pub steps: usize,
    /// Guesses at tokens of answers that were computed.
    pub guessed: usize,
    /// Those of them that were right.
    pub right: usize,
    /// Blocks of beginnings that made room for others.
    pub evicted: usize,
    /// Seconds from the begin of each row to its first token.
    first_tokens: Vec<f64>,
}

impl Usage {
    /// A step that computed so many tokens of prompts and gave so many of answers.
    pub(super) fn step(&mut self, prefill: usize, decode: usize, time: Duration) {
        let each = time.as_secs_f64() / (prefill + decode).max(1) as f64;
        for (work, tokens) in [(&mut self.prefill, prefill), (&mut self.decode, decode)] {
            work.tokens += tokens;
            work.seconds += each * tokens as f64;
        }
        self.steps += 1;
    }

    pub(super) fn first_token(&mut self, time: Duration) {
        self.first_tokens.push(time.as_secs_f64());
    }

    /// Milliseconds from the begin of a row to its first token that this share of the rows did not exceed; 0 of no rows.
    pub fn first_token_ms(&self, share: f64) -> f64 {
        let mut times = self.first_tokens.clone();
        times.sort_by(f64::total_cmp);
        let rank = (share * times.len() as f64).ceil() as usize;
        times.get(rank.saturating_sub(1)).map_or(0.0, |s| s * 1e3)
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        for (own, more) in [
            (&mut self.prefill, other.prefill),
            (&mut self.decode, other.decode),
        ] {
            own.tokens += more.tokens;
            own.seconds += more.seconds;
        }
        self.reused += other.reused;
        self.steps += other.steps;
        self.guessed += other.guessed;
        self.right += other.right;
        self.evicted += other.evicted;
        self.first_tokens.extend(other.first_tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steps_time_is_shared_by_its_tokens() {
        let mut usage = Usage::default();
        usage.step(30, 10, Duration::from_secs(4));
        usage.step(0, 10, Duration::from_secs(2));
        let mut both = usage.clone();
        both += usage;
        assert_eq!((both.prefill.tokens, both.prefill.seconds), (60, 6.0));
        assert_eq!((both.decode.tokens, both.decode.seconds), (40, 6.0));
        assert_eq!((both.prefill.tokens_per_second(), both.steps), (10.0, 4));
        assert_eq!(Work::default().tokens_per_second(), 0.0);
    }

    #[test]
    fn shares_of_rows_are_nearest_ranks() {
        let mut usage = Usage::default();
        assert_eq!(usage.first_token_ms(0.5), 0.0);
        for ms in [40, 10, 30, 20] {
            usage.first_token(Duration::from_millis(ms));
        }
        assert_eq!(
            [0.5, 0.95, 0.0].map(|p| usage.first_token_ms(p)),
            [20.0, 40.0, 10.0]
        );
    }
}
