//! `factory adapter inspect`: what an adapter is, without a base.

use crate::adapters::config::AdapterConfig;
use crate::adapters::measure;
use crate::adapters::stored::{self, Stored};
use crate::cli::say;
use crate::model::linear::{Projection, Site};
use crate::model::mismatch::ranges;
use crate::run::words::plain;
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::Path;

/// Prints what the adapter at `path` is.
pub fn inspect(path: &Path) -> Result<()> {
    let adapter = stored::read(path)?;
    say(format_args!(
        "{}: {}",
        path.display(),
        adapter.format.name()
    ))?;
    let base = adapter.config.base.as_deref().unwrap_or("not said");
    say(format_args!("base: {}", plain(base)))?;
    say(kind(&adapter.config))?;
    say("projection  layers     rank   scale      change s·B·A, least to largest")?;
    let mut parameters = 0;
    for projection in Projection::ALL {
        let sites: Vec<Site> = sites_of(&adapter, projection).collect();
        if sites.is_empty() {
            continue;
        }
        let mut changes = Vec::new();
        for site in &sites {
            changes.push(measure::change(&adapter, *site)?);
        }
        changes.sort_by(f64::total_cmp);
        let layers: Vec<usize> = sites.iter().map(|site| site.layer).collect();
        say(format_args!(
            "{:<11} {:<10} {:<6} {:<10} {:.3e} to {:.3e}",
            projection.name(),
            ranges(&layers),
            several(sites.iter().map(|site| adapter.config.rank_of(*site))),
            several(
                sites
                    .iter()
                    .map(|site| adapter.config.scale_of(*site) as f32)
            ),
            changes[0],
            changes[changes.len() - 1],
        ))?;
    }
    for module in adapter.modules.values() {
        let m = module.m.as_ref().map_or(0, |m| m.elem_count());
        parameters += module.a.elem_count() + module.b.elem_count() + m;
    }
    say(format_args!(
        "{} modules, {parameters} parameters, {:.1} MB as f32",
        adapter.modules.len(),
        parameters as f64 * 4.0 / 1e6
    ))
}

/// `DoRA of rank 8, alpha 16, dropout 0.05`
pub fn kind(config: &AdapterConfig) -> String {
    let kind = if config.dora { "DoRA" } else { "LoRA" };
    let scaled = if config.rslora { " (rsLoRA)" } else { "" };
    let mut text = format!(
        "{kind}{scaled} of rank {}, alpha {}",
        config.rank, config.alpha
    );
    if config.dropout > 0.0 {
        text += &format!(", dropout {}", config.dropout);
    }
    text
}

/// The sites of a projection that an adapter has.
pub fn sites_of(adapter: &Stored, projection: Projection) -> impl Iterator<Item = Site> {
    let sites = adapter.modules.keys().copied();
    sites.filter(move |site| site.projection == projection)
}

/// Each different value once: `8` or `4,8`.
fn several<T: ToString>(values: impl Iterator<Item = T>) -> String {
    let different: BTreeSet<String> = values.map(|value| value.to_string()).collect();
    different.into_iter().collect::<Vec<_>>().join(",")
}
