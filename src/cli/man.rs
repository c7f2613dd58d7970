//! `factory man`: the manual pages, as roff.

use super::{Cli, say};
use crate::run::folder::RunFolder;
use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_mangen::Man;
use std::io::Write;
use std::path::PathBuf;

/// Print the manual page; or write one for every command into a folder.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Command whose page is printed, as in `factory man adapter merge | man -l -` [default: factory itself].
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    command: Vec<String>,
    /// Folder to write the pages of all commands to, which must not exist.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints or writes the pages.
pub fn run(args: Args) -> Result<()> {
    let mut cli = Cli::command();
    let Some(out) = args.out else {
        // A page then says the whole command, not its last word.
        cli.build();
        let mut page = Vec::new();
        let command = named(cli, &args.command)?;
        let version = concat!("factory ", env!("CARGO_PKG_VERSION"));
        Man::new(command).source(version).render(&mut page)?;
        return Ok(std::io::stdout().write_all(&page)?);
    };
    let folder = RunFolder::create(&out)?;
    clap_mangen::generate_to(cli, folder.path())
        .with_context(|| format!("cannot write {}", out.display()))?;
    folder.finish()?;
    say(format_args!("manual pages: {}", out.display()))
}

fn named(mut command: clap::Command, names: &[String]) -> Result<clap::Command> {
    for name in names {
        let found = command.find_subcommand(name).cloned();
        let known = || super::UsageError(format!("there is no command {name:?}"));
        command = found.ok_or_else(known)?;
    }
    Ok(command)
}
