//! OpenAI's chat completions, completions and models.

mod chat;
mod completions;

pub use chat::chat;
pub use completions::completions;

use super::State;
use super::error::ApiError;
use super::reply::Head;
use crate::generation::sequence::Finish;
use axum::Json;
use axum::extract::{Path, State as Of};
use serde_json::{Value, json};

/// Why an answer ended, in OpenAI's words.
fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Length => "length",
        _ => "stop",
    }
}

/// What every answer and every piece of one begins with.
fn object(head: &Head, kind: &str, choices: Vec<Value>) -> Value {
    let mut object = json!({
        "id": head.id,
        "object": kind,
        "created": head.created.as_secs(),
        "model": head.model,
        "system_fingerprint": concat!("factory-", env!("CARGO_PKG_VERSION")),
        "choices": choices,
    });
    if let Some(route) = head.route() {
        object["route"] = route;
    }
    object
}

/// `GET /v1/models`
pub async fn models(Of(state): Of<State>) -> Result<Json<Value>, ApiError> {
    Ok(Json(state.served()?.models.json()))
}

/// `GET /v1/models/NAME`
pub async fn model(
    Of(state): Of<State>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let served = state.served()?;
    let all = served.models.json();
    let models = all["data"].as_array().into_iter().flatten();
    let found = models
        .into_iter()
        .find(|model| model["id"] == name.as_str());
    let none = || ApiError::no_model(&name, &served.models.names());
    Ok(Json(found.ok_or_else(none)?.clone()))
}
