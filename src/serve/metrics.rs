//! What Prometheus reads: vLLM's names under `factory:`.

use crate::generation::sequence::Answer;
use crate::generation::usage::Usage;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

type Share = Gauge<f64, AtomicU64>;

/// All of them.
pub struct Metrics {
    registry: Registry,
    running: Gauge,
    waiting: Gauge,
    cache: Share,
    prompt_tokens: Counter,
    generated_tokens: Counter,
    queried_tokens: Counter,
    reused_tokens: Counter,
    guessed_tokens: Counter,
    accepted_tokens: Counter,
    finished: Family<Vec<(&'static str, &'static str)>, Counter>,
    first_token: Histogram,
    whole: Histogram,
}

/// Seconds from 1 millisecond to 2 minutes.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 18))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut new = Self {
            registry: Registry::default(),
            running: Gauge::default(),
            waiting: Gauge::default(),
            cache: Gauge::default(),
            prompt_tokens: Counter::default(),
            generated_tokens: Counter::default(),
            queried_tokens: Counter::default(),
            reused_tokens: Counter::default(),
            guessed_tokens: Counter::default(),
            accepted_tokens: Counter::default(),
            finished: Family::default(),
            first_token: seconds(),
            whole: seconds(),
        };
        let all = &mut new.registry;
        all.register(
            "factory:num_requests_running",
            "Rows in flight",
            new.running.clone(),
        );
        all.register(
            "factory:num_requests_waiting",
            "Rows that wait",
            new.waiting.clone(),
        );
        all.register(
            "factory:kv_cache_usage_perc",
            "Share of the table of keys and values that rows in flight hold, 0 to 1",
            new.cache.clone(),
        );
        all.register(
            "factory:prompt_tokens",
            "Tokens of prompts",
            new.prompt_tokens.clone(),
        );
        all.register(
            "factory:generation_tokens",
            "Tokens of answers",
            new.generated_tokens.clone(),
        );
        all.register(
            "factory:prefix_cache_queries",
            "Tokens of prompts that began",
            new.queried_tokens.clone(),
        );
        all.register(
            "factory:prefix_cache_hits",
            "Those whose keys were there",
            new.reused_tokens.clone(),
        );
        all.register(
            "factory:spec_decode_num_draft_tokens",
            "Tokens that were guessed",
            new.guessed_tokens.clone(),
        );
        all.register(
            "factory:spec_decode_num_accepted_tokens",
            "Those that were right",
            new.accepted_tokens.clone(),
        );
        all.register(
            "factory:request_success",
            "Answers by how they ended",
            new.finished.clone(),
        );
        all.register(
            "factory:time_to_first_token_seconds",
            "From a request to its first token",
            new.first_token.clone(),
        );
        all.register(
            "factory:e2e_request_latency_seconds",
            "From a request to its whole answer",
            new.whole.clone(),
        );
        new
    }
}

impl Metrics {
    /// In Prometheus' text form.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub(super) fn asked(&self, prompt_tokens: usize) {
        self.prompt_tokens.inc_by(prompt_tokens as u64);
    }

    pub(super) fn first_token(&self, time: Duration) {
        self.first_token.observe(time.as_secs_f64());
    }

    pub(super) fn done(&self, answer: &Answer, time: Duration) {
        self.finished(answer.finish.name());
        self.generated_tokens.inc_by(answer.tokens.len() as u64);
        self.whole.observe(time.as_secs_f64());
    }

    pub(super) fn finished(&self, reason: &'static str) {
        let labels = vec![("finished_reason", reason)];
        self.finished.get_or_create(&labels).inc();
    }

    /// What one step took, how full the table is behind it, and how many rows run and wait.
    pub(super) fn step(&self, usage: &Usage, fill: f64, running: usize, waiting: usize) {
        self.running.set(running as i64);
        self.waiting.set(waiting as i64);
        self.cache.set(fill);
        let (reused, computed) = (usage.reused as u64, usage.prefill.tokens as u64);
        self.queried_tokens.inc_by(reused + computed);
        self.reused_tokens.inc_by(reused);
        self.guessed_tokens.inc_by(usage.guessed as u64);
        self.accepted_tokens.inc_by(usage.right as u64);
    }
}
