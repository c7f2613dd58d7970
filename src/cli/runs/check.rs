//! `factory runs validate` and `factory runs publish-check`

use super::Runs;
use crate::cli::home::ConnectionArgs;
use crate::cli::{Cli, Command, UsageError, plain, say, sql_worker};
use crate::db::sqlite::Now;
use crate::eval::worker::Setup;
use crate::recipe::done::Done;
use crate::recipe::publish::{self, Check};
use crate::recipe::validate;
use anyhow::{Context, Result, bail};
use clap::Parser;
use std::path::{Path, PathBuf};

/// Check that the files of a run have their formats; faults are named by field.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    /// A run's folder or name.
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

/// Check that a run may be published: complete, its hashes and scores true, its decision covered by them. Every row is scored
/// again.
#[derive(Debug, clap::Args)]
pub struct PublishArgs {
    /// A run's folder or name.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Let a run pass that has no artifact.
    #[arg(long)]
    allow_report_only: bool,
    /// Folder of the databases [default: the one that the rows were scored with].
    #[arg(long, value_name = "DIR")]
    db_dir: Option<PathBuf>,
}

pub fn validate(args: &ValidateArgs, runs: &Runs) -> Result<()> {
    let folder = runs.find(&args.run)?;
    let faults = validate::faults(&folder)?;
    report(&folder, &faults, "has its formats")
}

pub fn publish(args: &PublishArgs, runs: &Runs) -> Result<()> {
    let folder = runs.find(&args.run)?;
    let setup = |done: &Done, rows, now| setup(done, rows, now, args.db_dir.as_deref());
    let check = Check {
        report_only: args.allow_report_only,
        setup: &setup,
        worker: &sql_worker::command()?,
    };
    let faults = publish::check(&folder, &check)?;
    report(&folder, &faults, "may be published")
}

/// Says each fault, or that there is none.
fn report(folder: &Path, faults: &[String], fine: &str) -> Result<()> {
    for fault in faults {
        say(plain(fault))?;
    }
    match faults.len() {
        0 => say(format_args!("{} {fine}", folder.display())),
        count => bail!("{}: {count} faults", folder.display()),
    }
}

/// How a stage scored its rows, by its command as it was typed.
pub fn setup(done: &Done, rows: usize, now: Option<Now>, db_dir: Option<&Path>) -> Result<Setup> {
    let parsed = Cli::try_parse_from(&done.command).map_err(|error| {
        let text = error.to_string();
        UsageError(text.lines().next().unwrap_or_default().to_owned())
    });
    let parsed =
        parsed.with_context(|| format!("stage {}: its command cannot be read", done.stage))?;
    let Command::EvalSql(mut args) = parsed.command else {
        bail!("stage {} is no eval-sql", done.stage);
    };
    if let Some(folder) = db_dir {
        args.connection = ConnectionArgs::default();
        args.db_dir = Some(folder.to_owned());
    }
    let now = args.now.or(now).unwrap_or_else(Now::current);
    let setup = args.setup(rows, now)?;
    let gone = setup.home.folder().filter(|folder| !folder.is_dir());
    if let Some(folder) = gone {
        bail!(
            "{} is not there: give the databases' folder (--db-dir)",
            folder.display()
        );
    }
    Ok(setup)
}
