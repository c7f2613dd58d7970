//! The tables that a query names, by its text alone.

use super::tokens::{Kind, Token, tokens};

/// What ends a list of tables.
const ENDS: [&str; 10] = [
    "select",
    "where",
    "group",
    "having",
    "order",
    "limit",
    "window",
    "union",
    "intersect",
    "except",
];

/// What stands in brackets, or outside all of them.
struct Level {
    /// Whether FROM begins tables here, and is no word of a function such as `extract(year FROM born)`.
    query: bool,
    /// Whether a comma stands between tables.
    listing: bool,
    /// Whether a table comes next.
    due: bool,
}

/// The tables that a query reads, without their schemas and quotes, each once whatever its case, in their order. Names that the query gives by WITH are
/// none, nor are functions.
pub fn named(sql: &str) -> Vec<String> {
    let tokens = tokens(sql);
    let given = given(&tokens);
    let level = |query, due| Level {
        query,
        listing: due,
        due,
    };
    let mut levels = vec![level(true, false)];
    let mut found: Vec<String> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Some(here) = levels.last_mut() else { break };
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        if token.is("(") {
            let due = std::mem::take(&mut here.due);
            let begins = |word| tokens.get(at + 1).is_some_and(|next| next.is(word));
            let query = ["select", "with", "values"].iter().any(|word| begins(word));
            // `FROM (a JOIN b …)`
            levels.push(level(query || due, due && !query));
        } else if token.is(")") {
            // One too many closes nothing.
            if levels.len() > 1 {
                levels.pop();
            }
        } else if token.is("from") {
            // `IS DISTINCT FROM` compares.
            if here.query && !before.is_some_and(|before| before.is("distinct")) {
                (here.listing, here.due) = (true, true);
            }
        } else if token.is("join") || token.is(",") {
            here.due = here.listing;
        } else if ENDS.iter().any(|end| token.is(end)) {
            (here.listing, here.due) = (false, false);
        } else if here.due && !token.is("lateral") {
            let next = |text| tokens.get(at + 1).is_some_and(|next| next.is(text));
            if token.is(".") || next(".") {
                continue;
            }
            here.due = false;
            let name = name(token).filter(|name| !next("(") && !name.is_empty());
            let Some(name) = name else { continue };
            let alike = |other: &String| other.eq_ignore_ascii_case(&name);
            if !given.iter().any(alike) && !found.iter().any(alike) {
                found.push(name);
            }
        }
    }
    found
}

/// The names that WITH gives: `name AS (`, perhaps with columns behind the name.
fn given(tokens: &[Token]) -> Vec<String> {
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token: &Token| token.is(text));
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let begins = at.checked_sub(1).is_some_and(|before| {
            ["with", "recursive", ","]
                .iter()
                .any(|word| is(before, word))
        });
        let Some(name) = name(token).filter(|_| begins) else {
            continue;
        };
        let mut next = at + 1;
        if is(next, "(") {
            let columns = tokens[next..].iter().position(|token| token.is(")"));
            next += columns.map_or(0, |columns| columns + 1);
        }
        if is(next, "as") {
            let words = ["not", "materialized"];
            let body = (next + 1..).find(|at| !words.iter().any(|word| is(*at, word)));
            if body.is_some_and(|body| is(body, "(")) {
                names.push(name);
            }
        }
    }
    names
}

/// A name without its quotes.
fn name(token: &Token) -> Option<String> {
    match token.kind {
        Kind::Word => Some(token.text.to_owned()),
        Kind::Quoted => {
            let quote = token.text.chars().next()?;
            let close = if quote == '[' { ']' } else { quote };
            let inside = token.text.strip_prefix(quote)?;
            let inside = inside.strip_suffix(close).unwrap_or(inside);
            Some(inside.replace(&format!("{close}{close}"), &close.to_string()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn tables_are_found_wherever_they_stand() {
        for (sql, expected) in [
            ("SELECT 1", &[][..]),
            ("SELECT a FROM boats", &["boats"]),
            (
                "SELECT a FROM Boats b, crews AS c, boats",
                &["Boats", "crews"],
            ),
            (
                "SELECT x FROM a LEFT JOIN main.b ON a.i = f(b.i, a.j), \"c d\" WHERE a.k IN (SELECT k FROM [e]) ORDER BY g, h",
                &["a", "b", "c d", "e"],
            ),
            (
                "SELECT (SELECT max(x) FROM a), 'FROM z' FROM (SELECT * FROM b) t JOIN (c CROSS JOIN `d`) -- FROM y",
                &["a", "b", "c", "d"],
            ),
            (
                "WITH t AS (SELECT * FROM a), u(x, y) AS NOT MATERIALIZED (SELECT 1, 2 FROM t) SELECT * FROM u JOIN T, b",
                &["a", "b"],
            ),
            (
                "SELECT extract(year FROM born), x IS DISTINCT FROM y FROM a UNION SELECT q, r FROM b LIMIT 1, 2",
                &["a", "b"],
            ),
            (
                "SELECT value FROM json_each('[1]') j, LATERAL (SELECT 1 FROM a) s, \"we\"\"ird\"",
                &["a", "we\"ird"],
            ),
            ("FROM a SELECT x, y", &["a"]),
            ("SELECT FROM ) ) FROM a, ((( FROM (", &["a"]),
            ("from from", &[]),
        ] {
            assert_eq!(named(sql), expected, "{sql}");
        }
    }
}
