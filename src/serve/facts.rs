//! What the server says of itself: `/health`, `/version`, `/slots`, `/metrics`, `/tokenize`, `/detokenize`.

use super::State;
use super::error::ApiError;
use super::fields::Fields;
use super::http::Body;
use super::served::beside;
use axum::Json;
use axum::extract::State as Of;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Value, json};

/// `GET /health`: 503 until the model is there.
pub async fn health(Of(state): Of<State>) -> Result<Json<Value>, ApiError> {
    state.served()?;
    Ok(Json(json!({"status": "ok"})))
}

/// `GET /version`
pub async fn version() -> Json<Value> {
    Json(json!({"version": env!("CARGO_PKG_VERSION")}))
}

/// `GET /slots`: the rows in flight and those that wait.
pub async fn slots(Of(state): Of<State>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!(state.served()?.view.slots())))
}

/// `GET /metrics`
pub async fn metrics(Of(state): Of<State>) -> Result<impl IntoResponse, ApiError> {
    let text = state.served()?.view.metrics.text();
    let text = text.map_err(|error| ApiError::server(error.to_string()))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text))
}

/// `POST /tokenize`: `content` to `tokens`.
pub async fn tokenize(Of(state): Of<State>, Body(body): Body) -> Result<Json<Value>, ApiError> {
    let served = state.served()?;
    let mut fields = Fields::read(&body)?;
    let content = fields.text("content")?;
    let content = content.ok_or_else(|| ApiError::field("content", "content is missing"))?;
    fields.end()?;
    served.refuse_long("content", content.len())?;
    let encode = move || {
        let tokens = served.loaded.base.tokenizer.encode(&content);
        tokens.map_err(|error| ApiError::field("content", format!("{error:#}")))
    };
    let tokens = beside(encode).await?;
    Ok(Json(json!({"tokens": tokens})))
}

/// `POST /detokenize`: `tokens` to `content`.
pub async fn detokenize(Of(state): Of<State>, Body(body): Body) -> Result<Json<Value>, ApiError> {
    let served = state.served()?;
    let mut fields = Fields::read(&body)?;
    let fault = || ApiError::field("tokens", "tokens is no list of token ids");
    let tokens = fields.value("tokens").ok_or_else(fault)?;
    let tokens: Vec<u32> = serde_json::from_value(tokens).map_err(|_| fault())?;
    fields.end()?;
    let known = served.loaded.base.tokenizer.len();
    if let Some(token) = tokens.iter().find(|token| **token as usize >= known) {
        return Err(ApiError::field(
            "tokens",
            format!("there is no token {token}"),
        ));
    }
    let content = served.loaded.base.tokenizer.show(&tokens);
    let content = content.map_err(|error| ApiError::field("tokens", format!("{error:#}")))?;
    Ok(Json(json!({"content": content})))
}
