//! The server's messages, on one line and bounded.

use std::error::Error as _;
use std::io;
use tokio_postgres::error::{DbError, ErrorPosition};

/// Most characters of a message that are kept: one may repeat a value of a table.
const MOST: usize = 600;

/// A message with its SQLSTATE, where in the text it is meant, and the server's hint.
pub fn text(error: &DbError) -> String {
    let mut more = error.code().code().to_owned();
    if let Some(ErrorPosition::Original(character)) = error.position() {
        more += &format!(" at character {character}");
    }
    if let Some(hint) = error.hint() {
        more += &format!("; hint: {}", line(hint));
    }
    format!("{} ({more})", line(error.message()))
}

/// What is behind an error of the connection.
pub fn cause(error: &tokio_postgres::Error) -> String {
    match error.source() {
        Some(cause) => line(&cause.to_string()),
        None => line(&error.to_string()),
    }
}

/// What the operating system says is behind an error.
pub fn io(error: &tokio_postgres::Error) -> Option<io::ErrorKind> {
    let cause = error.source()?.downcast_ref::<io::Error>()?;
    Some(cause.kind())
}

/// A text on one line.
pub fn line(message: &str) -> String {
    let words: Vec<_> = message.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_bounded_line() {
        assert_eq!(line(" a\n\tb\r\nc "), "a b c");
        let long = line(&"ü".repeat(10_000));
        assert_eq!(long.chars().count(), MOST + 1);
        assert!(long.ends_with('…'));
    }
}
