//! Checks the merges of a byte-pair tokenizer before `tokenizers` (0.23) builds it, which panics on
//! a merge into a token longer than every other.

use anyhow::{Result, bail, ensure};
use candle_core::quantized::gguf_file::{Content, Value};
use serde_json::Value as Json;
use std::collections::HashSet;

/// Checks the merges in GGUF metadata. What is missing or of another type is for the reader to name.
pub fn check_gguf(content: &Content) -> Result<()> {
    let strings = |key: &str| {
        let values = match content.metadata.get(key) {
            Some(Value::Array(values)) => values.as_slice(),
            _ => &[],
        };
        values.iter().filter_map(|v| v.to_string().ok())
    };
    let vocabulary = strings("tokenizer.ggml.tokens").map(String::as_str);
    let merges = strings("tokenizer.ggml.merges").filter_map(|m| m.split_once(' '));
    check(vocabulary.collect(), merges)
}

/// Checks the merges in a `tokenizer.json`.
pub fn check_json(text: &str) -> Result<()> {
    let file: Json = serde_json::from_str(text)?;
    let model = &file["model"];
    let prefix = &model["continuing_subword_prefix"];
    ensure!(
        prefix.as_str().unwrap_or_default().is_empty(),
        "continuing_subword_prefix {prefix} is not supported"
    );
    let vocabulary = model["vocab"]
        .as_object()
        .into_iter()
        .flat_map(|v| v.keys());
    let merges = model["merges"].as_array().into_iter().flatten();
    let merges = merges.filter_map(|merge| match merge {
        Json::String(text) => text.split_once(' '),
        pair => Some((pair[0].as_str()?, pair[1].as_str()?)),
    });
    let merges = merges.filter(|(first, _)| !first.starts_with("#version"));
    check(vocabulary.map(String::as_str).collect(), merges)
}

fn check<'a>(
    vocabulary: HashSet<&str>,
    merges: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<()> {
    let mut merged = String::new();
    for (a, b) in merges {
        merged.clear();
        merged.extend([a, b]);
        for token in [a, b, &merged] {
            if !vocabulary.contains(token) {
                bail!("the tokenizer merges {a:?} and {b:?}, but has no token {token:?}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_need_their_tokens() {
        let check = |merges: &str| {
            check_json(&format!(
                r#"{{"model":{{"vocab":{{"a":0,"b":1,"ab":2}},{merges}}}}}"#
            ))
        };
        check(r##""merges":["#version: 0.2","a b",["a","b"]]"##).unwrap();
        for (merges, expected) in [
            (r#""merges":["ab ab"]"#, r#"no token "abab""#),
            (r#""merges":[["a","c"]]"#, r#"no token "c""#),
            (r###""continuing_subword_prefix":"##""###, "not supported"),
        ] {
            let error = check(merges).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
