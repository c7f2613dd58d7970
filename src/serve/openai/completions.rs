//! `POST /v1/completions`: the prompt as it is, without a template.

use super::{object, reason};
use crate::data::record;
use crate::generation::sampler::Logprob;
use crate::serve::State;
use crate::serve::error::ApiError;
use crate::serve::fields::Fields;
use crate::serve::http::Body;
use crate::serve::models::Chosen;
use crate::serve::reply::{Head, Last, Piece, Shape, reply, shown};
use crate::serve::request::{Wanted, likeliest};
use crate::serve::served::Served;
use axum::extract::State as Of;
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Most prompts of a request.
const MOST: usize = 256;

/// Goes on with texts or tokens.
pub async fn completions(Of(state): Of<State>, Body(body): Body) -> Result<Response, ApiError> {
    let served = state.served()?;
    let mut fields = Fields::read(&body)?;
    let prompts = prompts(&mut fields, &served)?;
    let mut wanted = Wanted::read(&mut fields, &served)?;
    if let Some(top) = likeliest(&mut fields, "logprobs")? {
        wanted.tell_logprobs(top);
    }
    fields.only("echo", false.into())?;
    fields.only("best_of", wanted.sampler.samples.into())?;
    fields.only("suffix", "".into())?;
    fields.end()?;
    let tokenizer = &served.loaded.base.tokenizer;
    let fault = |error| ApiError::field("prompt", format!("{error:#}"));
    let chosen = prompts.iter().map(|prompt| {
        let text = tokenizer.decode(prompt).map_err(fault)?;
        wanted.choose(&served, &record::user(text))
    });
    let chosen: Vec<Chosen> = chosen.collect::<Result<_, ApiError>>()?;
    let tokens = prompts.iter().map(Vec::len).sum();
    let answers = prompts.len() * wanted.sampler.samples;
    let first = match &chosen[..] {
        [chosen] => chosen.clone(),
        _ => Chosen::default(),
    };
    let head = Head::new("cmpl", &wanted, first, tokens);
    let updates = served.ask("prompt", prompts, &wanted, &chosen).await?;
    let shape = Box::new(Completion(served.clone()));
    reply(served, shape, head, wanted, updates, answers).await
}

/// A text, tokens, or several of either.
fn prompts(fields: &mut Fields, served: &Served) -> Result<Vec<Vec<u32>>, ApiError> {
    let fault = |message: String| ApiError::field("prompt", message);
    let tokenizer = &served.loaded.base.tokenizer;
    let encode = |text: &str| {
        let tokens = tokenizer.encode(text);
        tokens.map_err(|error| fault(format!("{error:#}")))
    };
    let vocabulary = served.loaded.base.decoder.config.vocab_size;
    let ids = |list: &[Value]| -> Option<Vec<u32>> {
        let id = |value: &Value| value.as_u64().filter(|id| *id < vocabulary as u64);
        list.iter()
            .map(|value| id(value).map(|id| id as u32))
            .collect()
    };
    let unknown =
        || fault("prompt is no text, no list of token ids and no list of either".to_owned());
    match fields.value("prompt") {
        Some(Value::String(text)) => Ok(vec![encode(&text)?]),
        Some(Value::Array(list)) if !list.is_empty() => {
            if let Some(tokens) = ids(&list) {
                return Ok(vec![tokens]);
            }
            if list.len() > MOST {
                return Err(fault(format!("prompt has more than {MOST} prompts")));
            }
            let prompt = |value: &Value| match value {
                Value::String(text) => encode(text),
                Value::Array(list) => ids(list).ok_or_else(unknown),
                _ => Err(unknown()),
            };
            list.iter().map(prompt).collect()
        }
        _ => Err(unknown()),
    }
}

/// OpenAI's objects.
struct Completion(Arc<Served>);

impl Completion {
    fn logprobs(&self, tokens: &[(String, &Logprob)]) -> Value {
        if tokens.is_empty() {
            return Value::Null;
        }
        let likely = |(_, logprob): &(String, &Logprob)| {
            let likely = logprob.likeliest.iter();
            let texts =
                likely.map(|(token, p)| (shown(&self.0, *token).unwrap_or_default(), json!(p)));
            Value::Object(texts.collect::<Map<_, _>>())
        };
        json!({
            "tokens": tokens.iter().map(|(text, _)| text).collect::<Vec<_>>(),
            "token_logprobs": tokens.iter().map(|(_, l)| l.own).collect::<Vec<_>>(),
            "top_logprobs": tokens.iter().map(likely).collect::<Vec<_>>(),
        })
    }

    fn choice(&self, piece: &Piece, finish: Option<&'static str>) -> Value {
        json!({
            "index": piece.index,
            "text": piece.text,
            "logprobs": self.logprobs(&piece.tokens),
            "finish_reason": finish,
        })
    }
}

const COMPLETION: &str = "text_completion";

impl Shape for Completion {
    fn whole(&self, head: &Head, pieces: &[Piece], last: &[Last]) -> Value {
        let choices = pieces.iter().zip(last);
        let choices = choices.map(|(piece, last)| self.choice(piece, Some(reason(last.finish))));
        let mut object = object(head, COMPLETION, choices.collect());
        let tokens = last.iter().map(|last| last.answer.tokens.len());
        object["usage"] = head.usage(tokens.sum());
        object
    }

    fn piece(&self, head: &Head, piece: &Piece) -> Value {
        object(head, COMPLETION, vec![self.choice(piece, None)])
    }

    fn last(&self, head: &Head, last: &Last) -> Value {
        let nothing = Piece {
            index: last.index,
            text: "",
            tokens: Vec::new(),
        };
        object(
            head,
            COMPLETION,
            vec![self.choice(&nothing, Some(reason(last.finish)))],
        )
    }

    fn end(&self, head: &Head, tokens: usize) -> Option<Value> {
        let mut object = object(head, COMPLETION, Vec::new());
        object["usage"] = head.usage(tokens);
        Some(object)
    }
}
