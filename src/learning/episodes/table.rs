//! What episodes are played with.

use super::protocol::Protocol;
use super::tools::Tools;
use crate::data::template::Renderer;
use crate::generation::cache::Cache;
use crate::generation::engine::Engine;
use crate::generation::memory::Need;
use crate::run::observer::Observer;
use anyhow::Result;
use serde::Serialize;

/// How episodes are played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Most turns of an episode.
    pub turns: usize,
    /// Longest turn in tokens.
    pub max_tokens: usize,
    /// Longest observation in tokens.
    pub observation: usize,
    /// Most tokens of an episode, where the model holds more: it ends before a turn that could go beyond them.
    pub most: usize,
    /// Bytes for the keys and values of the episodes that are played at once.
    pub kv_memory: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            turns: 6,
            max_tokens: 256,
            observation: 512,
            most: usize::MAX,
            kv_memory: 1 << 30,
        }
    }
}

/// Tokens of an observation's own form, generously.
const FORM: usize = 64;

impl Config {
    /// Most tokens of an episode with a prompt of so many, where the model holds `most`.
    pub fn longest(&self, prompt: usize, most: usize) -> usize {
        self.last(prompt, most) + self.max_tokens
    }

    /// Most tokens before its last turn.
    fn last(&self, prompt: usize, most: usize) -> usize {
        let grows = self.turns.saturating_sub(1) * (self.max_tokens + self.observation + FORM);
        (prompt + grows).min(most.min(self.most).saturating_sub(self.max_tokens))
    }
}

/// What an episode begins with.
#[derive(Debug, Clone)]
pub struct Task {
    pub db: String,
    /// Token ids; see [`Protocol::begin`].
    pub prompt: Vec<u32>,
}

/// What an episode is played with.
pub struct Table<'a> {
    pub config: Config,
    pub protocol: Protocol,
    pub renderer: &'a Renderer<'a>,
    pub tools: &'a dyn Tools,
    pub observer: &'a dyn Observer,
}

impl Table<'_> {
    /// A cache for episodes whose prompts have so many tokens. Errors where it does not hold one of them.
    pub fn cache(&self, engine: &Engine, prompts: impl Iterator<Item = usize>) -> Result<Cache> {
        let most = engine.decoder.config.max_position_embeddings;
        let longest: Vec<usize> = prompts
            .map(|prompt| self.config.last(prompt, most))
            .collect();
        let need = Need::of(engine.decoder, &longest, &engine.stop, engine.batch);
        let blocks = need.map(|need| {
            let wanted = self.config.kv_memory.max(need.row);
            need.blocks(engine.batch, engine.memory, Some(wanted))
        });
        Cache::new(engine.decoder, blocks.transpose()?.unwrap_or(1))
    }
}
