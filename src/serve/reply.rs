//! Answers as they are told: whole, or piece by piece.

use super::engine::Update;
use super::error::ApiError;
use super::models::Chosen;
use super::request::{Wanted, answered_as};
use super::served::{Served, Updates};
use crate::answering::stream::Pieces;
use crate::generation::sampler::Logprob;
use crate::generation::sequence::{Answer, Finish};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_stream::Stream;

/// What all that is told of one request's answers begins with.
pub struct Head {
    pub id: String,
    pub model: String,
    /// Since 1970.
    pub created: std::time::Duration,
    pub since: std::time::Instant,
    pub chosen: Chosen,
    pub prompt_tokens: usize,
}

/// A part of an answer that is told: its text, and its tokens as far as their probabilities are.
pub struct Piece<'a> {
    /// Of the answers to the request.
    pub index: usize,
    pub text: &'a str,
    pub tokens: Vec<(String, &'a Logprob)>,
}

/// What an answer was in the end.
pub struct Last<'a> {
    pub index: usize,
    pub finish: Finish,
    pub answer: &'a Answer,
}

/// How an API writes answers.
pub trait Shape: Send + Sync {
    /// All of them at once.
    fn whole(&self, head: &Head, pieces: &[Piece], last: &[Last]) -> Value;
    /// Before the pieces of the answers.
    fn first(&self, _head: &Head, _index: usize) -> Option<Value> {
        None
    }
    fn piece(&self, head: &Head, piece: &Piece) -> Value;
    /// The end of one answer.
    fn last(&self, head: &Head, last: &Last) -> Value;
    /// The end of all, with the tokens of the answers.
    fn end(&self, _head: &Head, _tokens: usize) -> Option<Value> {
        None
    }
    /// Whether it streams lines of JSON, else events.
    fn lines(&self) -> bool {
        false
    }
}

impl Head {
    /// Of a request that `chosen` answers.
    pub fn new(kind: &str, wanted: &Wanted, chosen: Chosen, prompt_tokens: usize) -> Self {
        let created = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            id: format!("{kind}-{:032x}", rand::random::<u128>()),
            model: answered_as(&wanted.model, &chosen),
            created: created.unwrap_or_default(),
            since: std::time::Instant::now(),
            chosen,
            prompt_tokens,
        }
    }

    /// What it took, as OpenAI writes it.
    pub fn usage(&self, tokens: usize) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": tokens,
            "total_tokens": self.prompt_tokens + tokens,
        })
    }

    /// The router's decision, where there was one.
    pub fn route(&self) -> Option<Value> {
        let decision = self.chosen.decision.as_ref()?;
        Some(json!({
            "adapter": decision.route,
            "reason": decision.reason,
            "confidence": decision.confidence,
        }))
    }

    /// The same as headers.
    fn headers(&self, response: &mut Response) {
        let Some(decision) = &self.chosen.decision else {
            return;
        };
        let headers = response.headers_mut();
        let route = decision.route.as_deref().unwrap_or("base");
        for (name, value) in [
            ("x-factory-route", route.to_owned()),
            ("x-factory-route-reason", decision.reason.clone()),
            (
                "x-factory-route-confidence",
                decision.confidence.to_string(),
            ),
        ] {
            // A name or a reason with what no header holds is in the body all the same.
            let plain: String = value
                .chars()
                .map(|c| if (' '..='~').contains(&c) { c } else { '?' })
                .collect();
            if let Ok(value) = HeaderValue::from_str(&plain) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// The response to a request whose answers are under way.
pub async fn reply(
    served: Arc<Served>,
    shape: Box<dyn Shape>,
    head: Head,
    wanted: Wanted,
    updates: Updates,
    answers: usize,
) -> Result<Response, ApiError> {
    if wanted.streams {
        let lines = shape.lines();
        let pieces = (0..answers).map(|_| (Pieces::new(&wanted.stop), Vec::new()));
        let mut chunks = Chunks {
            pieces: pieces.collect(),
            served,
            shape,
            updates,
            ready: VecDeque::new(),
            open: answers,
            tokens: 0,
            wanted,
            head,
        };
        chunks.begin();
        let kind = match lines {
            true => "application/x-ndjson",
            false => "text/event-stream",
        };
        let mut response = Response::new(Body::empty());
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        chunks.head.headers(&mut response);
        *response.body_mut() = Body::from_stream(chunks);
        return Ok(response);
    }
    let all = whole(updates, answers).await?;
    let mut pieces = Vec::new();
    for (index, answer) in all.iter().enumerate() {
        pieces.push(Piece {
            index,
            text: said(answer, &wanted)?,
            tokens: named(&served, &answer.tokens, &answer.logprobs)?,
        });
    }
    let last = all.iter().enumerate().map(|(index, answer)| Last {
        index,
        finish: answer.finish,
        answer,
    });
    let last: Vec<Last> = last.collect();
    let body = shape.whole(&head, &pieces, &last);
    let mut response = Json(body).into_response();
    head.headers(&mut response);
    Ok(response)
}

/// All answers, when the last is complete.
pub async fn whole(mut updates: Updates, answers: usize) -> Result<Vec<Answer>, ApiError> {
    let mut all: Vec<Option<Answer>> = (0..answers).map(|_| None).collect();
    let mut open = answers;
    while open > 0 {
        match updates.recv().await {
            Some((place, Update::Done(answer))) => {
                all[place] = Some(*answer);
                open -= 1;
            }
            Some((_, Update::Failed(error))) => return Err(error),
            Some((_, Update::Token(..))) => {}
            None => return Err(ApiError::server("the engine has ended")),
        }
    }
    Ok(all.into_iter().flatten().collect())
}

/// The text of an answer. Errors where there is none, or it left the rules of its request.
pub fn said<'a>(answer: &'a Answer, wanted: &Wanted) -> Result<&'a str, ApiError> {
    if let (true, Some(rules)) = (answer.freed, &wanted.rules) {
        let message = format!("{} left no token to go on with", rules.param());
        return Err(ApiError::field(rules.param(), message));
    }
    match answer.text.as_deref() {
        Some(text) => Ok(text),
        None if !wanted.sampler.bias.is_empty() => {
            let message = "logit_bias leaves no token";
            Err(ApiError::field("logit_bias", message))
        }
        None => {
            let message = "no answer: the model's logits are no numbers";
            Err(ApiError::server(message))
        }
    }
}

