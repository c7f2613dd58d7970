//! One adapter that is a mixture of several, where that is exact.

use super::bank::{Bank, Mixture};
use super::config::{AdapterConfig, MAX_RANK};
use super::lora::{Adapter, Module};
use crate::model::decoder::Decoder;
use crate::model::linear::Site;
use anyhow::{Result, ensure};
use candle_core::Tensor;
use std::collections::{BTreeMap, BTreeSet};

/// Stacks the members of a mixture of LoRA adapters: A' = (wⱼ·sⱼ·Aⱼ), B' = (Bⱼ), so that B'·A' = Σ wⱼ·sⱼ·Bⱼ·Aⱼ; alpha equals
/// the rank, the sum of the ranks. Members of weight 0 are left out.
///
/// Errors name every DoRA member: what DoRA changes depends on the base product, and no B·A does.
pub fn compose(bank: &Bank, mixture: &Mixture, decoder: &Decoder) -> Result<Adapter> {
    let parts = mixture.0.iter().filter(|(_, weight)| *weight != 0.0);
    let parts: Vec<_> = parts
        .map(|&(i, weight)| (&bank.members()[i], weight))
        .collect();
    ensure!(!parts.is_empty(), "nothing to compose: every weight is 0");
    let dora: Vec<_> = parts
        .iter()
        .filter(|(member, _)| member.adapter.config.dora)
        .collect();
    let dora: Vec<&str> = dora
        .into_iter()
        .map(|(member, _)| member.name.as_str())
        .collect();
    ensure!(
        dora.is_empty(),
        "{} cannot become part of one adapter: DoRA rescales the base's own product; use them together (--lora A --lora B), or merge them into the base",
        dora.join(", ")
    );
    let sites: BTreeSet<Site> = parts
        .iter()
        .flat_map(|(member, _)| member.adapter.modules.keys().copied())
        .collect();
    let mut modules = BTreeMap::new();
    for &site in &sites {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for (member, weight) in &parts {
            if let Some(module) = member.adapter.modules.get(&site) {
                a.push((&module.a * (weight * member.adapter.config.scale_of(site)))?);
                b.push(module.b.clone());
            }
        }
        let module = Module {
            a: Tensor::cat(&a, 0)?,
            b: Tensor::cat(&b, 1)?,
            dora: None,
        };
        let rank = module.a.dim(0)?;
        ensure!(
            rank as u64 <= MAX_RANK,
            "{site}: rank {rank} in all, at most {MAX_RANK} is possible"
        );
        modules.insert(site, module);
    }
    let mut ranks = BTreeMap::new();
    for (site, module) in &modules {
        ranks.insert(*site, module.a.dim(0)?);
    }
    let mut config = AdapterConfig::of_ranks(&ranks, None)?;
    let base = decoder.projections().map(|(site, _)| site);
    config.complete = config
        .lacking(base, |site| ranks.contains_key(&site))
        .is_empty();
    Ok(Adapter::new(config, modules, decoder.path))
}
