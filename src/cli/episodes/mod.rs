//! `factory episodes`: a model that looks at a database by tools before it answers.

mod make;
mod replay;
mod run;

use crate::data::template::Template;
use crate::learning::episodes::protocol::Protocol;
use anyhow::Result;
use clap::builder::RangedU64ValueParser;

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

/// How long episodes and what they are told may be.
#[derive(Debug, clap::Args)]
struct LengthArgs {
    /// Turns that an episode has.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = turns())]
    turns: u64,
    /// Longest observation in tokens; what is longer is cut, and says so.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u64).range(16..=65_536))]
    observation_tokens: u64,
    /// Seconds that a tool's call may take.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    query_seconds: u64,
}

fn turns() -> RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=20)
}

/// Refuses a template that episodes are not written in.
fn refuse_base(template: Option<Template>) -> Result<()> {
    template.map(Protocol::of).transpose().map(drop)
}
