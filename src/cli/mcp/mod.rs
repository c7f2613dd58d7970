//! `factory mcp`: databases for assistants, and the tools of other servers.

mod call;
mod serve;

use anyhow::Result;

/// The Model Context Protocol: databases for assistants, and the tools of any server.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Serve(Box<serve::Args>),
    Call(call::Args),
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Serve(args) => serve::run(*args),
        Command::Call(args) => call::run(args),
    }
}
