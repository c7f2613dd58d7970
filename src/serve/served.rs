//! What handlers share once the model is there: where jobs go, and how a request becomes jobs.

use super::engine::{Command, Job, Update, View};
use super::error::ApiError;
use super::models::{Chosen, Models};
use super::request::Wanted;
use super::shelf::Shelf;
use crate::answering::constraint::dialect::Dialect;
use crate::answering::constraint::guidance::Guidance;
use crate::answering::loaded::Loaded;
use crate::data::record::Conversation;
use crate::eval::stop::Stop;
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
    /// The databases that callers brought.
    pub shelf: Shelf,
    /// What grammars are compiled by, once there is one.
    pub guidance: OnceLock<Result<Guidance, String>>,
    /// What queries are held by, once one is.
    pub dialect: OnceLock<Result<Dialect, String>>,
    /// One more is held for each answer that runs or waits.
    pub tickets: Arc<()>,
}

/// What becomes of the answers to a request, each update with the answer's place.
pub type Updates = UnboundedReceiver<(usize, Update)>;

impl Served {
    /// Whether an answer or a query runs or waits.
    pub fn is_busy(&self) -> bool {
        Arc::strong_count(&self.tickets) > 1 || self.shelf.is_busy()
    }

    /// The tokens before the answer to a chat.
    pub async fn prompt(
        self: &Arc<Self>,
        param: &'static str,
        asked: &Conversation,
    ) -> Result<Vec<u32>, ApiError> {
        let bytes = asked.turns.iter().map(|turn| turn.content.len()).sum();
        self.refuse_long(param, bytes)?;
        let (served, asked) = (self.clone(), asked.clone());
        beside(move || {
            let renderer = served.loaded.renderer();
            let renderer = renderer.map_err(|error| ApiError::server(format!("{error:#}")))?;
            let prompt = renderer.prompt(&asked);
            prompt.map_err(|error| ApiError::field(param, format!("{error:#}")))
        })
        .await
    }

    /// Refuses a text that is too long whatever its tokens are.
    pub fn refuse_long(&self, param: &str, bytes: usize) -> Result<(), ApiError> {
        let context = self.context;
        match bytes > LONGEST_TOKEN * context {
            false => Ok(()),
            true => Err(ApiError::too_long(
                param,
                format!(
                    "the prompt has {bytes} bytes, far more than the {context} tokens of the context: shorten it"
                ),
            )),
        }
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
        let answers = prompts.len() * samples;
        if answers > self.room {
            let room = self.room;
            let message = format!(
                "{answers} answers are more than the {room} that may run and wait here: ask for fewer"
            );
            return Err(ApiError::field("n", message));
        }
        let mut tickets: Vec<Arc<()>> = (0..answers).map(|_| self.tickets.clone()).collect();
        let there = Arc::strong_count(&self.tickets) - 1;
        if there > self.room {
            return Err(ApiError::busy(there - answers));
        }
        let grammar = match wanted.rules.clone() {
            Some(rules) => Some(rules.compile(self).await?),
            None => None,
        };
        let stops = Arc::new(Stops::new(&wanted.stop, &self.loaded.base.tokenizer));
        let (updates, receiver) = unbounded_channel();
        let since = Instant::now();
        let rows = prompts.iter().zip(chosen);
        let rows = rows.flat_map(|row| std::iter::repeat_n(row, samples));
        for (place, ((prompt, chosen), ticket)) in rows.zip(tickets.drain(..)).enumerate() {
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
                ticket,
                since,
            };
            self.tell(Command::Answer(Box::new(job)))?;
        }
        Ok(receiver)
    }

    /// Tells the engine. Errors where it has ended.
    pub fn tell(&self, command: Command) -> Result<(), ApiError> {
        let told = self.commands.send(command);
        told.map_err(|_| ApiError::ending())
    }
}

/// Does what takes long for a long text beside the thread that answers callers.
pub async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ApiError::server(error.to_string()))?
}

/// The same for work of other processes, which `work` ends when it is told that its caller has hung up.
pub async fn while_waited_for<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let stop = Stop::default();
    // Dropped with the caller's future.
    let _waits = stop.when_dropped();
    beside(move || work(&stop)).await
}

/// Bytes that hardly a token has.
const LONGEST_TOKEN: usize = 128;
