//! A conversation that goes on: each turn is answered behind all before it, whose keys are still there.

use super::loaded::Loaded;
use super::loras::Lora;
use super::stream;
use crate::data::record::{Conversation, Role, Turn};
use crate::generation::cache::Cache;
use crate::generation::sampler::SamplerConfig;
use crate::run::files::write_atomic;
use anyhow::{Result, ensure};
use serde_json::json;
use std::path::Path;

/// Tokens that are kept of a conversation, at most.
const CONTEXT: usize = 8_192;

/// What was said so far.
pub struct Talk {
    loaded: Loaded,
    cache: Cache,
    sampler: SamplerConfig,
    turns: Vec<Turn>,
}

impl Talk {
    /// Nothing yet.
    pub fn new(loaded: Loaded, sampler: SamplerConfig) -> Result<Self> {
        let most = loaded.base.decoder.config.max_position_embeddings;
        Ok(Self {
            cache: loaded.standing_cache(most.min(CONTEXT))?,
            turns: Vec::new(),
            loaded,
            sampler,
        })
    }

    /// Answers `text`; `show` gets the answer piece by piece. Where there is none, nothing was said.
    pub fn say(&mut self, text: &str, mut show: impl FnMut(&str) -> Result<()>) -> Result<()> {
        let mut turns = self.turns.clone();
        turns.push(Turn::new(Role::User, text.to_owned()));
        let prompt = self.loaded.prompt(&Conversation::from(turns.clone()))?;
        let adapters = self.loaded.mixed(self.loaded.mixture.clone());
        let engine = self.loaded.engine(adapters, self.sampler.clone());
        let mut answer = String::new();
        stream::answer(&engine, &mut self.cache, prompt, |piece| {
            answer.push_str(piece);
            show(piece)
        })?;
        turns.push(Turn::new(Role::Assistant, answer));
        self.turns = turns;
        Ok(())
    }

    /// Begins anew, with a system text if there is one.
    pub fn begin(&mut self, system: &str) {
        self.turns.clear();
        if !system.is_empty() {
            self.turns.push(Turn::new(Role::System, system.to_owned()));
        }
    }

    /// Adds an adapter with its weight.
    pub fn add(&mut self, lora: &Lora) -> Result<()> {
        self.loaded.add(lora)?;
        let member = self.loaded.bank.members().len() - 1;
        self.loaded.mixture.0.push((member, lora.weight));
        Ok(())
    }

    /// The adapters with their weights.
    pub fn weights(&self) -> Vec<(&str, f64)> {
        let parts = self.loaded.mixture.0.iter();
        let name = |member: usize| self.loaded.bank.members()[member].name.as_str();
        parts
            .map(|(member, weight)| (name(*member), *weight))
            .collect()
    }

    /// Gives each adapter a weight, in their order.
    pub fn weigh(&mut self, weights: &[f64]) -> Result<()> {
        let parts = &mut self.loaded.mixture.0;
        ensure!(
            weights.len() == parts.len() && weights.iter().all(|weight| weight.is_finite()),
            "give {} numbers, one for each adapter",
            parts.len()
        );
        for ((_, own), weight) in parts.iter_mut().zip(weights) {
            *own = *weight;
        }
        Ok(())
    }

    /// Writes what was said as a row that can be trained on.
    pub fn save(&self, path: &Path) -> Result<()> {
        ensure!(!self.turns.is_empty(), "nothing was said yet");
        let turn = |turn: &Turn| json!({"role": turn.role.name(), "content": turn.content});
        let turns: Vec<_> = self.turns.iter().map(turn).collect();
        write_atomic(path, format!("{}\n", json!({"messages": turns})).as_bytes())
    }
}
