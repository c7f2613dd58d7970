//! The command line: one file a command. Only this module reads flags and prints.

mod adapter;
mod answering;
mod ask;
mod chat;
mod choice;
mod completions;
mod config_file;
mod data;
mod db;
mod device;
mod doctor;
mod dpo;
mod episodes;
mod eval_choices;
mod eval_compare;
mod eval_sql;
mod fields;
mod gate;
mod generate;
mod grpo;
mod headroom;
mod home;
mod interrupt;
mod lines;
mod loras;
mod man;
mod mcp;
mod model;
mod new_adapter;
mod package;
mod parent;
mod private;
mod progress;
mod report;
mod rft;
mod route;
mod rules;
mod run;
mod runs;
mod sampling;
mod scoring;
mod serve;
mod sft;
mod sql_worker;
mod sweep;
mod terminal;
mod training;

pub use crate::run::usage::{GateFailed, UsageError};
pub use crate::run::words::one_line;
use crate::run::words::{plain, size};

use clap::{Parser, Subcommand};
use std::io::Write;

/// Fine-tunes small language models into narrow specialists on one machine, and proves whether each got better.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fine-tune a LoRA or DoRA adapter on rows of questions and answers, chats or text.
    Sft(Box<sft::Args>),
    /// Learn from preference pairs: DPO and its relatives, held to the adapter that the run begins with.
    Dpo(Box<dpo::Args>),
    /// Learn from rewards: answers are drawn in groups, their queries run, and the better ones made likelier.
    Grpo(Box<grpo::Args>),
    /// Answer prompts with a base model and an adapter.
    Generate(generate::Args),
    EvalSql(eval_sql::Args),
    EvalCompare(eval_compare::Args),
    EvalChoices(eval_choices::Args),
    Gate(gate::Args),
    Episodes(episodes::Args),
    Headroom(headroom::Args),
    Rft(Box<rft::Args>),
    Route(route::Args),
    Serve(serve::Args),
    Ask(ask::Args),
    Chat(chat::Args),
    Sweep(sweep::Args),
    Run(run::Args),
    Report(report::Args),
    /// Make data sets.
    Data(data::Args),
    Db(db::Args),
    Mcp(mcp::Args),
    Runs(runs::Args),
    Package(package::Args),
    Adapter(adapter::Args),
    Model(model::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
    #[command(name = sql_worker::NAME, hide = true)]
    SqlWorker,
    #[command(name = db::worker::NAME, hide = true)]
    DbWorker,
}

impl Cli {
    /// The program's command line, with the settings of a `--config` file. clap itself ends the
    /// program on `--help` and on mistakes of the command line.
    pub fn from_env() -> anyhow::Result<Self> {
        config_file::parse(std::env::args_os().collect())
    }

    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        // It has little memory for the stacks of a thread pool, and no use for one.
        if matches!(self.command, Command::SqlWorker | Command::DbWorker) {
            return self.command.run();
        }
        parent::watch();
        // On a pool thread, a parallel kernel starts without waking one from outside.
        rayon::scope(|_| self.command.run())
    }
}

impl Command {
    /// Refuses settings that the command itself would refuse, without reading a file.
    fn check(&self) -> anyhow::Result<()> {
        match self {
            Command::Sft(args) => args.config().map(drop),
            Command::Dpo(args) => args.config().map(drop),
            Command::Grpo(args) => args.check(),
            Command::Generate(args) => args.check(),
            Command::Episodes(args) => args.check(),
            Command::Headroom(args) => args.check(),
            Command::Rft(args) => args.check(),
            _ => Ok(()),
        }
    }

    fn run(self) -> anyhow::Result<()> {
        match self {
            Command::Sft(args) => sft::run(*args),
            Command::Dpo(args) => dpo::run(*args),
            Command::Grpo(args) => grpo::run(*args),
            Command::Generate(args) => generate::run(args),
            Command::Db(args) => db::run(args),
            Command::Mcp(args) => mcp::run(args),
            Command::DbWorker => db::worker::run(),
            Command::EvalSql(args) => eval_sql::run(args),
            Command::EvalCompare(args) => eval_compare::run(args),
            Command::EvalChoices(args) => eval_choices::run(args),
            Command::Gate(args) => gate::run(args),
            Command::Episodes(args) => episodes::run(args),
            Command::Headroom(args) => headroom::run(args),
            Command::Rft(args) => rft::run(*args),
            Command::SqlWorker => sql_worker::run(),
            Command::Route(args) => route::run(args),
            Command::Serve(args) => serve::run(args),
            Command::Ask(args) => ask::run(args),
            Command::Chat(args) => chat::run(args),
            Command::Sweep(args) => sweep::run(args),
            Command::Run(args) => run::run(args),
            Command::Report(args) => report::run(args),
            Command::Data(args) => data::run(args),
            Command::Runs(args) => runs::run(args),
            Command::Package(args) => package::run(args),
            Command::Adapter(args) => adapter::run(args),
            Command::Model(args) => model::run(args),
            Command::Doctor(args) => doctor::run(args),
            Command::Completions(args) => completions::run(args),
            Command::Man(args) => man::run(args),
        }
    }
}

/// The groups of a command's flags in its help, behind those that everybody needs.
mod heading {
    pub const DATA: &str = "Data";
    pub const LOSS: &str = "Loss";
    pub const OWN: &str = "Own answers";
    pub const EPISODES: &str = "Episodes";
    pub const ADAPTER: &str = "Adapter";
    pub const SCHEDULE: &str = "Schedule";
    pub const MEMORY: &str = "Memory";
    pub const EVALUATION: &str = "Evaluation";
    pub const OUTPUT: &str = "Output";
}

/// Prints a line of the command's result. A reader that went away is an error, not a panic.
fn say(line: impl std::fmt::Display) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Prints a remark on stderr; nobody reading it is no reason to stop.
fn note(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
