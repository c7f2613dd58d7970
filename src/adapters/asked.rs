//! How a merged model is asked, and where its answers end, in the files in which transformers, vLLM, mlx-lm and llama.cpp's
//! converter look for it.

use super::parts;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A chat template and the tokens that end its answers.
pub struct Asked {
    /// The template as Jinja, where it is not that of the base.
    pub template: Option<String>,
    /// The token that ends a trained answer, and its name.
    pub end: Option<(u32, String)>,
    /// Every token that ends an answer.
    pub ends: Vec<u32>,
}

impl Asked {
    /// Writes it into a model's files, by name.
    pub fn keep(&self, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
        let mut ends = self.ends.clone();
        if let Some((id, name)) = &self.end {
            // The first one is what ends an answer, for whoever takes one alone.
            ends.retain(|other| other != id);
            ends.insert(0, *id);
            change(files, "config.json", |config| {
                config.insert("eos_token_id".into(), json!(id));
            })?;
            change(files, "tokenizer_config.json", |config| {
                config.insert("eos_token".into(), json!(name));
            })?;
        }
        change(files, "generation_config.json", |config| {
            config.insert("eos_token_id".into(), json!(ends));
        })?;
        if let Some(template) = &self.template {
            change(files, "tokenizer_config.json", |config| {
                config.insert("chat_template".into(), json!(template));
            })?;
            files.remove("chat_template.json");
            files.insert("chat_template.jinja".into(), template.clone().into_bytes());
        }
        Ok(())
    }
}

/// Changes a file that holds a JSON object, or makes it.
fn change(
    files: &mut BTreeMap<String, Vec<u8>>,
    name: &str,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Result<()> {
    let mut fields = match files.get(name) {
        Some(bytes) => serde_json::from_slice(bytes).with_context(|| name.to_owned())?,
        None => Map::new(),
    };
    change(&mut fields);
    files.insert(name.to_owned(), parts::json(&Value::Object(fields))?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reader_finds_template_and_end() {
        let file = |name: &str, content: Value| (name.to_owned(), content.to_string().into_bytes());
        let mut files = BTreeMap::from([
            file(
                "config.json",
                json!({"eos_token_id": [1, 2], "hidden_size": 8}),
            ),
            file(
                "tokenizer_config.json",
                json!({"chat_template": "old", "eos_token": "</s>"}),
            ),
            file("chat_template.json", json!({"chat_template": "old"})),
        ]);
        let asked = Asked {
            template: Some("new".into()),
            end: Some((7, "<end>".into())),
            ends: vec![1, 2, 7],
        };
        asked.keep(&mut files).unwrap();
        let read = |name: &str| serde_json::from_slice::<Value>(&files[name]).unwrap();
        assert_eq!(
            read("config.json"),
            json!({"eos_token_id": 7, "hidden_size": 8})
        );
        assert_eq!(
            read("generation_config.json"),
            json!({"eos_token_id": [7, 1, 2]})
        );
        assert_eq!(
            read("tokenizer_config.json"),
            json!({"chat_template": "new", "eos_token": "<end>"})
        );
        assert_eq!(files["chat_template.jinja"], b"new");
        assert!(!files.contains_key("chat_template.json"));
    }
}
