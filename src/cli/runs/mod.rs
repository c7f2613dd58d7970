//! `factory runs`: run folders, looked at, checked, compared, decided.

mod advance;
mod check;
mod compare;
mod decide;
mod list;
mod reconcile;
mod show;

pub use check::setup as scoring;

use crate::recipe::place;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Look at run folders, check them, and decide.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Folder of the runs; a RUN is a folder, or the name of one in it.
    #[arg(long, global = true, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Validate(check::ValidateArgs),
    PublishCheck(check::PublishArgs),
    Compare(compare::Args),
    Decide(decide::Args),
    Reconcile(reconcile::Args),
    Advance(advance::Args),
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    let runs = Runs(args.runs);
    match args.command {
        Command::List(args) => list::run(&args, &runs),
        Command::Show(args) => show::run(&args, &runs),
        Command::Validate(args) => check::validate(&args, &runs),
        Command::PublishCheck(args) => check::publish(&args, &runs),
        Command::Compare(args) => compare::run(&args, &runs),
        Command::Decide(args) => decide::run(&args, &runs),
        Command::Reconcile(args) => reconcile::run(&args, &runs),
        Command::Advance(args) => advance::run(&args, &runs),
    }
}

/// The folder of the runs.
struct Runs(PathBuf);

impl Runs {
    fn find(&self, run: &Path) -> Result<PathBuf> {
        place::find(run, &self.0)
    }
}

/// `own execution_accuracy 0.640 [0.501, 0.759] (n=50)`
fn shown(name: &str, value: f64, interval: [f64; 2], n: usize) -> String {
    let [low, high] = interval;
    format!("{name} {value:.3} [{low:.3}, {high:.3}] (n={n})")
}
