//! The flags of a fresh adapter, or of the one to go on from.

use super::{UsageError, heading};
use crate::adapters::config::{AdapterConfig, MAX_ALPHA, MAX_RANK};
use crate::adapters::pattern::Patterns;
use crate::model::linear::Projection;
use anyhow::{Result, bail};
use serde::Serialize;
use std::path::PathBuf;

/// The flags.
#[derive(Debug, clap::Args)]
pub struct AdapterArgs {
    /// Rank of the adapter.
    #[arg(long, default_value_t = AdapterConfig::default().rank as u64, value_parser = clap::value_parser!(u64).range(1..=MAX_RANK))]
    rank: u64,
    /// The adapter's output is scaled by alpha/rank [default: 2 × rank].
    #[arg(long)]
    alpha: Option<f64>,
    /// Weight-decomposed adaptation (DoRA): learn each output's magnitude apart.
    #[arg(long)]
    dora: bool,
    /// Adapter folder to go on from instead of a fresh adapter; its settings stay.
    #[arg(help_heading = heading::ADAPTER, long, conflicts_with_all = ["rank", "alpha", "dora", "rslora", "dropout", "target_modules", "rank_pattern", "alpha_pattern"])]
    pub init: Option<PathBuf>,
    /// Scale by alpha/√rank (rsLoRA).
    #[arg(help_heading = heading::ADAPTER, long)]
    rslora: bool,
    /// Share of a module's inputs that the adapter does not see in training.
    #[arg(help_heading = heading::ADAPTER, long, default_value_t = AdapterConfig::default().dropout)]
    dropout: f64,
    /// Projections to adapt, by comma: q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj [default: all].
    #[arg(help_heading = heading::ADAPTER, long, value_delimiter = ',', value_parser = projection)]
    target_modules: Vec<Projection>,
    /// Another rank for some modules: MODULE=RANK, as q_proj=4 or layers.3.mlp.up_proj=16 (repeatable; the first match counts).
    #[arg(help_heading = heading::ADAPTER, long, value_name = "MODULE=RANK")]
    rank_pattern: Vec<String>,
    /// Another alpha for some modules: MODULE=ALPHA (repeatable).
    #[arg(help_heading = heading::ADAPTER, long, value_name = "MODULE=ALPHA")]
    alpha_pattern: Vec<String>,
}

fn projection(name: &str) -> Result<Projection, String> {
    Projection::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Projection::ALL.iter().map(|p| p.name()).collect();
        format!("known modules: {}", known.join(", "))
    })
}

impl AdapterArgs {
    /// What a fresh adapter is.
    pub fn config(&self) -> Result<AdapterConfig> {
        let rank = self.rank as usize;
        let alpha = self.alpha.unwrap_or(AdapterConfig::default_alpha(rank));
        if alpha.is_nan() || alpha.abs() > MAX_ALPHA {
            return usage(&format!("--alpha must be a number of at most {MAX_ALPHA}"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return usage("--dropout must be 0 to below 1");
        }
        let mut targets = self.target_modules.clone();
        targets.sort();
        targets.dedup();
        if targets.is_empty() {
            targets = Projection::ALL.to_vec();
        }
        let rank_of = |text: &str| {
            text.parse()
                .ok()
                .filter(|r| (1..=MAX_RANK as usize).contains(r))
        };
        let alpha_of = |text: &str| text.parse().ok().filter(|a: &f64| a.abs() <= MAX_ALPHA);
        Ok(AdapterConfig {
            dora: self.dora,
            rslora: self.rslora,
            dropout: self.dropout,
            rank_pattern: patterns("--rank-pattern", &self.rank_pattern, rank_of)?,
            alpha_pattern: patterns("--alpha-pattern", &self.alpha_pattern, alpha_of)?,
            targets,
            ..AdapterConfig::new(rank, alpha)
        })
    }
}

/// Reads MODULE=VALUE flags.
fn patterns<T: Copy + Serialize>(
    flag: &str,
    texts: &[String],
    value: impl Fn(&str) -> Option<T>,
) -> Result<Patterns<T>> {
    let mut entries = Vec::new();
    for text in texts {
        let entry = text.rsplit_once('=');
        let Some((module, Some(value))) = entry.map(|(m, v)| (m, value(v))) else {
            return usage(&format!("{flag} {text:?} is not MODULE=VALUE"));
        };
        entries.push((module.to_string(), value));
    }
    Ok(Patterns::new(entries).map_err(|e| UsageError(format!("{flag}: {e}")))?)
}

fn usage<T>(message: &str) -> Result<T> {
    bail!(UsageError(message.to_string()))
}
