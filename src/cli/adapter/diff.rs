//! `factory adapter diff`: how far two adapters are apart, in their weights and on prompts.

use super::inspect::{kind, sites_of};
use super::parity;
use crate::adapters::measure::Distance;
use crate::adapters::stored::{self, Stored};
use crate::cli::device::DeviceArg;
use crate::cli::{UsageError, say};
use crate::model::linear::{Projection, Site};
use crate::model::load::{Base, Source};
use crate::model::mismatch::describe;
use anyhow::{Context, Result};
use candle_core::DType;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Flags of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An adapter.
    one: PathBuf,
    /// Another one.
    other: PathBuf,
    /// Base model with which to compare logits, too; llama.cpp's files for Llama need it to be read at all.
    #[arg(long)]
    base: Option<String>,
    /// Rows whose prompts the logits are compared on (JSONL) [default: a few texts of its own].
    #[arg(long, value_name = "FILE", requires = "base")]
    data: Option<PathBuf>,
    /// Where to compute the logits.
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    device: DeviceArg,
}

/// Runs the command.
pub fn diff(args: &Args) -> Result<()> {
    let (one, other) = (read(args, &args.one)?, read(args, &args.other)?);
    for (path, adapter) in [(&args.one, &one), (&args.other, &other)] {
        let (path, format) = (path.display(), adapter.format.name());
        say(format_args!("{path}: {format}, {}", kind(&adapter.config)))?;
    }
    say("projection  |one|      |other|    |one-other| cosine")?;
    let mut all = Distance::default();
    for projection in Projection::ALL {
        let sites: BTreeSet<Site> = sites_of(&one, projection)
            .chain(sites_of(&other, projection))
            .collect();
        let mut distance = Distance::default();
        for site in &sites {
            distance.add(&one, &other, *site)?;
            all.add(&one, &other, *site)?;
        }
        if !sites.is_empty() {
            row(projection.name(), &distance)?;
        }
    }
    row("all", &all)?;
    for (name, has, lacks) in [("one", &one, &other), ("other", &other, &one)] {
        let only = has
            .modules
            .keys()
            .filter(|site| !lacks.modules.contains_key(site));
        let only: Vec<String> = only.map(Site::to_string).collect();
        if !only.is_empty() {
            say(format_args!("only in {name}: {}", describe(&only)))?;
        }
    }
    let magnitudes = magnitudes(&one, &other)?;
    if let Some(largest) = magnitudes {
        say(format_args!(
            "largest difference of a magnitude: {largest:.1e}"
        ))?;
    }
    if let Some(base) = &args.base {
        let texts = parity::texts(args.data.as_deref())?;
        let base = Base::load(base, DType::F32, &args.device.open()?)?;
        let logits = |path: &PathBuf| {
            let adapter = stored::load(path, &base.decoder)?;
            parity::logits(&base, &texts, |_| &adapter)
        };
        let difference = parity::difference(&logits(&args.one)?, &logits(&args.other)?);
        say(format_args!("largest difference of a logit: {difference}"))?;
    }
    Ok(())
}

fn read(args: &Args, path: &Path) -> Result<Stored> {
    let mut adapter = stored::read(path)?;
    if adapter.architecture.is_some() {
        let Some(base) = &args.base else {
            let message = format!(
                "{}: the order of its rows is the base's: give --base",
                path.display()
            );
            return Err(UsageError(message).into());
        };
        let source = Source::open(base)?;
        let unpermuted = adapter.unpermuted(&source.config);
        unpermuted.with_context(|| format!("adapter {}", path.display()))?;
    }
    Ok(adapter)
}

fn row(name: &str, distance: &Distance) -> Result<()> {
    let (one, other) = distance.norms();
    say(format_args!(
        "{name:<11} {one:<10.3e} {other:<10.3e} {:<11.3e} {:.4}",
        distance.apart(),
        distance.cosine()
    ))
}

/// The largest difference between the magnitudes of sites that have them in both.
fn magnitudes(one: &Stored, other: &Stored) -> Result<Option<f32>> {
    let mut largest = None;
    for (site, module) in &one.modules {
        let other = other.modules.get(site).and_then(|module| module.m.as_ref());
        if let (Some(one), Some(other)) = (&module.m, other) {
            let apart = (one - other)?.abs()?.max_all()?.to_scalar::<f32>()?;
            largest = Some(apart.max(largest.unwrap_or(0.0)));
        }
    }
    Ok(largest)
}
