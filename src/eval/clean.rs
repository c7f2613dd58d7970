//! How clean the replies are: a query alone, or one with something around it that a caller would have to cut off.

use super::score::ScoredRow;
use crate::sql::tokens::tokens;
use serde::Serialize;

/// The class of a reply that is one query and nothing else.
pub const CLEAN: &str = "clean";

/// Most bytes of a reply that are looked at.
const MAX_REPLY: usize = 1 << 20;

/// The class of one row's reply.
#[derive(Clone, Debug, Serialize)]
pub struct Cleanness<'a> {
    pub index: usize,
    pub id: Option<&'a str>,
    pub clean_output: &'static str,
    pub predicted_sql: &'a str,
}

/// One entry a row.
pub fn cleanness(rows: &[ScoredRow]) -> Vec<Cleanness<'_>> {
    let of_row = |row| {
        let row: &ScoredRow = row;
        Cleanness {
            index: row.index,
            id: row.id.as_deref(),
            clean_output: class(&row.predicted_sql),
            predicted_sql: &row.predicted_sql,
        }
    };
    rows.iter().map(of_row).collect()
}

/// The share of clean replies.
pub fn clean_rate(replies: &[Cleanness]) -> f64 {
    let clean = replies.iter().filter(|reply| reply.clean_output == CLEAN);
    clean.count() as f64 / replies.len().max(1) as f64
}

/// The first that applies: `no_select_prefix`, `markdown_fence`, `multiple_statements`, `text_after_semicolon`, `clean`.
pub fn class(reply: &str) -> &'static str {
    let reply = &reply[..reply.floor_char_boundary(MAX_REPLY)];
    let words = tokens(reply);
    let starts = |word| words.first().is_some_and(|first| first.is(word));
    let semicolon = words.iter().position(|token| token.is(";"));
    let after = semicolon.map_or(&[][..], |at| &words[at + 1..]);
    let begins_statement = |word| after.iter().any(|token| token.is(word));
    if !starts("select") && !starts("with") {
        "no_select_prefix"
    } else if reply.contains("```") {
        "markdown_fence"
    } else if begins_statement("select") || begins_statement("with") {
        "multiple_statements"
    } else if !after.is_empty() {
        "text_after_semicolon"
    } else {
        CLEAN
    }
}

#[cfg(test)]
mod tests {
    use super::class;

    #[test]
    fn the_first_class_that_applies() {
        for (reply, expected) in [
            ("select 1", "clean"),
            ("  WITH a AS (select 1) select * from a ;\n", "clean"),
            ("select ';' from t; -- done", "clean"),
            ("", "no_select_prefix"),
            ("The query: select 1", "no_select_prefix"),
            ("```sql\nselect 1\n```", "no_select_prefix"),
            ("select 1\n``` ; select 2", "markdown_fence"),
            ("select 1; select 2", "multiple_statements"),
            ("select 1; This counts.", "text_after_semicolon"),
            ("select 1;;", "text_after_semicolon"),
        ] {
            assert_eq!(class(reply), expected, "{reply}");
        }
    }
}
