//! `factory grpo`: rewards to an adapter.

mod flags;

use super::say;
use super::terminal::Terminal;
use crate::learning::grpo;
use crate::report::curve;
use anyhow::Result;
pub use flags::Args;

/// Trains an adapter and writes its folder.
pub fn run(mut args: Args) -> Result<()> {
    // Where there is no run to go on with, that is what is wrong.
    args.data()?;
    args.check()?;
    args.scoring.settle();
    let config = args.config()?;
    let run = args.run(&config.sft.data)?;
    let place = args.training.place()?;
    grpo::train(&config, &run, &place, &Terminal::default(), &curve::svg)?;
    say(format_args!("adapter: {}", run.out.display()))
}
