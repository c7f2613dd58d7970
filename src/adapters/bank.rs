//! Many adapters over one base, and which of them each row of a batch gets: the base product is computed once for all
//! rows, each row's changes are added to it.
//!
//! A mixture is exact: y = Wx + Σ wⱼ·Δⱼ(x), where Δ is s·B·A·x of LoRA and (m/n) ∘ (Wx + s·B·A·x) − Wx of DoRA, every
//! one against the unchanged base. Weight 0 is the base, 1 the adapter.

use super::identity;
use super::lora::Adapter;
use crate::model::linear::{Delta, Site};
use crate::model::ops::{self, Change, LowRank};
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
    sites: BTreeMap<Site, Factors>,
    /// Of each member, once it was asked for.
    digests: Vec<OnceLock<[u8; 32]>>,
}

/// What the members change at one site.
struct Factors {
    /// Of all members, one behind the other: A `[Σ r, in]`
    a: Tensor,
    /// and B turned, `[Σ r, out]`, times the gain of DoRA, so that a batch need not form it.
    b: Tensor,
    /// Of each member.
    parts: Vec<Option<Part>>,
}

/// What one member changes there.
struct Part {
    /// Its rows of the factors.
    ranks: Range<usize>,
    /// Of DoRA.
    gain: Option<Tensor>,
    scale: f64,
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
    pub fn new(mut members: Vec<Member>) -> Result<Self> {
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
        Ok(Self {
            sites: stack(&mut members)?,
            digests: members.iter().map(|_| OnceLock::new()).collect(),
            members,
        })
    }

    /// The members, in the order in which mixtures number them.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Adds a member, last. Errors where another has its name.
    pub fn add(&mut self, member: Member) -> Result<()> {
        let name = &member.name;
        let known = self.members.iter().any(|known| known.name == *name);
        ensure!(!known, "there is an adapter called {name} already");
        let mut members = std::mem::take(&mut self.members);
        members.push(member);
        *self = Self::new(members)?;
        Ok(())
    }

    /// Takes a member away; the numbers of those behind it are one less then.
    pub fn remove(&mut self, member: usize) -> Result<()> {
        let mut members = std::mem::take(&mut self.members);
        members.remove(member);
        *self = Self::new(members)?;
        Ok(())
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

/// The factors of every site. Each member's A becomes its part of them, so that it is held once.
fn stack(members: &mut [Member]) -> candle_core::Result<BTreeMap<Site, Factors>> {
    let sites = members.iter().flat_map(|m| m.adapter.modules.keys());
    let sites: BTreeSet<Site> = sites.copied().collect();
    let mut all = BTreeMap::new();
    for site in sites {
        let (mut a, mut b, mut parts, mut next) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for Member { adapter, .. } in members.iter() {
            let Some(module) = adapter.modules.get(&site) else {
                parts.push(None);
                continue;
            };
            let gain = module.dora.as_ref().map(|dora| dora.gain().clone());
            let turned = match &gain {
                Some(gain) => module.b.broadcast_mul(&gain.unsqueeze(1)?)?.t()?,
                None => module.b.t()?,
            };
            let ranks = next..next + module.a.dim(0)?;
            next = ranks.end;
            a.push(module.a.clone());
            b.push(turned.contiguous()?);
            parts.push(Some(Part {
                ranks,
                gain,
                scale: adapter.config.scale_of(site),
            }));
        }
        let (a, b) = (Tensor::cat(&a, 0)?, Tensor::cat(&b, 0)?);
        for (member, part) in members.iter_mut().zip(&parts) {
            if let Some((module, part)) = member.adapter.modules.get_mut(&site).zip(part.as_ref()) {
                module.a = a.narrow(0, part.ranks.start, part.ranks.len())?;
            }
        }
        all.insert(site, Factors { a, b, parts });
    }
    Ok(all)
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
        let Some(Factors { a, b, parts }) = self.bank.sites.get(&site) else {
            return Ok((wx, Vec::new()));
        };
        let mut changes = Vec::new();
        for (rows, Mixture(mixture)) in &self.runs {
            for &(member, weight) in mixture {
                if let Some(part) = &parts[member] {
                    changes.push(Change {
                        rows: rows.clone(),
                        ranks: part.ranks.clone(),
                        gain: part.gain.as_ref(),
                        scale: part.scale,
                        weight,
                    });
                }
            }
        }
        // Members of one base compute alike.
        match self.bank.members.first() {
            Some(Member { adapter, .. }) if !changes.is_empty() => {
                let changes = LowRank { a, b, changes };
                let changed = ops::low_rank_rows(adapter.path(), wx, x, &changes)?;
                Ok((changed, Vec::new()))
            }
            _ => Ok((wx, Vec::new())),
        }
    }
}
