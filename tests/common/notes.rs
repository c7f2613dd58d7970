//! The dialect notes of src/db/notes, their snippets, and the tables that these read. Included by path: not every file uses all of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

pub const DIALECTS: [&str; 8] = [
    "bigquery",
    "clickhouse",
    "duckdb",
    "mysql",
    "postgres",
    "snowflake",
    "sqlite",
    "tsql",
];

/// A path inside the repository.
pub fn place(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: String) -> String {
    fs::read_to_string(place(&path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The notes of a dialect as they are.
pub fn notes(dialect: &str) -> String {
    read(format!("src/db/notes/{dialect}.md"))
}

/// A script that makes the tables which the snippets read: of sqlite, duckdb and postgres.
pub fn fixture(dialect: &str) -> String {
    read(format!("tests/goldens/notes/{dialect}.sql"))
}

/// Every piece of SQL in the notes of a dialect, behind the facet that it stands under.
pub fn snippets(dialect: &str) -> Vec<(String, String)> {
    let mut snippets = Vec::new();
    let mut facet = String::new();
    let mut open: Option<String> = None;
    for line in notes(dialect).lines() {
        open = match open.take() {
            Some(sql) if line == "```" => {
                snippets.push((facet.clone(), sql));
                None
            }
            Some(sql) => Some(sql + line + "\n"),
            None if line == "```sql" => Some(String::new()),
            None => {
                if let Some(title) = line.strip_prefix("## ") {
                    facet = title.to_owned();
                }
                None
            }
        };
    }
    assert!(
        open.is_none(),
        "{dialect}, {facet}: a block of SQL has no end"
    );
    snippets
}

/// Pieces of syntax by where they are looked for (`notes`, or `snippets` alone), each with the dialects that have it.
pub fn markers() -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    toml::from_str(&read("tests/goldens/notes/markers.toml".to_owned())).unwrap()
}

/// Whether a text holds a marker, in either case and not inside a longer word.
pub fn holds(text: &str, marker: &str) -> bool {
    let (text, marker) = (text.to_lowercase(), marker.to_lowercase());
    let of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (first, last) = (marker.chars().next(), marker.chars().next_back());
    text.match_indices(&marker).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + marker.len()..].chars().next();
        let inside = (of_word(before) && of_word(first)) || (of_word(last) && of_word(after));
        !inside
    })
}
