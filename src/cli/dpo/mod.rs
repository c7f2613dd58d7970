//! `factory dpo`: preference pairs to an adapter.

mod flags;

use super::say;
use super::terminal::Terminal;
use crate::learning::on_policy;
use crate::learning::rows::Rows;
use crate::learning::verdicts::Scorer;
use crate::report::curve;
use crate::session::preferences;
use anyhow::Result;
pub use flags::Args;

/// Trains an adapter and writes its folder.
pub fn run(mut args: Args) -> Result<()> {
    args.scoring.settle();
    let (config, terminal) = (args.config()?, Terminal::default());
    let run = args.run(&config.sft.data)?;
    let place = args.training.place()?;
    let (columns, draw) = (&config.sft.columns, &curve::svg);
    match args.own()? {
        None => preferences::train(&config, None, &run, &place, &terminal, draw)?,
        Some(own) => {
            let scoring = &args.scoring;
            let databases = scoring.databases()?;
            let (now, keep_going) = (scoring.now(), scoring.keep_going);
            let mut rows = Rows::read(&config.sft.data, columns, databases.home.unnamed())?;
            let mut scorer = Scorer::open(&mut rows, &databases, now, keep_going, &terminal)?;
            let source: preferences::Source = &mut |base, adapter, renderer, folder| {
                let judged = (&rows, &mut scorer);
                on_policy::pairs(
                    &own,
                    (base, adapter),
                    renderer,
                    judged,
                    columns,
                    folder,
                    &terminal,
                )
            };
            preferences::train(&config, Some(source), &run, &place, &terminal, draw)?;
        }
    }
    say(format_args!("adapter: {}", run.out.display()))
}
