//! A tokenizer and its templates from the files of a transformers folder.

use super::{Chat, merges};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use std::path::Path;

/// Most bytes of a file beside `tokenizer.json`.
const MOST: u64 = 64 << 20;

/// What the files beside `tokenizer.json` say.
#[derive(Default)]
pub struct Said {
    /// Whether a beginning-of-sequence token is asked for; `None` leaves it to `tokenizer.json`.
    pub add_bos: Option<bool>,
    pub chat: Chat,
}

/// Reads `tokenizer.json` at `path`, and what stands beside it.
pub fn read(path: &Path) -> Result<(tokenizers::Tokenizer, Said)> {
    let build = || {
        let text = std::fs::read_to_string(path)?;
        merges::check_json(&text)?;
        text.parse().map_err(|e| anyhow!("{e}"))
    };
    let inner = build().with_context(|| path.display().to_string())?;
    let said = path.parent().map(said).transpose()?;
    Ok((inner, said.unwrap_or_default()))
}

fn said(folder: &Path) -> Result<Said> {
    let mut said = Said::default();
    // The later ones win, as in transformers.
    for name in ["special_tokens_map.json", "tokenizer_config.json"] {
        let Some(config) = json(&folder.join(name))? else {
            continue;
        };
        tokens(&config, &mut said.chat);
        if let Some(add) = config["add_bos_token"].as_bool() {
            said.add_bos = Some(add);
        }
        templates(&config["chat_template"], &mut said.chat)
            .with_context(|| folder.join(name).display().to_string())?;
    }
    if let Some(file) = json(&folder.join("chat_template.json"))? {
        templates(&file["chat_template"], &mut said.chat)?;
    }
    if let Some(text) = text(&folder.join("chat_template.jinja"))? {
        said.chat.templates.insert("default".into(), text);
    }
    let more = folder.join("additional_chat_templates");
    for entry in std::fs::read_dir(&more).into_iter().flatten() {
        let file = entry?.path();
        let name = file.file_stem().and_then(|name| name.to_str());
        if let (Some(name), true) = (name, file.extension().is_some_and(|e| e == "jinja"))
            && let Some(text) = text(&file)?
        {
            said.chat.templates.insert(name.to_owned(), text);
        }
    }
    Ok(said)
}

/// Texts such as `bos_token`, each a string or an added token.
fn tokens(config: &Value, chat: &mut Chat) {
    for (key, value) in config.as_object().into_iter().flatten() {
        let content = value.as_str().or_else(|| value["content"].as_str());
        if let (Some(content), true) = (content, key.ends_with("_token")) {
            chat.tokens.insert(key.clone(), content.to_owned());
        }
    }
}

/// One template, or a list of named ones.
fn templates(value: &Value, chat: &mut Chat) -> Result<()> {
    match value {
        Value::Null => {}
        Value::String(text) => {
            chat.templates.insert("default".into(), text.clone());
        }
        Value::Array(named) => {
            for entry in named {
                let (name, text) = (entry["name"].as_str(), entry["template"].as_str());
                let (name, text) = name
                    .zip(text)
                    .context("chat_template: an entry has no name or no template")?;
                chat.templates.insert(name.to_owned(), text.to_owned());
            }
        }
        _ => anyhow::bail!("chat_template is neither text nor a list of named ones"),
    }
    Ok(())
}

fn text(path: &Path) -> Result<Option<String>> {
    let Ok(facts) = std::fs::metadata(path) else {
        return Ok(None);
    };
    ensure!(
        facts.len() <= MOST,
        "{}: {} bytes are too many",
        path.display(),
        facts.len()
    );
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(Some(text))
}

fn json(path: &Path) -> Result<Option<Value>> {
    let Some(text) = text(path)? else {
        return Ok(None);
    };
    let value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(Some(value))
}
