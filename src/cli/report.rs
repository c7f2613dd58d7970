//! `factory report`: a run's page and its text, made again from its folder; several runs beside each other.

use super::{UsageError, say};
use crate::recipe::place;
use crate::report;
use crate::report::overview::{self, Overview};
use crate::run::files::{check_writable, folder_of, write_atomic};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Make a run's report again from its folder: report.html and report.md. Several runs make one table.
#[derive(clap::Args)]
pub struct Args {
    /// Runs: folders, or names of some in --runs.
    #[arg(required = true, value_name = "RUN")]
    run: Vec<PathBuf>,
    /// Folder of the runs.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// Write this file instead: a page where it ends in .html, text where it ends in .md. Several runs need it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What the page of several runs is called.
    #[arg(long, default_value = "Runs")]
    title: String,
}

/// Writes and says what.
pub fn run(args: Args) -> Result<()> {
    let found = args.run.iter().map(|run| find(run, &args.runs));
    let found: Vec<PathBuf> = found.collect::<Result<_>>()?;
    let outs = match (&args.out, &found[..]) {
        (Some(out), _) => vec![out.clone()],
        (None, [run]) => vec![run.join("report.html"), run.join("report.md")],
        (None, _) => bail!(UsageError(
            "several runs need --out FILE: a .html or .md file".to_owned()
        )),
    };
    for out in &outs {
        let page = is_page(out)?;
        let text = match &found[..] {
            [run] if page => report::html(run)?,
            [run] => report::markdown(run)?,
            runs => {
                let rung = |run: &PathBuf| overview::rung(run, None, folder_of(out));
                let overview = Overview {
                    title: args.title.clone(),
                    rungs: runs.iter().map(rung).collect::<Result<_>>()?,
                    ..Overview::default()
                };
                if page {
                    overview::html(&overview)?
                } else {
                    overview::markdown(&overview)?
                }
            }
        };
        check_writable(out)?;
        write_atomic(out, text.as_bytes())?;
        say(format_args!("wrote {}", out.display()))?;
    }
    Ok(())
}

/// A folder is taken as it is: one that lacks its status has a report too.
fn find(run: &Path, runs: &Path) -> Result<PathBuf> {
    match run.is_dir() {
        true => Ok(run.to_owned()),
        false => place::find(run, runs),
    }
}

fn is_page(out: &Path) -> Result<bool> {
    match out.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => Ok(true),
        Some("md") => Ok(false),
        _ => bail!(UsageError(format!(
            "--out {}: give a name that ends in .html or .md",
            out.display()
        ))),
    }
}
