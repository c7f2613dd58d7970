//! What handlers share once the model is there: where jobs go, and how a request becomes jobs.

use super::engine::{Command, Job, Update, View};
use super::error::ApiError;
use super::models::{Chosen, Models};
use super::request::Wanted;
use crate::answering::constraint::guidance::Guidance;
use crate::answering::loaded::Loaded;
use crate::data::record::Conversation;
use crate::generation::sampler::Sampler;
use crate::generation::stop::Stops;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What is served.
pub struct Served {
    pub loaded: Arc<Loaded>,
    pub models: Models,
    pub view: View,
    /// Longest prompt with its answer in tokens.
    pub context: usize,
    /// Answers that may run or wait at once.
    pub room: usize,
    pub adapter_root: Option<PathBuf>,
    pub commands: Sender<Command>,
    /// What grammars are compiled by, once there is one.
    pub guidance: OnceLock<Result<Guidance, String>>,
    /// One more is held for each answer that runs or waits.
    pub tickets: Arc<()>,
}

/// What becomes of the answers to a request, each update with the answer's place.
pub type Updates = UnboundedReceiver<(usize, Update)>;

impl Served {
    /// The tokens before the answer to a chat.
    pub fn prompt(&self, asked: &Conversation) -> Result<Vec<u32>, ApiError> {
        let renderer = self.loaded.renderer();
        let renderer = renderer.map_err(|error| ApiError::server(format!("{error:#}")))?;
        let prompt = renderer.prompt(asked);
        prompt.map_err(|error| ApiError::field("messages", format!("{error:#}")))
    }

    /// Asks for the answers to `prompts`, each `wanted.sampler.samples` times, one prompt's behind the other's.
    pub async fn ask(
        self: &Arc<Self>,
        param: &str,
        prompts: Vec<Vec<u32>>,
        wanted: &Wanted,
        chosen: &[Chosen],
    ) -> Result<Updates, ApiError> {
        for prompt in &prompts {
            if prompt.is_empty() {
                return Err(ApiError::field(param, "the prompt has no tokens"));
            }
            let (tokens, answer) = (prompt.len(), wanted.max_tokens);
            if tokens + answer > self.context {
                let context = self.context;
                let message = format!(
                    "the prompt has {tokens} tokens; with an answer of {answer} it exceeds the {context} of the context: shorten it, or lower max_tokens"
                );
                return Err(ApiError::too_long(param, message));
            }
        }
        let samples = wanted.sampler.samples;
        let there = Arc::strong_count(&self.tickets) - 1;
        if there + prompts.len() * samples > self.room {
            return Err(ApiError::busy(there));
        }
        let grammar = match wanted.rules.clone() {
            Some(rules) => Some(rules.compile(self).await?),
            None => None,
        };
        let stops = Arc::new(Stops::new(&wanted.stop, &self.loaded.base.tokenizer));
        let (updates, receiver) = unbounded_channel();
        let since = Instant::now();
        let rows = prompts.into_iter().zip(chosen).enumerate();
        for (row, (prompt, chosen)) in rows {
            for sample in 0..samples {
                let place = row * samples + sample;
                let job = Job {
                    place,
                    prompt: prompt.clone(),
                    parts: chosen.parts.clone(),
                    sampler: Sampler::new(&wanted.sampler, place),
                    stops: stops.clone(),
                    max_tokens: wanted.max_tokens,
                    grammar: grammar.clone(),
                    streams: wanted.streams,
                    updates: updates.clone(),
                    ticket: self.tickets.clone(),
                    since,
                };
                self.tell(Command::Answer(Box::new(job)))?;
            }
        }
        Ok(receiver)
    }

    /// Tells the engine. Errors where it has ended.
    pub fn tell(&self, command: Command) -> Result<(), ApiError> {
        let told = self.commands.send(command);
        told.map_err(|_| ApiError::ending())
    }
}
