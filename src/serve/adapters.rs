//! Adapters that come and go: vLLM's `/v1/load_lora_adapter` and `/v1/unload_lora_adapter`, llama.cpp's `/lora-adapters`.

use super::State;
use super::engine::Command;
use super::error::ApiError;
use super::fields::Fields;
use super::http::Body;
use super::models::{AUTO, Adapter};
use super::served::beside;
use crate::adapters::bank::Member;
use crate::data::asking::Asking;
use axum::Json;
use axum::extract::State as Of;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;

/// Longest name of an adapter, in characters.
const LONGEST_NAME: usize = 100;

/// `POST /v1/load_lora_adapter`: `lora_name`, and `lora_path` below the folder that the server was given.
pub async fn load(Of(state): Of<State>, Body(body): Body) -> Result<String, ApiError> {
    let served = state.served()?;
    let mut fields = Fields::read(&body)?;
    let missing = |name: &str| ApiError::field(name, format!("{name} is missing"));
    let name = fields.text("lora_name")?;
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| missing("lora_name"))?;
    if name == AUTO || name.chars().count() > LONGEST_NAME {
        let message = format!("lora_name is {AUTO}, or longer than {LONGEST_NAME} characters");
        return Err(ApiError::field("lora_name", message));
    }
    let path = fields.text("lora_path")?;
    let path = path.ok_or_else(|| missing("lora_path"))?;
    fields.end()?;
    let folder = below(served.adapter_root.as_deref(), &path)?;
    if served.models.names().contains(&name) {
        let message = format!("{name} is served already");
        return Err(ApiError::field("lora_name", message));
    }
    let (shared, path) = (served.clone(), folder.clone());
    let read = move || {
        let read = || anyhow::Ok((shared.loaded.read(&path)?, Asking::read(&path)?));
        read().map_err(|error| ApiError::field("lora_path", format!("{error:#}")))
    };
    let ((adapter, ngrams), asking) = beside(read).await?;
    let member = Member {
        name: name.clone(),
        adapter,
    };
    let (send, added) = oneshot::channel();
    served.tell(Command::Add(Box::new(member), ngrams, send))?;
    added.await.map_err(|_| ApiError::ending())??;
    let adapter = Adapter {
        name: name.clone(),
        folder,
        weight: 1.0,
        asking: asking.unwrap_or_default(),
    };
    served.models.add(adapter)?;
    Ok(format!(
        "Success: LoRA adapter '{name}' added successfully."
    ))
}

/// A folder below `root`, whatever links and dots say.
fn below(root: Option<&Path>, path: &str) -> Result<PathBuf, ApiError> {
    let fault = |message: String| ApiError::field("lora_path", message);
    let root = root.ok_or_else(|| {
        fault("this server loads no adapters: start it with --adapter-root FOLDER".to_owned())
    })?;
    let root = root
        .canonicalize()
        .map_err(|_| fault("the folder of adapters is gone".to_owned()))?;
    let none = || {
        fault(format!(
            "there is no adapter {path:?} in the folder of adapters"
        ))
    };
    let found = root.join(path).canonicalize().map_err(|_| none())?;
    match found.starts_with(&root) {
        true => Ok(found),
        false => Err(none()),
    }
}

/// `POST /v1/unload_lora_adapter`: `lora_name`. Rows that it answers are finished first.
pub async fn unload(Of(state): Of<State>, Body(body): Body) -> Result<String, ApiError> {
    let served = state.served()?;
    let mut fields = Fields::read(&body)?;
    let name = fields.text("lora_name")?;
    let name = name.ok_or_else(|| ApiError::field("lora_name", "lora_name is missing"))?;
    fields.skip(&["lora_int_id"]);
    fields.end()?;
    if served.adapter_root.is_none() {
        let message = "this server unloads no adapters: start it with --adapter-root FOLDER";
        return Err(ApiError::field("lora_name", message));
    }
    served.models.remove(&name)?;
    served.tell(Command::Remove(name.clone()))?;
    Ok(format!(
        "Success: LoRA adapter '{name}' removed successfully."
    ))
}

/// `GET /lora-adapters`
pub async fn list(Of(state): Of<State>) -> Result<Json<Value>, ApiError> {
    let served = state.served()?;
    let adapters = served.models.adapters();
    let adapter = |(id, adapter): (usize, &Adapter)| {
        let path = adapter.folder.display().to_string();
        json!({"id": id, "name": adapter.name, "path": path, "scale": adapter.weight})
    };
    let list: Vec<Value> = adapters.iter().enumerate().map(adapter).collect();
    Ok(Json(list.into()))
}
