//! Names of tables and columns as a query has them.

use rusqlite::Connection;
use std::borrow::Cow;

/// The name as SQL, in double quotes only where SQLite's parser needs them.
pub fn identifier(name: &str) -> Cow<'_, str> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let plain = name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit());
    match plain && is_free(name) {
        true => name.into(),
        false => quoted(name).into(),
    }
}

/// The name in double quotes.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Whether a word may name a table and a column: some keywords may.
fn is_free(word: &str) -> bool {
    thread_local! {
        static PARSER: Option<Connection> = Connection::open_in_memory().ok();
    }
    let sql = format!(
        "WITH {word}({word}) AS (SELECT 1) SELECT {word}.{word}, {word} FROM {word} WHERE {word} = 1"
    );
    PARSER.with(|parser| {
        parser
            .as_ref()
            .is_some_and(|parser| parser.prepare(&sql).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_quotes_has_them() {
        for name in [
            "a",
            "dept_id",
            "_x1",
            "Größe",
            "2nd",
            "order",
            "table",
            "index",
            "check",
            "references",
            "ORDER",
            "a b",
            "a\"b",
            "",
        ] {
            let sql = format!("CREATE TABLE {} (x)", identifier(name));
            let made = rusqlite::Connection::open_in_memory()
                .unwrap()
                .execute_batch(&sql);
            assert!(made.is_ok(), "{sql}: {made:?}");
        }
        assert_eq!(identifier("dept_id"), "dept_id");
        assert_eq!(identifier("key"), "key");
        assert_eq!(identifier("order"), "\"order\"");
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
    }
}
