//! Tells prose from SQL, where both could be.

use crate::sql::shape::is_keyword;
use crate::sql::tokens::{Kind, iterate};
use regex::Regex;
use std::sync::LazyLock;

/// A pattern that is written in the source.
pub fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Most bytes before a query that are its sentence.
const SENTENCE: usize = 300;

/// Whether a sentence that a query stands in offers it: `Use SELECT 1`, not `Do not use SELECT 1`. `quoted` is code in it.
pub fn offers(before: &str, quoted: bool) -> bool {
    const OFFERS: [&str; 15] = [
        "is",
        "are",
        "be",
        "use",
        "using",
        "query",
        "run",
        "execute",
        "sql",
        "statement",
        "try",
        "answer",
        "with",
        "gives",
        "write",
    ];
    let words = last_sentence(before);
    let last = words.last().map(String::as_str);
    !is_denied(before) && (quoted || last.is_some_and(|last| OFFERS.contains(&last)))
}

/// Whether the last sentence says that what follows is not the answer.
pub fn is_denied(before: &str) -> bool {
    const DENIES: [&str; 19] = [
        "not",
        "don't",
        "dont",
        "doesn't",
        "never",
        "avoid",
        "without",
        "instead",
        "rather",
        "example",
        "e.g",
        "could",
        "would",
        "might",
        "maybe",
        "cannot",
        "can't",
        "wrong",
        "incorrect",
    ];
    last_sentence(before)
        .iter()
        .any(|word| DENIES.contains(&word.as_str()))
}

fn last_sentence(before: &str) -> Vec<String> {
    let before = before.trim_end_matches(|c: char| !c.is_alphanumeric());
    let near = &before[before.ceil_char_boundary(before.len().saturating_sub(SENTENCE))..];
    let start = near
        .rfind(['.', '!', '?', ';', ':', '\n'])
        .map_or(0, |at| at + 1);
    let words = near[start..].split(|c: char| !(c.is_alphanumeric() || c == '\''));
    words
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// Whether words of English stand in what should be SQL: beside literals and parentheses, in which other dialects than SQLite's have some
/// too, as in `substring(phone from 1 for 2)`.
pub fn has_english(text: &str) -> bool {
    const ENGLISH: [&str; 19] = [
        "the",
        "of",
        "to",
        "which",
        "that",
        "this",
        "these",
        "we",
        "you",
        "your",
        "each",
        "per",
        "it",
        "statement",
        "query",
        "for",
        "our",
        "them",
        "must",
    ];
    let mut depth = 0_usize;
    iterate(text).any(|token| {
        match token.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        let bare = token.kind == Kind::Word && depth == 0 && token.text.len() < 10;
        bare && ENGLISH.contains(&token.text.to_lowercase().as_str())
    })
}

/// Whether the first letter alone is large, as where a sentence begins.
pub fn is_capitalised(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(char::is_uppercase) && chars.all(char::is_lowercase)
}

/// Whether what follows a whole statement, from the start of a line, is no part of it: cutting SQL off would score another
/// query than the model's.
pub fn begins(tail: &str) -> bool {
    // Clauses that SQLite lacks, and words that begin a clause but no expression.
    const CLAUSES: [&str; 9] = [
        "fetch",
        "qualify",
        "pivot",
        "lateral",
        "window",
        "for",
        "returning",
        "indexed",
        "start",
    ];
    let tail = tail.trim_start();
    let line = tail.lines().next().unwrap_or_default();
    let word = line
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .map_or(line, |end| &line[..end]);
    let Some(first) = tail.chars().next() else {
        return true;
    };
    let rest = &line[first.len_utf8()..];
    match first {
        c if c.is_ascii_digit() => true,
        '|' | '#' | '<' => true,
        '-' | '*' => rest.starts_with(' ') && rest.contains(char::is_alphabetic),
        '(' => is_capitalised(
            rest.split(|c: char| !c.is_alphabetic())
                .next()
                .unwrap_or_default(),
        ),
        c if c.is_alphabetic() => {
            let lower = word.to_lowercase();
            let verb = ["select", "with"].contains(&lower.as_str()) || !is_reading(&lower);
            let keyword = is_keyword(word) || CLAUSES.contains(&lower.as_str());
            let label = line[word.len()..].trim_start().starts_with(':');
            match verb || label {
                true => true,
                false if keyword => is_capitalised(word) && has_english(line),
                false => word.chars().count() == 1 || !word.chars().all(char::is_uppercase),
            }
        }
        c => !c.is_ascii(),
    }
}

/// False for the words that begin a statement which is no query.
fn is_reading(word: &str) -> bool {
    ![
        "insert",
        "update",
        "delete",
        "drop",
        "create",
        "alter",
        "attach",
        "detach",
        "vacuum",
        "reindex",
        "analyze",
        "pragma",
        "explain",
        "begin",
        "commit",
        "rollback",
        "savepoint",
        "release",
        "truncate",
        "merge",
    ]
    .contains(&word)
}

/// Where a sentence begins on the line of the byte `at`, at or before it.
pub fn sentence(sql: &str, at: usize) -> Option<usize> {
    static STARTS: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"\b(?:This|That|The|It|These|Note|Explanation|Here|Hope|Let|Each|Result|Output|Answer|SQLResult|I)\b",
        )
    });
    let line = sql[..at].rfind('\n').map_or(0, |end| end + 1);
    let found = STARTS
        .find_iter(&sql[line..])
        .map(|word| line + word.start());
    found.take_while(|start| *start <= at).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_dialects_are_no_english() {
        for sql in [
            "SELECT substring(phone from 1 for 2) FROM buyers",
            "SELECT x::text FROM films WHERE title = 'Out of Africa'",
            "SELECT extract(year from day) FROM sales WHERE interval '1' year > age",
        ] {
            assert!(!has_english(sql), "{sql}");
        }
        for prose in ["Select the rows from boat", "select names from it (all)"] {
            assert!(has_english(prose), "{prose}");
        }
    }
}
