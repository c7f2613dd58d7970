//! `factory data`: make data sets.

use std::path::PathBuf;

use clap::Subcommand;

use super::say;
use crate::data::synth;
use crate::run::files::write_atomic;

/// Flags of `factory data`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate a train/dev/preferences set from a hand-written specification.
    Synth {
        /// The specification (TOML); the paths in it are relative to its folder.
        #[arg(long)]
        spec: PathBuf,
        /// Folder the set is written to.
        #[arg(long)]
        out: PathBuf,
        /// Chooses the literals, the phrasings and the rejected answers; same seed, same bytes.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
}

/// Runs the chosen subcommand.
pub fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Synth { spec, out, seed } => {
            let set = synth::generate(&spec, seed)?;
            for (name, content) in &set.files {
                write_atomic(&out.join(name), content)?;
            }
            say(set.summary)?;
            say(format_args!("wrote {}", out.display()))
        }
    }
}
