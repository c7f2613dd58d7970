//! `factory package check`

use crate::cli::{plain, say};
use crate::package::lock;
use anyhow::{Result, bail};
use std::path::PathBuf;

/// Check that a package is what its lock file says: its files, and the base of an adapter. Faults are named.
#[derive(clap::Args)]
pub struct Args {
    /// The package.
    #[arg(value_name = "DIR")]
    package: PathBuf,
    /// Where its base is now [default: where the run had it].
    #[arg(long)]
    base: Option<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let folder = args.package.display();
    let faults = lock::check(&args.package, args.base.as_deref())?;
    for fault in &faults {
        say(plain(fault))?;
    }
    match &faults[..] {
        [] => say(format_args!("{folder} is as it was made")),
        [one] => bail!("{folder}: {one}"),
        many => bail!("{folder}: {} faults", many.len()),
    }
}
