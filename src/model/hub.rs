//! Models by hub id: from the local cache, else downloaded into it.

use anyhow::{Context, Result, anyhow};
use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo};
use std::path::PathBuf;

/// Files of a model repository that must be there.
const NEEDED: [&str; 2] = ["config.json", "tokenizer.json"];

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

/// The folder that holds the model's files. With `HF_HUB_OFFLINE=1` only the cache is looked at.
pub fn fetch(id: &str) -> Result<PathBuf> {
    let offline = std::env::var("HF_HUB_OFFLINE").is_ok_and(|v| v != "0" && !v.is_empty());
    let get: Box<dyn Fn(&str) -> Result<PathBuf>> = if offline {
        let cache = Cache::from_env().repo(Repo::model(id.to_string()));
        Box::new(move |file| cache.get(file).ok_or_else(|| anyhow!("not in the cache")))
    } else {
        let api = ApiBuilder::from_env().build()?.model(id.to_string());
        Box::new(move |file| Ok(api.get(file)?))
    };
    let explain = |file: &str| {
        let hint = match offline {
            true => "HF_HUB_OFFLINE is set: unset it to download, or",
            false => "check the id and the network, or",
        };
        format!(
            "{file} of hub model {id} is not to be had; {hint} give --base a local folder or .gguf file"
        )
    };
    let mut folder = PathBuf::new();
    for file in NEEDED {
        let path = get(file).with_context(|| explain(file))?;
        folder = path.parent().map(PathBuf::from).unwrap_or_default();
    }
    // Optional: not every repository has it.
    let _ = get("generation_config.json");
    if get("model.safetensors").is_ok() {
        return Ok(folder);
    }
    let index =
        get("model.safetensors.index.json").with_context(|| explain("model.safetensors"))?;
    let text = std::fs::read_to_string(&index)?;
    let json: serde_json::Value =
        serde_json::from_str(&text).with_context(|| explain("the weight index"))?;
    let shards: std::collections::BTreeSet<&str> = json["weight_map"]
        .as_object()
        .into_iter()
        .flat_map(|m| m.values().filter_map(|v| v.as_str()))
        .collect();
    for shard in shards {
        get(shard).with_context(|| explain(shard))?;
    }
    Ok(folder)
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
