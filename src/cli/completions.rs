//! `factory completions SHELL`: what a shell completes behind `factory`.

use super::Cli;
use anyhow::Result;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::io::Write;

/// Print a script that completes commands and flags in a shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell. For bash: factory completions bash > ~/.local/share/bash-completion/completions/factory
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub fn run(args: Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut visible(), "factory", &mut script);
    // The generator panics where its writer fails, so it does not get stdout.
    Ok(std::io::stdout().write_all(&script)?)
}

/// The command line without what is not for people; the generator would offer that too.
fn visible() -> Command {
    let cli = Cli::command();
    let commands = cli.get_subcommands().filter(|c| !c.is_hide_set());
    Command::new("factory")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommands(commands.cloned())
}
