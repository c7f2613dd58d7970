//! A base under an adapter that is in memory, as it is now: what training asks between two of its steps.

use super::config::Config;
use crate::adapters::bank::{Bank, Member, Mixture};
use crate::adapters::lora::Adapter;
use crate::adapters::ngrams::Ngrams;
use crate::generation::engine::{Adapters, Engine};
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::model::load::Base;
use crate::model::memory as bytes;
use anyhow::Result;
use candle_core::Device;

/// A base and a copy of its adapter.
pub struct Policy<'a> {
    base: &'a Base,
    bank: Bank,
    ngrams: [Option<Ngrams>; 1],
}

impl<'a> Policy<'a> {
    /// `base` under `adapter`, guessed ahead by its `ngrams` too. What is trained on changes nothing here.
    pub fn new(base: &'a Base, adapter: &Adapter, ngrams: Option<&Ngrams>) -> Result<Self> {
        let mut adapter = adapter.clone();
        adapter.end_training(&base.decoder)?;
        let bank = Bank::new(vec![Member {
            name: String::new(),
            adapter,
        }])?;
        Ok(Self {
            base,
            bank,
            ngrams: [ngrams.cloned()],
        })
    }

    /// What answers prompts, as many at once as by default, in the memory that is free; on another device than the CPU four times as many, since
    /// a step starts as many kernels for few rows as for many.
    pub fn engine(&self, sampler: SamplerConfig, stop: StopConfig) -> Engine<'_> {
        let decoder = &self.base.decoder;
        Engine {
            decoder,
            tokenizer: &self.base.tokenizer,
            adapters: Some(Adapters {
                bank: &self.bank,
                mixtures: vec![Mixture::only(0)],
                choice: Vec::new(),
            }),
            sampler,
            stop,
            batch: Config::default().batch * if decoder.device.is_cpu() { 1 } else { 4 },
            memory: memory(&decoder.device),
            speculation: Some(&self.ngrams),
            grammars: Vec::new(),
        }
    }
}

/// Bytes that answering may take on a device.
pub fn memory(device: &Device) -> usize {
    match device.is_cpu() {
        true => (bytes::SHARE * bytes::free() as f64) as usize,
        // Its own allocator says when it is full.
        false => usize::MAX,
    }
}
