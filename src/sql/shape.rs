//! The shape of a query: what is left when its names and literals are blanked out.

use super::tokens::{Kind, Token, tokens};

/// The structure of `sql`: keywords, functions and operators lowercased, every literal `?`, every name `_`.
///
/// A qualified name (`e.name`) is one name. Two queries share a shape exactly when they differ only in
/// names, literals, letter case and white space.
pub fn shape(sql: &str) -> String {
    let tokens = tokens(sql);
    let mut parts: Vec<String> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1);
        let part = match token.kind {
            Kind::Text | Kind::Number => "?".to_string(),
            Kind::Quoted => "_".to_string(),
            Kind::Symbol if token.is(";") && next.is_none() => continue,
            Kind::Symbol => token.text.to_string(),
            Kind::Word => word(token, next),
        };
        parts.push(part);
        fold(&mut parts);
    }
    parts.join(" ")
}

/// True for the SQLite keywords a query is built from.
pub fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word.to_ascii_lowercase().as_str())
}

fn word(token: &Token, next: Option<&Token>) -> String {
    let lower = token.text.to_lowercase();
    let called = next.is_some_and(|next| next.is("("));
    match lower.as_str() {
        "true" | "false" => "?".to_string(),
        keyword if is_keyword(keyword) => lower,
        _ if called => lower,
        _ => "_".to_string(),
    }
}

/// Joins `_ . _` to `_` and a sign to its number, so that neither changes the shape.
fn fold(parts: &mut Vec<String>) {
    let tail: Vec<&str> = parts.iter().rev().take(3).map(String::as_str).collect();
    match tail[..] {
        // After the dot everything is a name, even a word that elsewhere is a keyword.
        [last, ".", "_"] if last != "*" => parts.truncate(parts.len() - 2),
        ["?", "-" | "+", before] if !ends_a_value(before) => {
            parts.truncate(parts.len() - 2);
            parts.push("?".to_string());
        }
        _ => {}
    }
}

fn ends_a_value(part: &str) -> bool {
    matches!(part, "_" | "?" | ")" | "*" | "end" | "null")
}

const KEYWORDS: [&str; 58] = [
    "all",
    "and",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "collate",
    "cross",
    "desc",
    "distinct",
    "else",
    "end",
    "escape",
    "except",
    "exists",
    "filter",
    "following",
    "from",
    "full",
    "glob",
    "group",
    "having",
    "in",
    "inner",
    "intersect",
    "is",
    "isnull",
    "join",
    "left",
    "like",
    "limit",
    "natural",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "partition",
    "preceding",
    "range",
    "recursive",
    "right",
    "rows",
    "select",
    "then",
    "unbounded",
    "union",
    "using",
    "values",
    "when",
    "where",
    "with",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_literals_do_not_matter() {
        let one =
            shape("select e.name from staff e join teams t on e.team = t.id where t.name = 'A';");
        let two = shape("SELECT \"b\".title\nFROM books b JOIN a ON b.x = a.y WHERE a.z = 7");
        assert_eq!(
            one,
            "select _ from _ _ join _ on _ = _ where _ = ?".replace("join _", "join _ _")
        );
        assert_ne!(one, two, "an alias is structure");
        assert_eq!(
            one,
            shape("select b.t from books b join a q on b.x = q.y where q.z = 7")
        );
    }

    #[test]
    fn functions_operators_and_clauses_matter() {
        let base = shape("select avg(pay) from staff where age > 30;");
        assert_eq!(base, "select avg ( _ ) from _ where _ > ?");
        for other in [
            "select sum(pay) from staff where age > 30;",
            "select avg(pay) from staff where age >= 30;",
            "select avg(distinct pay) from staff where age > 30;",
            "select avg(pay) from staff where age > 30 limit 1;",
            "select avg(pay) from staff;",
        ] {
            assert_ne!(base, shape(other), "{other}");
        }
    }

    #[test]
    fn signs_and_booleans_are_literals_but_arithmetic_is_not() {
        assert_eq!(
            shape("select a from t where b > -5"),
            shape("select a from t where b > 5")
        );
        assert_eq!(
            shape("select a from t where b = true"),
            shape("select a from t where b = 1")
        );
        assert_eq!(shape("select a - 5 from t"), "select _ - ? from _");
    }

    #[test]
    fn keywords_after_a_dot_are_names_and_stars_stay() {
        assert_eq!(shape("select t.order from t"), "select _ from _");
        assert_eq!(shape("select t.* from t"), "select _ . * from _");
        assert_eq!(
            shape("select count(*) from t where x in ('a', 'b')"),
            "select count ( * ) from _ where _ in ( ? , ? )"
        );
    }
}
