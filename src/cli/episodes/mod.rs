//! `factory episodes`: a model that looks at a database by tools before it answers.

mod make;
mod play;
mod replay;
mod run;

use crate::data::template::Template;
use crate::learning::episodes::protocol::Protocol;
use anyhow::Result;
pub use play::{PlayArgs, Tools};

/// Answers in several turns: the model looks at tables and tries queries by tools, then answers.
///
/// `make` writes rows to learn that from, `run` plays and judges, `replay` shows what was played.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Make(make::Args),
    Replay(replay::Args),
}

impl Args {
    /// Refuses settings that are a mistake whatever is played.
    pub fn check(&self) -> Result<()> {
        match &self.command {
            Command::Run(args) => args.check(),
            Command::Make(args) => args.check(),
            Command::Replay(_) => Ok(()),
        }
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Run(args) => run::run(*args),
        Command::Make(args) => make::run(args),
        Command::Replay(args) => replay::run(args),
    }
}

/// Refuses a template that episodes are not written in.
pub fn refuse_base(template: Option<Template>) -> Result<()> {
    template.map(Protocol::of).transpose().map(drop)
}
