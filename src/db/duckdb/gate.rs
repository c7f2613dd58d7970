//! What a text asks for, by its first words. DuckDB says what a statement is, but not always the truth: a PRAGMA may pass as a
//! query. So a query has to begin with a word that only queries begin with, and DuckDB is handed nothing that stands before it.

/// A text without what stands before its query.
#[derive(Debug, PartialEq)]
pub struct Asked<'a> {
    /// The beginning of `EXPLAIN …`, in words of its own; empty for a query that is to be run.
    pub plan: String,
    /// From its first word on.
    pub query: &'a str,
}

/// Words that only queries begin with, where DuckDB can parse them.
const BEGINNINGS: [&str; 14] = [
    "(",
    "SELECT",
    "WITH",
    "FROM",
    "VALUES",
    "TABLE",
    "DESCRIBE",
    "DESC",
    "SHOW",
    "SUMMARIZE",
    "PIVOT",
    "UNPIVOT",
    "PIVOT_WIDER",
    "PIVOT_LONGER",
];

/// Reads the words before a query.
pub fn asked(sql: &str) -> Asked<'_> {
    let (word, rest) = word(sql);
    if !word.eq_ignore_ascii_case("EXPLAIN") {
        return Asked {
            plan: String::new(),
            query: bare(sql),
        };
    }
    let mut asked = Asked {
        plan: "EXPLAIN".to_owned(),
        query: bare(rest),
    };
    while let Some(rest) = option(asked.query) {
        let option = &asked.query[..asked.query.len() - rest.len()];
        asked.plan = format!("{} {option}", asked.plan);
        asked.query = bare(rest);
    }
    asked
}

/// Why a text is no query, by its first word: that word.
pub fn stranger(query: &str) -> Option<String> {
    let (word, _) = word(query);
    let known = BEGINNINGS.iter().any(|b| word.eq_ignore_ascii_case(b));
    (!known).then(|| word.to_ascii_uppercase())
}

/// What stands behind an option of EXPLAIN, if there is one: `ANALYZE`, or words in parentheses.
fn option(text: &str) -> Option<&str> {
    let is_option = |word: &str| {
        ["ANALYZE", "ANALYSE", "VERBOSE", "FORMAT"]
            .iter()
            .any(|option| word.eq_ignore_ascii_case(option))
    };
    let (word, rest) = word(text);
    if word != "(" {
        return is_option(word).then_some(rest);
    }
    let end = rest.find(')')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "_,".contains(c);
    let inside = &rest[..end];
    let options = is_option(self::word(inside).0) && inside.chars().all(plain);
    options.then_some(&rest[end + 1..])
}

/// The first word, or a parenthesis, and what follows it; empty before anything else.
fn word(text: &str) -> (&str, &str) {
    let text = bare(text);
    let of_word = |c: char| c.is_alphanumeric() || c == '_';
    let end = match text.starts_with('(') {
        true => 1,
        false => text.find(|c| !of_word(c)).unwrap_or(text.len()),
    };
    text.split_at(end)
}

/// Without white space, comments and semicolons at the beginning. A comment in a comment is part of it.
fn bare(text: &str) -> &str {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || ";\u{feff}".contains(c));
        if let Some(comment) = rest.strip_prefix("--") {
            let end = comment.find(['\n', '\r']).unwrap_or(comment.len());
            rest = &comment[end..];
        } else if rest.starts_with("/*") {
            rest = behind_comment(rest);
        } else {
            return rest;
        }
    }
}

/// What follows a comment in stars; nothing if it does not end.
fn behind_comment(text: &str) -> &str {
    let (mut depth, mut at) = (0, 0);
    loop {
        let rest = &text[at..];
        let Some(next) = rest.find(['/', '*']) else {
            return "";
        };
        at += next;
        let (step, by) = match text.get(at..at + 2) {
            Some("/*") => (1, 2),
            Some("*/") => (-1, 2),
            _ => (0, 1),
        };
        depth += step;
        at += by;
        if depth == 0 {
            return &text[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_a_query_is_skipped() {
        for (sql, query) in [
            ("SELECT 1", "SELECT 1"),
            (" \t\n;; select 1; -- end", "select 1; -- end"),
            ("-- PRAGMA\nSELECT 1", "SELECT 1"),
            ("-- PRAGMA\rSELECT 1", "SELECT 1"),
            ("--\n--\n/* a */ /**/ SELECT 1", "SELECT 1"),
            ("/* /* in */ PRAGMA x */SELECT 1", "SELECT 1"),
            ("/*/ SELECT 2 */ SELECT 1", "SELECT 1"),
            ("/***/ SELECT 1", "SELECT 1"),
            ("\u{a0}\u{feff}(SELECT 1)", "(SELECT 1)"),
            ("/* ü */ FROM t", "FROM t"),
            ("/* open SELECT 1", ""),
            ("/* open /* SELECT */ 1", ""),
            ("-- only words", ""),
            ("", ""),
        ] {
            let plan = String::new();
            assert_eq!(asked(sql), Asked { plan, query }, "{sql}");
        }
    }

    #[test]
    fn the_options_of_a_plan_are_kept() {
        for (sql, plan, query) in [
            ("EXPLAIN SELECT 1", "EXPLAIN", "SELECT 1"),
            ("explain/* */analyze FROM t", "EXPLAIN analyze", "FROM t"),
            (
                "EXPLAIN (FORMAT json) SELECT 1",
                "EXPLAIN (FORMAT json)",
                "SELECT 1",
            ),
            (
                "EXPLAIN (ANALYZE, FORMAT json) SELECT (1)",
                "EXPLAIN (ANALYZE, FORMAT json)",
                "SELECT (1)",
            ),
            ("EXPLAIN (SELECT 1)", "EXPLAIN", "(SELECT 1)"),
            (
                "EXPLAIN ANALYZE COPY t TO 'x'",
                "EXPLAIN ANALYZE",
                "COPY t TO 'x'",
            ),
            ("EXPLAIN -- x\n PRAGMA x", "EXPLAIN", "PRAGMA x"),
            (
                "EXPLAIN (FORMAT 'x) SELECT 1 --') COPY t TO 'x'",
                "EXPLAIN",
                "(FORMAT 'x) SELECT 1 --') COPY t TO 'x'",
            ),
            (
                "EXPLAIN (FORMAT /*) SELECT 1*/",
                "EXPLAIN",
                "(FORMAT /*) SELECT 1*/",
            ),
            ("EXPLAIN", "EXPLAIN", ""),
        ] {
            let plan = plan.to_owned();
            assert_eq!(asked(sql), Asked { plan, query }, "{sql}");
        }
    }

    #[test]
    fn only_queries_begin_like_queries() {
        for sql in [
            "select 1",
            "(SELECT 1)",
            "With a AS (FROM b) FROM a",
            "pivot t ON a",
        ] {
            assert_eq!(stranger(sql), None, "{sql}");
        }
        for (sql, word) in [
            ("PRAGMA enable_profiling", "PRAGMA"),
            ("call f()", "CALL"),
            ("SELECTS 1", "SELECTS"),
            ("\"SELECT\" 1", ""),
            ("", ""),
        ] {
            assert_eq!(stranger(sql).as_deref(), Some(word), "{sql}");
        }
    }
}
