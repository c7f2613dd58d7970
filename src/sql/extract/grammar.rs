//! Asks SQLite's own grammar whether a text is a statement. Nothing is looked up and nothing runs.

use rusqlite::hooks::Authorization;
use rusqlite::{Connection, Error};

/// The answer.
pub enum Answer {
    /// A statement, as far as its grammar goes.
    Whole,
    /// No statement: the byte at which it stops being one, where that is not the end.
    Broken(Option<usize>),
}

thread_local! {
    /// `None` where memory is out; then no text is a statement.
    static EMPTY: Option<Connection> = empty().ok();
}

/// Everything is denied, and SQLite asks before it resolves a name: what common table expressions multiply into is never built.
fn empty() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.authorizer(Some(|_: rusqlite::hooks::AuthContext| Authorization::Deny))?;
    Ok(connection)
}

/// Parses one statement.
pub fn parse(sql: &str) -> Answer {
    let result = EMPTY.with(|empty| empty.as_ref().map(|empty| empty.prepare(sql).map(drop)));
    let error = match result {
        Some(Ok(())) => return Answer::Whole,
        Some(Err(error)) => error,
        None => return Answer::Broken(None),
    };
    match error {
        Error::SqlInputError { msg, offset, .. } if is_syntax(&msg) => {
            Answer::Broken(usize::try_from(offset).ok())
        }
        error if error.to_string().contains("incomplete input") => Answer::Broken(None),
        _ => Answer::Whole,
    }
}

fn is_syntax(message: &str) -> bool {
    message.contains("syntax error") || message.starts_with("unrecognized token")
}
