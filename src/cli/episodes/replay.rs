//! `factory episodes replay`

use crate::cli::{UsageError, say};
use crate::learning::episodes::summary::Line;
use crate::learning::episodes::view::View;
use crate::report::page;
use crate::run::files::{check_apart, check_writable, write_atomic};
use crate::run::words::plain;
use anyhow::Result;
use std::path::PathBuf;

/// Show an episode that `episodes run` wrote: what the model called turn by turn, what it was told, how it ended.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The episodes.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Which of them, from 1.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    row: u64,
    /// Write it as a page that needs nothing else.
    #[arg(long, value_name = "OUT")]
    html: Option<PathBuf>,
}

/// Shows it.
pub fn run(args: Args) -> Result<()> {
    let html = args.html.as_deref();
    check_apart([args.file.as_path()], html).map_err(UsageError::of)?;
    html.map(check_writable).transpose()?;
    let lines = Line::read(&args.file)?;
    let Some(line) = lines.get(args.row as usize - 1) else {
        let (row, all) = (args.row, lines.len());
        let message = format!("--row {row}: {} has {all} episodes", args.file.display());
        return Err(UsageError(message).into());
    };
    let view = View::of(line, args.row as usize, lines.len());
    if let Some(path) = html {
        write_atomic(path, page::html(page::EPISODE, &view)?.as_bytes())?;
        return say(format_args!("wrote {}", path.display()));
    }
    say(plain(&view.title))?;
    say(format_args!("{}: {}", view.verdict, plain(&view.ended)))?;
    for turn in &view.turns {
        say(format_args!(
            "\n{}. {} [{}]",
            turn.number, turn.tool, turn.outcome
        ))?;
        shown(&turn.asked)?;
        if let Some(observed) = &turn.observed {
            say("->")?;
            shown(observed)?;
        }
    }
    Ok(())
}

/// A text line by line, indented.
fn shown(text: &str) -> Result<()> {
    text.lines()
        .try_for_each(|line| say(format_args!("   {}", plain(line))))
}
