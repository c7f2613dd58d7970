//! Values of `:name` in a query. No engine is given them apart from the text: they are written into it, each as one literal.

use anyhow::{Result, bail, ensure};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The query with a literal in place of each `:name`. In texts, quoted names, comments and behind another colon there is none. Errors name what
/// is missing, and what is not in the query.
pub fn filled(query: &str, values: &Map<String, Value>) -> Result<String> {
    if values.is_empty() {
        return Ok(query.to_owned());
    }
    let mut written = String::new();
    let mut used = BTreeSet::new();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' | '`' => {
                let end = rest[1..].find(first);
                end.map_or(rest.len(), |end| end + 2)
            }
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            ':' if rest.starts_with("::") => 2,
            ':' => {
                let name = word(&rest[1..]);
                let behind = written.chars().last().is_some_and(is_word);
                if !name.is_empty() && !behind {
                    let Some(value) = values.get(name) else {
                        bail!("the query names :{name}, and params has no value for it");
                    };
                    written.push_str(&literal(name, value)?);
                    used.insert(name);
                    rest = &rest[1 + name.len()..];
                    continue;
                }
                1
            }
            other => other.len_utf8(),
        };
        written.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    let unused: Vec<&str> = values
        .keys()
        .map(String::as_str)
        .filter(|name| !used.contains(name))
        .collect();
    ensure!(
        unused.is_empty(),
        "params has {}, and the query names no :{}",
        unused.join(", "),
        unused.first().unwrap_or(&"")
    );
    Ok(written)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(text: &str) -> &str {
    let end = text.find(|c| !is_word(c));
    &text[..end.unwrap_or(text.len())]
}

fn literal(name: &str, value: &Value) -> Result<String> {
    Ok(match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(boolean) => boolean.to_string(),
        // Behind a minus, a negative number would begin a comment.
        Value::Number(number) => match number.to_string() {
            negative if negative.starts_with('-') => format!("({negative})"),
            number => number,
        },
        Value::String(text) => {
            ensure!(!text.contains('\0'), "params: {name} holds a NUL character");
            format!("'{}'", text.replace('\'', "''"))
        }
        Value::Array(_) | Value::Object(_) => {
            bail!("params: {name} is neither a text, a number, true, false nor null")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fill(query: &str, values: Value) -> Result<String> {
        filled(query, values.as_object().unwrap())
    }

    #[test]
    fn names_become_literals_and_nothing_else_does() {
        for (query, values, expected) in [
            (
                "SELECT * FROM t WHERE a = :a AND b=:b",
                json!({"a": "it's; DROP", "b": -1}),
                "SELECT * FROM t WHERE a = 'it''s; DROP' AND b=(-1)",
            ),
            (
                "SELECT ':a', \":a\", `:a`, a::text, x[1:2], /* :a */ :a -- :a",
                json!({"a": 1.5}),
                "SELECT ':a', \":a\", `:a`, a::text, x[1:2], /* :a */ 1.5 -- :a",
            ),
            (
                "SELECT 'it''s :a', :a, :a",
                json!({"a": null}),
                "SELECT 'it''s :a', NULL, NULL",
            ),
            ("SELECT :ü_1", json!({"ü_1": true}), "SELECT true"),
            ("SELECT 'open :a", json!({}), "SELECT 'open :a"),
        ] {
            assert_eq!(fill(query, values).unwrap(), expected);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (query, values, part) in [
            ("SELECT :b", json!({"a": 1}), ":b, and params has no value"),
            ("SELECT 1", json!({"a": 1}), "params has a, and"),
            ("SELECT :a", json!({"a": [1]}), "a is neither a text"),
            ("SELECT :a", json!({"a": "\0"}), "NUL"),
        ] {
            let error = fill(query, values).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
