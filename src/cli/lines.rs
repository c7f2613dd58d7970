//! Lines that a person types, or that another program sends.

use super::note;
use anyhow::Result;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::{ErrorKind, IsTerminal};

/// Hands each line of standard input to `take` until there are no more. In a terminal a prompt stays, with history, and an error is said; else it
/// ends all.
pub fn each(greeting: &str, mut take: impl FnMut(&str) -> Result<()>) -> Result<()> {
    if !std::io::stdin().is_terminal() {
        for line in std::io::stdin().lines() {
            take(&line?)?;
        }
        return Ok(());
    }
    note(greeting);
    let mut editor = DefaultEditor::new()?;
    loop {
        match editor.readline("> ") {
            Ok(line) => {
                // A history that cannot be kept is no reason to stop.
                let _ = editor.add_history_entry(&line);
                if let Err(error) = take(&line) {
                    note(format_args!("error: {error:#}"));
                }
            }
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                note("error: the line is no UTF-8");
            }
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
