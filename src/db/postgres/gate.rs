//! What a text asks for, before a server sees it: one statement that begins like a query, and the functions that it may call.

use super::words::{Quoting, Token, Tokens};
use std::collections::BTreeSet;

/// Words that queries begin with. What follows is for the server to judge, which takes nothing but a query into a cursor.
const BEGINNINGS: [&str; 4] = ["select", "with", "values", "table"];

/// One statement.
#[derive(Debug, PartialEq)]
pub struct Asked<'a> {
    /// From its first word on.
    pub statement: &'a str,
    /// Without the beginning of an `EXPLAIN`.
    pub query: &'a str,
    /// Every name that may be a function's.
    pub calls: BTreeSet<Call>,
}

/// A name that may be a function's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Empty where none is named.
    pub schema: String,
    pub name: String,
    /// It stands behind a point and before no parenthesis: a column, or a function of the row before the point.
    pub of_row: bool,
}

impl<'a> Asked<'a> {
    /// The whole statement, if the plan of the query is asked for.
    pub fn plan(&self) -> Option<&'a str> {
        (self.statement.len() != self.query.len()).then_some(self.statement)
    }
}

/// Reads a text; an error says what is wrong with it.
pub fn asked(sql: &str) -> Result<Asked<'_>, String> {
    if sql.contains('\0') {
        return Err("the SQL holds a NUL character".to_owned());
    }
    let mut tokens = Tokens::new(sql)
        .skip_while(|(_, token)| *token == Token::Mark(';'))
        .peekable();
    let (begin, first) = tokens.peek().cloned().ok_or("no query")?;
    let query = match first.is("explain") {
        true => {
            tokens.next();
            behind_options(&mut tokens)?
        }
        false => begin,
    };
    let first = Tokens::new(&sql[query..]).find(|(_, token)| *token != Token::Mark('('));
    let (_, first) = first.ok_or("no query")?;
    if !BEGINNINGS.iter().any(|word| first.is(word)) {
        let first = match first {
            Token::Word { name, .. } => name.chars().take(60).collect::<String>().to_uppercase(),
            Token::Mark(mark) => mark.to_string(),
            Token::Literal => "a value".to_owned(),
        };
        return Err(format!(
            "{first} is no query: one begins with SELECT, WITH, VALUES or TABLE, or with EXPLAIN and one of these"
        ));
    }
    Ok(Asked {
        statement: &sql[begin..],
        query: &sql[query..],
        calls: calls(&sql[query..])?,
    })
}

/// Where the query begins whose plan is asked for.
fn behind_options<'a>(
    tokens: &mut std::iter::Peekable<impl Iterator<Item = (usize, Token)> + 'a>,
) -> Result<usize, String> {
    const RUNS: &str = "EXPLAIN ANALYZE runs what it explains: leave ANALYZE out";
    let analyze = |token: &Token| matches!(token, Token::Word { name, .. } if name == "analyze" || name == "analyse");
    while let Some((at, token)) = tokens.next() {
        if analyze(&token) {
            return Err(RUNS.to_owned());
        }
        let options = token == Token::Mark('(')
            && tokens.peek().is_some_and(|(_, inside)| {
                matches!(inside, Token::Word { .. }) && !BEGINNINGS.iter().any(|b| inside.is(b))
            });
        if options {
            for (_, inside) in tokens.by_ref() {
                if analyze(&inside) {
                    return Err(RUNS.to_owned());
                }
                if inside == Token::Mark(')') {
                    break;
                }
            }
        } else if !token.is("verbose") {
            return Ok(at);
        }
    }
    Err("EXPLAIN of no query".to_owned())
}

