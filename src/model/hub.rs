//! Models by hub id: from the local cache, else downloaded into it.

use super::load::shard_names;
use anyhow::{Context, Result};
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo};
use std::path::PathBuf;

/// Files of a model repository that must be there.
const NEEDED: [&str; 2] = ["config.json", "tokenizer.json"];

/// Files that say more of the tokenizer and of what ends an answer, where a repository has them.
const OPTIONAL: [&str; 5] = [
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.json",
    "chat_template.jinja",
];

/// `owner/name`, and nothing a path could be.
pub fn looks_like_id(name: &str) -> bool {
    let part = |s: &str| {
        !s.is_empty()
            && !s.starts_with('.')
            && s.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    name.split_once('/')
        .is_some_and(|(o, n)| part(o) && part(n))
        && !name.ends_with(".gguf")
}

/// Where files come from.
enum Source {
    Cache(CacheRepo),
    Api(Box<ApiRepo>),
}

impl Source {
    /// The hub, or with `HF_HUB_OFFLINE` set its cache alone.
    fn of(id: &str) -> Result<Self> {
        let offline = std::env::var("HF_HUB_OFFLINE").is_ok_and(|v| v != "0" && !v.is_empty());
        let repo = Repo::model(id.to_string());
        Ok(match offline {
            true => Self::Cache(Cache::from_env().repo(repo)),
            false => Self::Api(Box::new(ApiBuilder::from_env().build()?.repo(repo))),
        })
    }

    /// The path of a file of the repository; `None` when there is no such file.
    fn find(&self, file: &str) -> Result<Option<PathBuf>> {
        match self {
            Self::Cache(cache) => Ok(cache.get(file)),
            Self::Api(api) => match api.get(file) {
                Ok(path) => Ok(Some(path)),
                // Only the text of the error gives the status.
                Err(ApiError::RequestError(e)) if e.to_string().contains("404") => Ok(None),
                Err(e) => Err(e.into()),
            },
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Cache(_) => "HF_HUB_OFFLINE is set: unset it to download",
            Self::Api(_) => "check the id and the network",
        }
    }
}

/// The folder that holds the model's files.
pub fn fetch(id: &str) -> Result<PathBuf> {
    let source = Source::of(id)?;
    let explain = |file: &str| {
        let hint = source.hint();
        format!(
            "cannot get {file} of hub model {id}: {hint}, or give --base a local folder or .gguf file"
        )
    };
    let find = |file: &str| source.find(file).with_context(|| explain(file));
    let get = |file: &str| find(file)?.with_context(|| explain(file));
    for file in NEEDED {
        get(file)?;
    }
    for file in OPTIONAL {
        find(file)?;
    }
    let config = get("config.json")?;
    let folder = config.parent().context("a cached file lies in a folder")?;
    if find("model.safetensors")?.is_none() {
        get("model.safetensors.index.json")?;
        for shard in shard_names(folder)? {
            get(&shard)?;
        }
    }
    Ok(folder.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::looks_like_id;

    #[test]
    fn ids_are_told_from_paths() {
        assert!(looks_like_id("Qwen/Qwen3-0.6B"));
        for path in [
            "./model",
            "a/b/c",
            "/abs/x",
            "dir/model.gguf",
            "plain",
            "../x",
        ] {
            assert!(!looks_like_id(path), "{path}");
        }
    }
}
