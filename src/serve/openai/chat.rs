//! `POST /v1/chat/completions`

use super::{object, reason};
use crate::generation::sampler::Logprob;
use crate::serve::State;
use crate::serve::error::ApiError;
use crate::serve::fields::Fields;
use crate::serve::http::Body;
use crate::serve::reply::{Head, Last, Piece, Shape, reply, shown};
use crate::serve::request::{Wanted, conversation, likeliest};
use crate::serve::served::Served;
use axum::extract::State as Of;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers a chat.
pub async fn chat(Of(state): Of<State>, Body(body): Body) -> Result<Response, ApiError> {
    let served = state.served()?;
    let mut fields = Fields::read(&body)?;
    let asked = conversation(&mut fields)?;
    let mut wanted = Wanted::read(&mut fields, &served)?;
    let logprobs = fields.flag("logprobs")?;
    match likeliest(&mut fields, "top_logprobs")? {
        Some(_) if !logprobs => {
            let message = "top_logprobs needs logprobs";
            return Err(ApiError::field("top_logprobs", message));
        }
        top if logprobs => wanted.tell_logprobs(top.unwrap_or(0)),
        _ => {}
    }
    // No tool is known here: these say that none is wanted.
    fields.only("tools", json!([]))?;
    fields.only("tool_choice", "none".into())?;
    fields.skip(&["parallel_tool_calls"]);
    fields.end()?;
    let chosen = wanted.choose(&served, &asked)?;
    let prompt = served.prompt("messages", &asked).await?;
    let answers = wanted.sampler.samples;
    let head = Head::new("chatcmpl", &wanted, chosen.clone(), prompt.len());
    let updates = served
        .ask("messages", vec![prompt], &wanted, &[chosen])
        .await?;
    let shape = Box::new(Chat(served.clone()));
    reply(served, shape, head, wanted, updates, answers).await
}

/// OpenAI's objects.
struct Chat(Arc<Served>);

impl Chat {
    fn logprobs(&self, tokens: &[(String, &Logprob)]) -> Value {
        let entry = |text: &str, logprob: f32| json!({"token": text, "logprob": logprob, "bytes": text.as_bytes()});
        let token = |(text, logprob): &(String, &Logprob)| {
            let likely =
                |(token, p): &(u32, f32)| entry(&shown(&self.0, *token).unwrap_or_default(), *p);
            let likeliest: Vec<Value> = logprob.likeliest.iter().map(likely).collect();
            let mut value = entry(text, logprob.own);
            value["top_logprobs"] = likeliest.into();
            value
        };
        match tokens {
            [] => Value::Null,
            tokens => json!({"content": tokens.iter().map(token).collect::<Vec<_>>()}),
        }
    }
}

const CHUNK: &str = "chat.completion.chunk";

impl Shape for Chat {
    fn whole(&self, head: &Head, pieces: &[Piece], last: &[Last]) -> Value {
        let choice = |(piece, last): (&Piece, &Last)| {
            json!({
                "index": piece.index,
                "message": {"role": "assistant", "content": piece.text, "refusal": null},
                "logprobs": self.logprobs(&piece.tokens),
                "finish_reason": reason(last.finish),
            })
        };
        let choices: Vec<Value> = pieces.iter().zip(last).map(choice).collect();
        let mut object = object(head, "chat.completion", choices);
        let tokens = last.iter().map(|last| last.answer.tokens.len());
        object["usage"] = head.usage(tokens.sum());
        object
    }

    fn first(&self, head: &Head, index: usize) -> Option<Value> {
        let delta = json!({"role": "assistant", "content": ""});
        let choice =
            json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": null});
        Some(object(head, CHUNK, vec![choice]))
    }

    fn piece(&self, head: &Head, piece: &Piece) -> Value {
        let choice = json!({
            "index": piece.index,
            "delta": {"content": piece.text},
            "logprobs": self.logprobs(&piece.tokens),
            "finish_reason": null,
        });
        object(head, CHUNK, vec![choice])
    }

    fn last(&self, head: &Head, last: &Last) -> Value {
        let choice = json!({
            "index": last.index,
            "delta": {},
            "logprobs": null,
            "finish_reason": reason(last.finish),
        });
        object(head, CHUNK, vec![choice])
    }

    fn end(&self, head: &Head, tokens: usize) -> Option<Value> {
        let mut object = object(head, CHUNK, Vec::new());
        object["usage"] = head.usage(tokens);
        Some(object)
    }
}