/// Every name that stands where a function's may stand.
fn calls(query: &str) -> Result<BTreeSet<Call>, String> {
    let mut calls = BTreeSet::new();
    // The last three tokens.
    let [mut third, mut second, mut last] = [const { None }; 3];
    let mut ended = false;
    let end = (query.len(), Token::Mark(';'));
    for (_, token) in Tokens::new(query).chain([end]) {
        match &token {
            Token::Mark(';') => ended = true,
            _ if ended => {
                return Err("several statements; one query may be run at a time".to_owned());
            }
            Token::Mark('(') if last.as_ref().is_some_and(|last: &Token| last.is("treat")) => {
                return Err("TREAT calls a function by the name of a type".to_owned());
            }
            token if token.is("uescape") => {
                let unicode = Quoting::Unicode;
                if matches!(&last, Some(Token::Word { quoting, .. }) if *quoting == unicode) {
                    return Err("UESCAPE hides a name: write the name as it is".to_owned());
                }
            }
            _ => {}
        }
        if let Some(Token::Word { name, quoting }) = &last {
            let called = token == Token::Mark('(');
            let behind_point = second == Some(Token::Mark('.'));
            let schema = match (&third, called && behind_point) {
                (Some(Token::Word { name, .. }), true) => name.clone(),
                _ => String::new(),
            };
            if called || behind_point {
                for name in spellings(name, *quoting) {
                    calls.insert(Call {
                        schema: schema.clone(),
                        name,
                        of_row: !called,
                    });
                }
            }
        }
        (third, second, last) = (second, last, Some(token));
    }
    Ok(calls)
}

