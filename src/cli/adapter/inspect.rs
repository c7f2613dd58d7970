//! `factory adapter inspect`: what an adapter is, and how its change is spread.

use crate::adapters::config::AdapterConfig;
use crate::adapters::geometry::{self, Geometry};
use crate::adapters::measure;
use crate::adapters::stored::{self, Stored};
use crate::cli::say;
use crate::model::linear::{Projection, Site};
use crate::model::load::Base;
use crate::model::mismatch::ranges;
use crate::run::files;
use crate::run::words::plain;
use anyhow::Result;
use candle_core::{DType, Device};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Flags of `factory adapter inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder of PEFT's or mlx-lm's, or a .gguf file.
    adapter: PathBuf,
    /// Say of every module, type and layer how large its change is, over how many directions it is spread, and its share of the whole.
    #[arg(long)]
    geometry: bool,
    /// Base model: measure what the adapter changes of its weights, for DoRA by its magnitudes too, instead of s·B·A alone.
    #[arg(long, requires = "geometry")]
    base: Option<String>,
    /// Print the geometry as JSON.
    #[arg(long, requires = "geometry")]
    json: bool,
}

/// Prints what an adapter is.
pub fn inspect(args: &Args) -> Result<()> {
    match args.geometry {
        true => geometry(args),
        false => describe(&args.adapter),
    }
}

fn geometry(args: &Args) -> Result<()> {
    let found = match &args.base {
        None => geometry::of_factors(&stored::read(&args.adapter)?)?,
        Some(base) => {
            let base = Base::load(base, DType::F32, &Device::Cpu)?;
            let adapter = stored::load(&args.adapter, &base.decoder)?;
            geometry::of_weights(&adapter, &base.decoder)?
        }
    };
    match args.json {
        true => say(String::from_utf8_lossy(&files::json(&found)?).trim_end()),
        false => table(&found),
    }
}

/// Types, layers and modules, each with its numbers.
fn table(found: &Geometry) -> Result<()> {
    say(format_args!("norm of the {}: {:.4e}", found.of, found.norm))?;
    let rank = |rank: Option<f64>| rank.map_or("-".to_owned(), |rank| format!("{rank:.2}"));
    for (what, groups) in [("type", &found.by_type), ("layer", &found.by_layer)] {
        say(format_args!(
            "{what:<10} modules norm       share   stable rank  effective rank"
        ))?;
        for group in groups {
            say(format_args!(
                "{:<10} {:<7} {:<10.4e} {:<7.4} {:<12} {}",
                group.name,
                group.modules,
                group.norm,
                group.share,
                rank(group.stable_rank),
                rank(group.effective_rank),
            ))?;
        }
    }
    say(
        "module                         rank norm       share   stable rank  effective rank  norm/weight's",
    )?;
    for module in &found.modules {
        let relative = module.relative_norm;
        say(format_args!(
            "{:<30} {:<4} {:<10.4e} {:<7.4} {:<12} {:<15} {}",
            module.module,
            module.rank,
            module.norm,
            module.share,
            rank(module.stable_rank),
            rank(module.effective_rank),
            relative.map_or("-".to_owned(), |norm| format!("{norm:.3e}")),
        ))?;
    }
    Ok(())
}

fn describe(path: &Path) -> Result<()> {
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
