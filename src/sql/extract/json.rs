//! Replies that are JSON.

use regex::Regex;
use serde_json::{Deserializer, Value};
use std::sync::LazyLock;

/// The strings of a JSON value.
pub struct Strings {
    /// Those under keys that name a query, else all.
    pub queries: Vec<String>,
    pub all: Vec<String>,
}

/// The strings of the first JSON value that begins before `before`.
pub fn strings(text: &str, before: usize) -> Option<Strings> {
    static START: LazyLock<Regex> = LazyLock::new(|| {
        let start = r#"\{\s*"|\[\s*[\{"]|^\s*""#;
        Regex::new(start).unwrap_or_else(|error| unreachable!("{error}"))
    });
    let start = START.find(text)?.start();
    if start >= before {
        return None;
    }
    let mut values = Deserializer::from_str(&text[start..]).into_iter::<Value>();
    let value = values.next()?.ok()?;
    let (mut named, mut all) = (Vec::new(), Vec::new());
    collect(&value, false, &mut named, &mut all);
    let queries = if named.is_empty() { all.clone() } else { named };
    Some(Strings { queries, all })
}

fn collect(value: &Value, is_query: bool, named: &mut Vec<String>, all: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            all.push(text.clone());
            if is_query {
                named.push(text.clone());
            }
        }
        Value::Array(items) => {
            for item in items {
                collect(item, is_query, named, all);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                let key = key.to_lowercase();
                let names = ["sql", "query", "statement"].iter();
                let names_query = names.clone().any(|name| key.contains(name));
                collect(item, is_query || names_query, named, all);
            }
        }
        _ => {}
    }
}