/// A name as it is, and as a server makes it small that has one byte a letter, if it makes other letters than A to Z small.
fn spellings(name: &str, quoting: Quoting) -> impl Iterator<Item = String> {
    let small = (quoting == Quoting::Bare && !name.is_ascii()).then(|| name.to_lowercase());
    [name.to_owned()].into_iter().chain(small)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sql: &str) -> Vec<String> {
        let asked = asked(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let name = |call: &Call| match (call.schema.as_str(), call.of_row) {
            ("", false) => call.name.clone(),
            ("", true) => format!(".{}", call.name),
            (schema, _) => format!("{schema}.{}", call.name),
        };
        asked.calls.iter().map(name).collect()
    }

    #[test]
    fn every_call_is_found() {
        for (sql, expected) in [
            ("SELECT f(1)", &["f"][..]),
            ("SELECT f (1), G/**/(2), h--\n(3)", &["f", "g", "h"]),
            ("SELECT pg_catalog . F (1)", &["pg_catalog.f"]),
            (
                "SELECT \"pg_catalog\".\"f\"(1), \"F\"(1)",
                &["F", "pg_catalog.f"],
            ),
            ("SELECT \"a\"\"b\"(1)", &["a\"b"]),
            (
                r#"SELECT U&"\0066"(1), u&"g\+000068" (1), U&"\d83d\de00"(1)"#,
                &["f", "gh", "😀"],
            ),
            (
                r#"SELECT U&"a\\b"(1), U&"\zz"(1), U&"\00"(1)"#,
                &["\\00", "\\zz", "a\\b"],
            ),
            ("SELECT u & \"f\"(1)", &["f"]),
            (
                "SELECT 'f(1)', $$f(1)$$, $a$ $$ f(1) $b$ f(1) $a$, E'\\'f(1)'",
                &[],
            ),
            ("SELECT '\\', f(1), '''f(1)'", &["f"]),
            ("SELECT E'a'\n -- '\n '\\'f(1)', g(1)", &["g"]),
            ("SELECT 'a'\n'\\', g(1)", &["g"]),
            ("SELECT 'a' /* \n */ 'b', g(1)", &["g"]),
            ("SELECT B'1', x'ff', N'f(1)', g(1)", &["g"]),
            ("SELECT $1a$f(1)$1a$, $1$a$g(1)$a$", &["a$f"]),
            ("SELECT a$b$(1), c", &["a$b$"]),
            ("SELECT 1and f(1), 2.5g(1), 0x1h(1)", &["f", "g", "x1h"]),
            ("SELECT 1.e'\\'f(1)', g(1)", &["g"]),
            ("SELECT /* /* */ f(1) */ g(1) -- h(1)", &["g"]),
            ("SELECT a -- '\n, f(1) -- '", &["f"]),
            (
                "SELECT t.f, (t).g, t.h(1), x.y.z(1), t.*",
                &[".f", ".g", ".y", "t.h", "y.z"],
            ),
            ("SELECT É(1), \"É\"(2)", &["É", "é"]),
            ("SELECT x\u{a0}(1)", &["x\u{a0}"]),
            ("SELECT a FROM treat", &[]),
            ("SELECT \"a\" uescape FROM t", &[]),
            ("TABLE t", &[]),
            ("EXPLAIN (FORMAT json) SELECT f(1)", &["f"]),
        ] {
            assert_eq!(names(sql), expected, "{sql}");
        }
    }

    #[test]
    fn the_query_of_a_plan_is_found() {
        for (sql, statement, query) in [
            ("SELECT 1", "SELECT 1", "SELECT 1"),
            (
                " ;;/* a */ -- b\n (select 1);; -- c",
                "(select 1);; -- c",
                "(select 1);; -- c",
            ),
            ("explain SELECT 1", "explain SELECT 1", "SELECT 1"),
            ("EXPLAIN (SELECT 1)", "EXPLAIN (SELECT 1)", "(SELECT 1)"),
            (
                "EXPLAIN ((SELECT 1))",
                "EXPLAIN ((SELECT 1))",
                "((SELECT 1))",
            ),
            (
                "EXPLAIN VERBOSE TABLE t",
                "EXPLAIN VERBOSE TABLE t",
                "TABLE t",
            ),
            (
                "EXPLAIN (FORMAT 'json', verbose on) VALUES (1)",
                "EXPLAIN (FORMAT 'json', verbose on) VALUES (1)",
                "VALUES (1)",
            ),
        ] {
            let asked = asked(sql).unwrap();
            assert_eq!((asked.statement, asked.query), (statement, query));
            assert_eq!(asked.plan().is_some(), statement != query);
        }
    }

    #[test]
    fn what_is_no_single_query_is_told() {
        for (sql, reason) in [
            ("", "no query"),
            (" ;; -- a", "no query"),
            ("/* SELECT 1", "no query"),
            ("((", "no query"),
            ("COPY t TO STDOUT", "COPY is no query"),
            ("/* SELECT */ drop table t", "DROP is no query"),
            ("\u{feff}SELECT 1", "\u{feff}SELECT is no query"),
            ("\"select\" 1", "SELECT is no query"),
            ("1", "a value is no query"),
            ("+ 1", "+ is no query"),
            ("(((DELETE FROM t)))", "DELETE is no query"),
            ("SELECTS 1", "SELECTS is no query"),
            ("SELECT 1; SELECT 2", "several statements"),
            ("SELECT 1;;COMMIT", "several statements"),
            ("SELECT 1 'x;' ; $$;$$", "several statements"),
            ("EXPLAIN", "EXPLAIN of no query"),
            ("EXPLAIN (verbose", "EXPLAIN of no query"),
            ("EXPLAIN ANALYZE SELECT 1", "EXPLAIN ANALYZE runs"),
            ("EXPLAIN VERBOSE analyse SELECT 1", "EXPLAIN ANALYZE runs"),
            (
                "EXPLAIN (FORMAT json, ANALYZE) SELECT 1",
                "EXPLAIN ANALYZE runs",
            ),
            (
                "EXPLAIN (\"analyze\" true) SELECT 1",
                "EXPLAIN ANALYZE runs",
            ),
            (
                r#"EXPLAIN (U&"\0061nalyze") SELECT 1"#,
                "EXPLAIN ANALYZE runs",
            ),
            ("EXPLAIN EXECUTE p", "EXECUTE is no query"),
            ("EXPLAIN EXPLAIN SELECT 1", "EXPLAIN is no query"),
            ("EXPLAIN (SELECT 1) COPY t TO 'x'", ""),
            ("SELECT TREAT(1 AS f)", "TREAT"),
            ("SELECT treat /**/ (1 AS f)", "TREAT"),
            ("SELECT U&\"d!0061\" UESCAPE '!' (1)", "UESCAPE"),
            ("SELECT 1\0", "NUL"),
        ] {
            match asked(sql) {
                Err(told) => assert!(told.contains(reason), "{sql}: {told}"),
                Ok(_) => assert!(reason.is_empty(), "{sql}"),
            }
        }
    }
}
