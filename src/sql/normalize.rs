//! Text forms in which two queries are compared, or run.

use super::tokens::{Kind, Token, iterate, tokens};
use regex::Regex;
use std::sync::LazyLock;

/// Lower case, runs of white space as one space, none at the ends.
pub fn collapse(sql: &str) -> String {
    let words: Vec<_> = sql.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// [`collapse`], but literals and quoted names stay as they are.
pub fn plain(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut from = 0;
    let quoted = |token: &Token| matches!(token.kind, Kind::Text | Kind::Quoted);
    for token in tokens(sql).iter().filter(|token| quoted(token)) {
        squeeze(&sql[from..token.at], &mut text);
        text.push_str(token.text);
        from = token.end();
    }
    squeeze(&sql[from..], &mut text);
    text.trim().to_owned()
}

/// The tokens with one space between them: words in lower case, literals and quoted names as they are, without comments and the
/// last `;`. Two texts with the same form are the same query.
pub fn canonical(sql: &str) -> String {
    let tokens = tokens(sql);
    let last = tokens.iter().rposition(|token| !token.is(";"));
    let words = tokens.iter().take(last.map_or(0, |last| last + 1));
    let words = words.map(|token| match (token.kind, token.text) {
        (Kind::Word, word) => word.to_lowercase(),
        (_, "<>") => "!=".to_owned(),
        (_, "==") => "=".to_owned(),
        (_, text) => text.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether a text begins as a query does.
pub fn is_query(text: &str) -> bool {
    let mut words = iterate(text).skip_while(|token| token.is("("));
    let first = words.next();
    first.is_some_and(|token| ["select", "with"].iter().any(|word| token.is(word)))
}

/// Appends lower case with runs of white space as one space.
fn squeeze(sql: &str, text: &mut String) {
    for c in sql.chars() {
        match c.is_whitespace() {
            true if text.ends_with(' ') => {}
            true => text.push(' '),
            false => text.extend(c.to_lowercase()),
        }
    }
}

/// The `public-exact` form: the content of the first code fence if there is one, from the first word `select` to the first
/// `;`, collapsed, with `, ` for commas and no space around `( ) = < >`. Without the word `select`, the whole text.
pub fn public_exact(reply: &str) -> String {
    let text = collapse(fenced(reply));
    let text = &text[select_word(&text).unwrap_or(0)..];
    let text = text.split(';').next().unwrap_or(text);
    let mut tight = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '(' | ')' | '=' | '<' | '>' | ',') {
            tight.truncate(tight.trim_end().len());
        }
        let after_symbol = tight.ends_with(['(', ')', '=', '<', '>', ',']);
        if c != ' ' || !after_symbol {
            tight.push(c);
        }
    }
    tight.replace(',', ", ").trim().to_owned()
}

/// The form in which Spider's test-suite evaluator runs a query: operators without the space that tokenizers put into them,
/// 2020 for the current year of MySQL, and, unless `keep_distinct`, only the first statement and that without `DISTINCT`.
pub fn test_suite(sql: &str, keep_distinct: bool) -> String {
    static YEAR: LazyLock<Regex> = LazyLock::new(|| {
        let year = r"(?i)YEAR\s*\(\s*CURDATE\s*\(\s*\)\s*\)\s*";
        Regex::new(year).unwrap_or_else(|error| unreachable!("{error}"))
    });
    let mut text = sql.to_owned();
    for (spaced, operator) in [("> =", ">="), ("< =", "<="), ("! =", "!=")] {
        text = text.replace(spaced, operator);
    }
    if !keep_distinct {
        text = without_distinct(&text);
    }
    YEAR.replace_all(&text, "2020").into_owned()
}

fn without_distinct(sql: &str) -> String {
    let mut kept = String::with_capacity(sql.len());
    let mut from = 0;
    for token in tokens(sql) {
        if token.is("distinct") {
            kept.push_str(&sql[from..token.at]);
            from = token.end();
        } else if token.is(";") {
            kept.push_str(&sql[from..token.end()]);
            return kept;
        }
    }
    kept + &sql[from..]
}

/// The inside of the first pair of code fences, without the language named after the opening one.
fn fenced(reply: &str) -> &str {
    let Some((_, after)) = reply.split_once("```") else {
        return reply;
    };
    after.split("```").next().unwrap_or(after)
}

fn select_word(lower: &str) -> Option<usize> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    lower
        .match_indices("select")
        .map(|(at, _)| at)
        .find(|&at| !lower[..at].ends_with(is_name) && !lower[at + 6..].starts_with(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collapse_lowers_and_joins() {
        assert_eq!(collapse("  SELECT\n\tÀ ,  b "), "select à , b");
    }

    #[test]
    fn plain_keeps_what_is_quoted() {
        assert_eq!(
            plain("SELECT  \"A  b\", [C]\tFROM t WHERE x = 'It''s  Ö' "),
            "select \"A  b\", [C] from t where x = 'It''s  Ö'"
        );
        for (one, other) in [
            (
                "SELECT a FROM t WHERE b = 'Oslo'",
                "SELECT a FROM t WHERE b = 'oslo'",
            ),
            ("SELECT 'a  b'", "SELECT 'a b'"),
            ("SELECT `A`", "SELECT `a`"),
        ] {
            assert_ne!(plain(one), plain(other), "{one}");
            assert_eq!(collapse(one), collapse(other), "{one}");
        }
    }

    #[test]
    fn one_query_has_one_canonical_form() {
        let form = canonical("SELECT a ,count( * ) FROM t -- all\nWHERE b<>'A  b' ;");
        assert_eq!(form, "select a , count ( * ) from t where b != 'A  b'");
        assert_eq!(
            canonical("select a, COUNT(*) from t where b != 'A  b'"),
            form
        );
        assert_ne!(
            canonical("select a, count(*) from t where b != 'a  b'"),
            form
        );
        assert_eq!(canonical(" ; "), "");
        assert!(is_query("(( Select 1))") && is_query("with x as (select 1) select * from x"));
        assert!(!is_query("Selected: select 1") && !is_query(""));
    }

    #[test]
    fn test_suite_mends_operators_and_the_current_year() {
        assert_eq!(
            test_suite("select a where b > = year ( curdate() ) and c ! = 1", true),
            "select a where b >= 2020and c != 1"
        );
    }

    #[test]
    fn test_suite_drops_distinct_words_and_later_statements() {
        for (sql, expected) in [
            ("SELECT DISTINCT a FROM t", "SELECT  a FROM t"),
            (
                "select count(distinct a) from t; select 1",
                "select count( a) from t;",
            ),
            ("select 'distinct; a' from t", "select 'distinct; a' from t"),
            (
                "select distincta from t -- ; x",
                "select distincta from t -- ; x",
            ),
        ] {
            assert_eq!(test_suite(sql, false), expected);
            assert_eq!(test_suite(sql, true), sql);
        }
    }

    #[test]
    fn public_exact_spaces_symbols_one_way() {
        assert_eq!(
            public_exact("SELECT COUNT ( * ) , a,b FROM t WHERE x >= 3 AND y = 'Q';"),
            "select count(*), a, b from t where x>=3 and y='q'"
        );
    }

    #[test]
    fn public_exact_takes_the_fence_then_the_word_select() {
        assert_eq!(
            public_exact("I selected: ```sql\nSELECT 1;\n``` select 2"),
            "select 1"
        );
        assert_eq!(public_exact("The selected: select 1"), "select 1");
        assert_eq!(
            public_exact("```SELECT a"),
            "select a",
            "a fence that never closes"
        );
    }

    #[test]
    fn public_exact_cuts_at_the_first_semicolon_and_keeps_text_without_select() {
        assert_eq!(public_exact("select 1; select 2"), "select 1");
        assert_eq!(public_exact("No  idea"), "no idea");
    }
}
