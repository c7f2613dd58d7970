//! Parse, run, print the one error, exit.

use clap::Parser;
use factory::cli::{Cli, UsageError};
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // SQLite and TOML messages span lines; an error is one.
            eprintln!("error: {}", format!("{error:#}").replace('\n', " "));
            match error.is::<UsageError>() {
                true => ExitCode::from(2),
                false => ExitCode::FAILURE,
            }
        }
    }
}
