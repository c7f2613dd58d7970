//! `factory sft`: rows to an adapter.

mod estimate;
mod flags;
mod inspect;

use super::say;
use super::terminal::Terminal;
use crate::report::curve;
use crate::session::sft;
use anyhow::Result;
pub use flags::Args;

/// Trains an adapter and writes its folder, or says what that would be.
pub fn run(args: Args) -> Result<()> {
    let (config, terminal) = (args.config()?, Terminal::default());
    if let Some(batches) = args.inspect_batch {
        let seen = sft::see(&config, &terminal)?;
        return inspect::print(&seen, &config.train, batches as usize);
    }
    let run = args.run(&config.data)?;
    let place = args.training.place()?;
    if args.dry_run {
        let estimate = sft::estimate(&config, &place, &terminal)?;
        return estimate::print(&estimate, run.selection.is_some());
    }
    sft::train(&config, &run, &place, &terminal, &curve::svg)?;
    say(format_args!("adapter: {}", run.out.display()))
}