/// Tokens with their texts and probabilities, those of an end left out.
fn named<'a>(
    served: &Served,
    tokens: &[u32],
    logprobs: &'a [Logprob],
) -> Result<Vec<(String, &'a Logprob)>, ApiError> {
    let tokens = tokens.iter().zip(logprobs);
    let tokens = tokens.map(|(token, logprob)| Ok((shown(served, *token)?, logprob)));
    tokens.collect()
}

/// The text of a token.
pub fn shown(served: &Served, token: u32) -> Result<String, ApiError> {
    let text = served.loaded.base.tokenizer.show(&[token]);
    text.map_err(|error| ApiError::server(format!("{error:#}")))
}

/// A stream of what becomes of the answers.
struct Chunks {
    served: Arc<Served>,
    shape: Box<dyn Shape>,
    head: Head,
    updates: Updates,
    /// Of each answer, and its tokens.
    pieces: Vec<(Pieces, Vec<u32>)>,
    ready: VecDeque<Bytes>,
    /// Answers that are not complete.
    open: usize,
    tokens: usize,
    wanted: Wanted,
}

impl Chunks {
    fn begin(&mut self) {
        for index in 0..self.pieces.len() {
            if let Some(first) = self.shape.first(&self.head, index) {
                self.push(&first);
            }
        }
    }

    fn push(&mut self, value: &Value) {
        let line = match self.shape.lines() {
            true => format!("{value}\n"),
            false => format!("data: {value}\n\n"),
        };
        self.ready.push_back(line.into());
    }

    fn take(&mut self, index: usize, update: Update) -> Result<(), ApiError> {
        let served = self.served.clone();
        let tokenizer = &served.loaded.base.tokenizer;
        let fault = |error| ApiError::server(format!("{error:#}"));
        let (pieces, tokens) = &mut self.pieces[index];
        match update {
            Update::Token(token, logprob) => {
                tokens.push(token);
                let text = pieces.more(tokenizer, tokens).map_err(fault)?;
                if !text.is_empty() || logprob.is_some() {
                    let tokens = logprob.iter().map(|l| Ok((shown(&served, token)?, l)));
                    let piece = Piece {
                        index,
                        text,
                        tokens: tokens.collect::<Result<_, ApiError>>()?,
                    };
                    let value = self.shape.piece(&self.head, &piece);
                    self.push(&value);
                }
            }
            Update::Done(answer) => {
                let told = tokens.len().min(answer.tokens.len());
                let piece = Piece {
                    index,
                    text: pieces.rest(said(&answer, &self.wanted)?),
                    tokens: match answer.logprobs.get(told..) {
                        Some(logprobs) => named(&served, &answer.tokens[told..], logprobs)?,
                        None => Vec::new(),
                    },
                };
                if !piece.text.is_empty() || !piece.tokens.is_empty() {
                    let value = self.shape.piece(&self.head, &piece);
                    self.push(&value);
                }
                let last = Last {
                    index,
                    finish: answer.finish,
                    answer: &answer,
                };
                let value = self.shape.last(&self.head, &last);
                self.push(&value);
                self.tokens += answer.tokens.len();
                self.open -= 1;
                if self.open == 0 {
                    self.end();
                }
            }
            Update::Failed(error) => return Err(error),
        }
        Ok(())
    }

    fn end(&mut self) {
        if let (true, Some(end)) = (self.wanted.usage, self.shape.end(&self.head, self.tokens)) {
            self.push(&end);
        }
        if !self.shape.lines() {
            self.ready
                .push_back(Bytes::from_static(b"data: [DONE]\n\n"));
        }
    }
}

impl Stream for Chunks {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(chunk) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(chunk)));
            }
            if this.open == 0 {
                return Poll::Ready(None);
            }
            let taken = match ready!(this.updates.poll_recv(context)) {
                Some((index, update)) => this.take(index, update),
                None => Err(ApiError::server("the engine has ended")),
            };
            if let Err(error) = taken {
                this.push(&error.json());
                this.open = 0;
            }
        }
    }
}
