//! Parse, run, print the one error, exit.

use factory::cli::{Cli, GateFailed, UsageError, one_line};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::from_env().and_then(Cli::run) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has seen enough, as in `factory … | head`.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let (kind, code) = if error.is::<UsageError>() {
                ("error: ", ExitCode::from(2))
            } else if error.is::<GateFailed>() {
                ("", ExitCode::from(3))
            } else {
                ("error: ", ExitCode::FAILURE)
            };
            // Nobody may be reading; the exit code still says it.
            let _ = writeln!(std::io::stderr(), "{kind}{}", one_line(&error));
            code
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
