//! `factory data check`: what is wrong with a data set.

use super::databases::DatabaseArgs;
use crate::check::allowed::Allowed;
use crate::check::config::{Config, NEAR, Tokens};
use crate::check::{check, picture};
use crate::cli::fields::FieldArgs;
use crate::cli::terminal::Terminal;
use crate::cli::{GateFailed, UsageError, say};
use crate::data::template::Template;
use crate::run::files::{check_apart, check_writable, json, write_atomic};
use crate::training::config::TrainConfig;
use anyhow::Result;
use std::io::Write;
use std::path::PathBuf;

/// Flags of `factory data check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Training rows (JSONL), read as `sft --data` reads them (repeatable).
    #[arg(long, required = true, value_name = "FILE")]
    data: Vec<PathBuf>,
    /// Rows to measure on, which training rows must not give away (repeatable).
    #[arg(long, value_name = "FILE")]
    heldout: Vec<PathBuf>,
    /// Allow findings of a kind, all of them or at most N: duplicates, near=5 (repeatable; by comma). All of literals, shapes and
    /// databases are allowed unless a number is given.
    #[arg(long, value_name = "KIND[=N]", value_delimiter = ',')]
    allow: Vec<String>,
    /// How alike two questions are that are near each other: the share of their three-letter pieces that both have.
    #[arg(long, value_name = "SHARE", default_value_t = NEAR, value_parser = likeness)]
    near: f64,
    /// Base model whose tokenizer counts tokens: a folder, a .gguf file or a hub id [default: tokens are not counted].
    #[arg(long)]
    base: Option<String>,
    /// How rows become text, as for sft.
    #[arg(long, value_enum, requires = "base", default_value = "plain")]
    template: Template,
    /// Longest row in tokens, as for sft.
    #[arg(long, requires = "base", value_name = "N", default_value_t = TrainConfig::default().max_seq as u64, value_parser = clap::value_parser!(u64).range(1..))]
    max_seq: u64,
    #[command(flatten)]
    databases: DatabaseArgs,
    /// Write all that is found as JSON to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw the token lengths (SVG) to this file.
    #[arg(long, requires = "base", value_name = "FILE")]
    lengths_out: Option<PathBuf>,
    #[command(flatten)]
    fields: FieldArgs,
}

fn likeness(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.3..=1.0).contains(&share) => Ok(share),
        _ => Err("a number from 0.3 to 1".to_owned()),
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    let outputs = || {
        args.out
            .iter()
            .chain(&args.lengths_out)
            .map(PathBuf::as_path)
    };
    let inputs = args.data.iter().chain(&args.heldout).map(PathBuf::as_path);
    check_apart(inputs, outputs()).map_err(UsageError::of)?;
    outputs().try_for_each(check_writable)?;
    let report = check(&args.config()?, &Terminal::default())?;
    write!(std::io::stdout(), "{report}")?;
    if let (Some(path), Some(tokens)) = (&args.lengths_out, &report.tokens) {
        write_atomic(path, picture::svg(tokens)?.as_bytes())?;
        say(format_args!("wrote {}", path.display()))?;
    }
    if let Some(path) = &args.out {
        write_atomic(path, &json(&report)?)?;
        say(format_args!("wrote {}", path.display()))?;
    }
    match report.verdict() {
        Some(fault) => Err(GateFailed(fault).into()),
        None => say("the data is sound"),
    }
}

impl Args {
    fn config(&self) -> Result<Config> {
        let tokens = self.base.as_ref().map(|base| Tokens {
            base: base.clone(),
            template: self.template,
            max_seq: self.max_seq as usize,
        });
        Ok(Config {
            data: self.data.clone(),
            heldout: self.heldout.clone(),
            columns: self.fields.columns()?,
            near: self.near,
            tokens,
            databases: self.databases.get()?,
            allowed: Allowed::parse(&self.allow).map_err(UsageError::of)?,
        })
    }
}
