//! Many adapters over one base, and which of them each row of a batch gets: the base product is computed once for all
//! rows, each row's changes are added to it.
//!
//! A mixture is exact: y = Wx + Σ wⱼ·Δⱼ(x), where Δ is s·B·A·x of LoRA and (m/n) ∘ (Wx + s·B·A·x) − Wx of DoRA, every
//! one against the unchanged base. Weight 0 is the base, 1 the adapter.

use super::identity;
use super::lora::Adapter;
use crate::model::linear::{Delta, Site};
use crate::model::ops::{self, LowRank};
use anyhow::{Result, ensure};
use candle_core::Tensor;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::OnceLock;

/// An adapter and what it is called.
pub struct Member {
    pub name: String,
    pub adapter: Adapter,
}

/// Adapters of one base.
pub struct Bank {
    members: Vec<Member>,
    /// Of each member its B turned, `[r, out]`, times the gain of DoRA, so that a batch need not form it.
    turned: Vec<BTreeMap<Site, Tensor>>,
    /// Of each member, once it was asked for.
    digests: Vec<OnceLock<[u8; 32]>>,
}

/// Members of a bank with their weights; empty is the base alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mixture(pub Vec<(usize, f64)>);

impl Mixture {
    /// One member as it is.
    pub fn only(member: usize) -> Self {
        Self(vec![(member, 1.0)])
    }
}

impl Bank {
    /// Errors name every name that two members share.
    pub fn new(members: Vec<Member>) -> Result<Self> {
        let mut seen = BTreeSet::new();
        let repeated: BTreeSet<&str> = members
            .iter()
            .filter(|member| !seen.insert(&member.name))
            .map(|member| member.name.as_str())
            .collect();
        let repeated: Vec<_> = repeated.into_iter().collect();
        ensure!(
            repeated.is_empty(),
            "two adapters are called {}: name them with NAME=FOLDER",
            repeated.join(", ")
        );
        let turned = members.iter().map(|member| turned(&member.adapter));
        Ok(Self {
            turned: turned.collect::<candle_core::Result<_>>()?,
            digests: members.iter().map(|_| OnceLock::new()).collect(),
            members,
        })
    }

    /// The members, in the order in which mixtures number them.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What a mixture is by the content of its members and their weights.
    pub fn identity(&self, Mixture(parts): &Mixture) -> Result<[u8; 32]> {
        let mut hash = Sha256::new();
        for &(member, weight) in parts {
            let digest = match self.digests[member].get() {
                Some(digest) => *digest,
                None => {
                    let digest = identity::digest(&self.members[member].adapter)?;
                    *self.digests[member].get_or_init(|| digest)
                }
            };
            hash.update(digest);
            hash.update(weight.to_le_bytes());
        }
        Ok(hash.finalize().into())
    }

    /// What changes a batch whose rows are `runs`, ordered and apart, each with its mixture.
    pub fn rows<'a>(&'a self, runs: Vec<(Range<usize>, &'a Mixture)>) -> Rows<'a> {
        Rows { bank: self, runs }
    }
}

/// Each B turned, its columns times their gain where there are gains.
fn turned(adapter: &Adapter) -> candle_core::Result<BTreeMap<Site, Tensor>> {
    let mut found = BTreeMap::new();
    for (site, module) in &adapter.modules {
        let b = match &module.dora {
            Some(dora) => module.b.broadcast_mul(&dora.gain().unsqueeze(1)?)?,
            None => module.b.clone(),
        };
        found.insert(*site, b.t()?.contiguous()?);
    }
    Ok(found)
}

/// A bank over the rows of one batch.
pub struct Rows<'a> {
    bank: &'a Bank,
    runs: Vec<(Range<usize>, &'a Mixture)>,
}

impl Delta for Rows<'_> {
    fn forward(
        &self,
        site: Site,
        x: &Tensor,
        wx: Tensor,
        _stays: bool,
    ) -> candle_core::Result<(Tensor, Vec<Tensor>)> {
        let mut changes = Vec::new();
        let mut path = None;
        for (rows, Mixture(parts)) in &self.runs {
            for &(member, weight) in parts {
                let (adapter, turned) = (
                    &self.bank.members[member].adapter,
                    &self.bank.turned[member],
                );
                let Some((module, b)) = adapter.modules.get(&site).zip(turned.get(&site)) else {
                    continue;
                };
                path = Some(adapter.path());
                changes.push(LowRank {
                    rows: rows.clone(),
                    a: &module.a,
                    b,
                    gain: module.dora.as_ref().map(|dora| dora.gain()),
                    scale: adapter.config.scale_of(site),
                    weight,
                });
            }
        }
        match path {
            None => Ok((wx, Vec::new())),
            Some(path) => Ok((ops::low_rank_rows(path, wx, x, &changes)?, Vec::new())),
        }
    }
}
