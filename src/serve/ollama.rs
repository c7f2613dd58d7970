//! Ollama's API, which editors and desktop programs speak: `/api/chat`, `/api/generate`, `/api/tags`, `/api/version`.

use super::State;
use super::error::ApiError;
use super::fields::Fields;
use super::http::Body;
use super::reply::{Head, Last, Piece, Shape, reply};
use super::request::{Wanted, conversation, sampling, stops};
use super::rules;
use super::served::Served;
use crate::data::record::{Conversation, Role, Turn};
use crate::generation::sequence::Finish;
use axum::Json;
use axum::extract::State as Of;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `POST /api/chat`
pub async fn chat(Of(state): Of<State>, Body(body): Body) -> Result<Response, ApiError> {
    let served = state.served()?;
    let mut fields = Fields::read(&body)?;
    let asked = conversation(&mut fields)?;
    fields.only("tools", json!([]))?;
    answer(served, fields, asked, "messages", true).await
}

/// `POST /api/generate`
pub async fn generate(Of(state): Of<State>, Body(body): Body) -> Result<Response, ApiError> {
    let served = state.served()?;
    let mut fields = Fields::read(&body)?;
    let mut turns = Vec::new();
    if let Some(system) = fields.text("system")?.filter(|text| !text.is_empty()) {
        turns.push(Turn::new(Role::System, system));
    }
    let prompt = fields.text("prompt")?;
    let prompt = prompt.ok_or_else(|| ApiError::field("prompt", "prompt is missing"))?;
    turns.push(Turn::new(Role::User, prompt));
    fields.only("raw", false.into())?;
    fields.only("suffix", "".into())?;
    fields.only("template", "".into())?;
    fields.only("context", json!([]))?;
    fields.only("images", json!([]))?;
    answer(served, fields, turns.into(), "prompt", false).await
}

async fn answer(
    served: Arc<Served>,
    mut fields: Fields,
    asked: Conversation,
    param: &'static str,
    chat: bool,
) -> Result<Response, ApiError> {
    let wanted = wanted(&mut fields, &served)?;
    fields.end()?;
    let chosen = wanted.choose(&served, &asked)?;
    let prompt = served.prompt(param, &asked).await?;
    let head = Head::new("ollama", &wanted, chosen.clone(), prompt.len());
    let updates = served.ask(param, vec![prompt], &wanted, &[chosen]).await?;
    reply(served, Box::new(Ollama { chat }), head, wanted, updates, 1).await
}

/// What its requests say; they stream unless they say otherwise.
fn wanted(fields: &mut Fields, served: &Served) -> Result<Wanted, ApiError> {
    let model = fields.text("model")?;
    let model = model.ok_or_else(|| ApiError::field("model", "model is missing"))?;
    // Ollama's clients name a version, of which there is one.
    let model = match model.strip_suffix(":latest") {
        Some(name) if !served.models.names().contains(&model) => name.to_owned(),
        _ => model,
    };
    let streams = fields.choice("stream")?.unwrap_or(true);
    // How long a model stays loaded: it always does.
    fields.skip(&["keep_alive"]);
    fields.only("think", false.into())?;
    let rules = rules::ollama(fields)?;
    let mut options = match fields.value("options") {
        Some(options) => Fields::of("options", options)?,
        None => Fields::of("options", json!({}))?,
    };
    let sampler = sampling(&mut options)?;
    let stop = stops(&mut options, served)?;
    // -1 sets no limit of its own.
    let max_tokens = match options.is("num_predict", -1) {
        true => None,
        false => options.count("num_predict", 1, served.context)?,
    };
    // Where and how it computes is the server's.
    options.skip(&["num_ctx", "num_thread", "num_gpu", "num_batch"]);
    options.end()?;
    Ok(Wanted {
        model,
        lora: None,
        sampler,
        rules,
        stop,
        max_tokens: max_tokens.unwrap_or(served.loaded.stop.max_tokens),
        streams,
        usage: false,
    })
}

/// Ollama's objects.
struct Ollama {
    chat: bool,
}

impl Ollama {
    fn object(&self, head: &Head, text: &str, done: bool) -> Value {
        let created = OffsetDateTime::from_unix_timestamp_nanos(head.created.as_nanos() as i128);
        let created = created.ok().and_then(|time| time.format(&Rfc3339).ok());
        let mut object = json!({"model": head.model, "created_at": created});
        match self.chat {
            true => object["message"] = json!({"role": "assistant", "content": text}),
            false => object["response"] = text.into(),
        }
        object["done"] = done.into();
        if let Some(route) = head.route() {
            object["route"] = route;
        }
        object
    }

    fn finished(&self, head: &Head, text: &str, last: &Last) -> Value {
        let mut object = self.object(head, text, true);
        let took = head.since.elapsed().as_nanos() as u64;
        object["done_reason"] = match last.finish {
            Finish::Length => "length".into(),
            _ => "stop".into(),
        };
        object["total_duration"] = took.into();
        object["prompt_eval_count"] = head.prompt_tokens.into();
        object["eval_count"] = last.answer.tokens.len().into();
        object
    }
}

impl Shape for Ollama {
    fn whole(&self, head: &Head, pieces: &[Piece], last: &[Last]) -> Value {
        let texts: String = pieces.iter().map(|piece| piece.text).collect();
        match last.first() {
            Some(last) => self.finished(head, &texts, last),
            None => self.object(head, &texts, true),
        }
    }

    fn piece(&self, head: &Head, piece: &Piece) -> Value {
        self.object(head, piece.text, false)
    }

    fn last(&self, head: &Head, last: &Last) -> Value {
        self.finished(head, "", last)
    }

    fn lines(&self) -> bool {
        true
    }
}

/// `GET /api/tags`
pub async fn tags(Of(state): Of<State>) -> Result<Json<Value>, ApiError> {
    let served = state.served()?;
    let model = |name: String| {
        json!({
            "name": name,
            "model": name,
            "size": 0,
            "digest": "",
            "details": {"format": "factory", "family": "", "parameter_size": "", "quantization_level": served.loaded.base.decoder.held.name()},
        })
    };
    let models: Vec<Value> = served.models.names().into_iter().map(model).collect();
    Ok(Json(json!({"models": models})))
}

/// `GET /api/version`
pub async fn version() -> Json<Value> {
    Json(json!({"version": env!("CARGO_PKG_VERSION")}))
}
