//! DuckDB's messages: on one line, bounded, and sorted by what caused them.

use crate::sql::error::SqlError;

/// Most characters of a message that are kept: one may repeat a value of a table.
const MOST: usize = 600;

/// Limits of the parser, which it reports like mistakes.
const LIMITS: [&str; 2] = ["expression depth limit", "memory exhausted at or near"];

/// Where advice begins that is not for whoever wrote the query, or the query itself.
const ENDS: [&str; 5] = [
    "\nLINE ",
    "\nDatabase is launched",
    "\nPossible solutions",
    " Use \"SET ",
    " See also http",
];

/// What a message about a query says of it.
pub fn error(message: &str) -> SqlError {
    let line = line(message);
    let has = |text: &str| message.contains(text);
    if has("attached in read-only mode") {
        // The whole names the statement that was tried, such as the plan of the query.
        SqlError::Refused("it writes, and the database is open for reading".to_owned())
    } else if message.starts_with("Permission Error") {
        SqlError::Refused(line)
    } else if message.starts_with("Out of Memory Error") || LIMITS.iter().any(|limit| has(limit)) {
        SqlError::ResourceLimit(line)
    } else if message.starts_with("INTERNAL Error") || message.starts_with("FATAL Error") {
        SqlError::Database(line)
    } else {
        SqlError::Sql(line)
    }
}

/// A message on one line, without the query that DuckDB repeats at its end.
pub fn line(message: &str) -> String {
    let ends = ENDS.map(|end| message.find(end));
    let end = ends.into_iter().flatten().min().unwrap_or(message.len());
    let words: Vec<_> = message[..end].split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.is_empty() => "DuckDB gives no reason".to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_without_the_query() {
        let message = "Binder Error: Referenced column \"c\" not found in FROM clause!\nCandidate bindings: \"a\"\n\nLINE 1: SELECT c\n               ^";
        assert_eq!(
            error(message),
            SqlError::Sql(
                "Binder Error: Referenced column \"c\" not found in FROM clause! Candidate bindings: \"a\""
                    .to_owned()
            )
        );
        let long = line(&"ü".repeat(10_000));
        assert_eq!(long.chars().count(), MOST + 1);
        assert!(long.ends_with('…'));
    }
}
