//! The one thread that owns the adapters and the key cache: between two steps it takes what callers ask, and which adapters come and go.

use super::error::ApiError;
use super::metrics::Metrics;
use super::models::Models;
use super::served::Served;
use crate::adapters::bank::{Bank, Member, Mixture};
use crate::adapters::ngrams::Ngrams;
use crate::answering::loaded::Loaded;
use crate::generation::cache::Cache;
use crate::generation::constraint::Grammar;
use crate::generation::flight::{Event, Flight, Model};
use crate::generation::memory::step_tokens;
use crate::generation::sampler::{Logprob, Sampler};
use crate::generation::scheduler::Limits;
use crate::generation::sequence::{Answer, Asked};
use crate::generation::stop::Stops;
use anyhow::Result;
use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// One answer that somebody waits for.
pub struct Job {
    /// Its place among the answers to one request.
    pub place: usize,
    pub prompt: Vec<u32>,
    /// Adapters with their weights.
    pub parts: Vec<(String, f64)>,
    pub sampler: Sampler,
    pub stops: Arc<Stops>,
    pub max_tokens: usize,
    pub grammar: Option<Arc<dyn Grammar>>,
    /// Whether each token is told.
    pub streams: bool,
    /// Who waits; gone where nobody does any more.
    pub updates: UnboundedSender<(usize, Update)>,
    /// Held as long as it waits or runs.
    pub ticket: Arc<()>,
    pub since: Instant,
}

/// What becomes of a job.
pub enum Update {
    Token(u32, Option<Logprob>),
    Done(Box<Answer>),
    Failed(ApiError),
}

/// What the engine is told.
pub enum Command {
    Answer(Box<Job>),
    /// A further adapter with its table.
    Add(
        Box<Member>,
        Option<Ngrams>,
        oneshot::Sender<Result<(), ApiError>>,
    ),
    /// An adapter that [`Models`] no longer has is to go as soon as no row uses it.
    Remove(String),
}

/// A row in flight, as `/slots` shows it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Slot {
    pub id: usize,
    pub adapters: Vec<String>,
    pub prompt_tokens: usize,
    pub generated_tokens: usize,
}

/// What callers may see of the engine.
#[derive(Default)]
pub struct View {
    pub metrics: Metrics,
    slots: Mutex<BTreeMap<usize, Slot>>,
}

impl View {
    /// The rows in flight and those that wait.
    pub fn slots(&self) -> Vec<Slot> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What waits for a row.
struct Waiting {
    streams: bool,
    updates: UnboundedSender<(usize, Update)>,
    place: usize,
    parts: Vec<(String, f64)>,
    since: Instant,
    told: bool,
    ticket: Arc<()>,
}

impl Waiting {
    /// The end: whoever hears of it may ask again at once, and has room.
    fn end(self, update: Update) {
        drop(self.ticket);
        let _ = self.updates.send((self.place, update));
    }

    fn tell(&self, update: Update) {
        // Nobody may be there any more; the row is then ended before the next step.
        let _ = self.updates.send((self.place, update));
    }
}

/// How long it waits before it asks again whether it is to end.
const PAUSE: Duration = Duration::from_millis(100);

/// An adapter that is to be added, with its table, and who asked for it.
type Coming = (
    Box<Member>,
    Option<Ngrams>,
    oneshot::Sender<Result<(), ApiError>>,
);

/// What changes while it runs.
struct Engine<'a> {
    loaded: &'a Loaded,
    models: &'a Models,
    view: &'a View,
    bank: Bank,
    ngrams: Option<Vec<Option<Ngrams>>>,
    flight: Flight<'a>,
    waiting: BTreeMap<usize, Waiting>,
    leaving: Vec<String>,
    coming: Vec<Coming>,
    next: usize,
}

/// Adapters, and their tables where there is guessing.
pub type Adapters = (Bank, Option<Vec<Option<Ngrams>>>);

/// Serves until `gone` says that there are no callers any more. An error ends it, with all rows.
pub fn run(
    served: &Served,
    (bank, ngrams): Adapters,
    mut cache: Cache,
    commands: Receiver<Command>,
    gone: impl Fn() -> bool,
) -> Result<()> {
    let Served {
        loaded,
        models,
        view,
        ..
    } = served;
    let decoder = &loaded.base.decoder;
    let limits = Limits {
        rows: loaded.batch,
        tokens: step_tokens(decoder.path),
    };
    let mut engine = Engine {
        loaded,
        models,
        view,
        bank,
        ngrams,
        flight: Flight::new(&mut cache, decoder, limits),
        waiting: BTreeMap::new(),
        leaving: Vec::new(),
        coming: Vec::new(),
        next: 0,
    };
    while !gone() {
        for command in commands.try_iter() {
            engine.take(command);
        }
        engine.end_unwanted();
        engine.let_go()?;
        engine.add()?;
        if engine.step()? {
            continue;
        }
        if let Ok(command) = commands.recv_timeout(PAUSE) {
            engine.take(command);
        }
    }
    Ok(())
}

impl Engine<'_> {
    fn take(&mut self, command: Command) {
        match command {
            Command::Answer(job) => self.answer(*job),
            Command::Add(member, ngrams, done) => self.coming.push((member, ngrams, done)),
            Command::Remove(name) => self.leaving.push(name),
        }
    }

    fn answer(&mut self, job: Job) {
        let id = self.next;
        self.next += 1;
        let Job {
            place,
            prompt,
            parts,
            updates,
            ..
        } = job;
        let waiting = Waiting {
            streams: job.streams,
            updates,
            place,
            since: job.since,
            told: false,
            parts,
            ticket: job.ticket,
        };
        let member = |name: &String| {
            let members = self.bank.members().iter();
            let gone = self.leaving.contains(name);
            members
                .map(|m| &m.name)
                .position(|known| known == name && !gone)
        };
        let mut mixture = Mixture::default();
        for (name, weight) in &waiting.parts {
            match member(name) {
                Some(member) => mixture.0.push((member, *weight)),
                None => {
                    let error = ApiError::no_model(name, &self.models.names());
                    return waiting.end(Update::Failed(error));
                }
            }
        }
        let asked = Asked {
            mixture: self.flight.mixture(&mixture),
            sampler: job.sampler,
            stops: job.stops,
            max_tokens: job.max_tokens,
            grammar: job.grammar,
        };
        let slot = Slot {
            id,
            adapters: waiting.parts.iter().map(|(name, _)| name.clone()).collect(),
            prompt_tokens: prompt.len(),
            generated_tokens: 0,
        };
        let ngrams = self.ngrams.as_deref();
        let model = model(self.loaded, &self.bank, ngrams);
        match self.flight.submit(&model, id, prompt, asked) {
            Ok(()) => {
                self.view.metrics.asked(slot.prompt_tokens);
                self.view.lock().insert(id, slot);
                self.waiting.insert(id, waiting);
            }
            Err(error) => waiting.end(Update::Failed(ApiError::server(format!("{error:#}")))),
        }
    }

    /// Ends the rows that nobody waits for any more.
    fn end_unwanted(&mut self) {
        let gone = self.waiting.iter().filter(|(_, w)| w.updates.is_closed());
        let gone: Vec<usize> = gone.map(|(id, _)| *id).collect();
        for id in gone {
            self.flight.cancel(id);
            self.waiting.remove(&id);
            self.view.lock().remove(&id);
            self.view.metrics.finished("abort");
        }
    }

    /// Lets adapters go that no row uses.
    fn let_go(&mut self) -> Result<()> {
        let used = |name: &String| {
            let mut parts = self.waiting.values().flat_map(|waiting| &waiting.parts);
            parts.any(|(part, _)| part == name)
        };
        let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut self.leaving)
            .into_iter()
            .partition(used);
        self.leaving = stay;
        for name in go {
            let members = self.bank.members();
            if let Some(member) = members.iter().position(|m| m.name == name) {
                self.bank.remove(member)?;
                self.flight.forget(member);
                if let Some(ngrams) = &mut self.ngrams {
                    ngrams.remove(member);
                }
            }
        }
        Ok(())
    }

    /// Adds the adapters that are to come. One whose name is still in use by another that leaves waits for that.
    fn add(&mut self) -> Result<()> {
        for (member, ngrams, done) in std::mem::take(&mut self.coming) {
            if self.leaving.contains(&member.name) {
                self.coming.push((member, ngrams, done));
                continue;
            }
            let known = |other: &Member| other.name == member.name;
            let added = match self.bank.members().iter().any(known) {
                true => {
                    let message = format!("{} is served already", member.name);
                    Err(ApiError::field("lora_name", message))
                }
                false => {
                    self.bank.add(*member)?;
                    if let Some(all) = &mut self.ngrams {
                        all.push(ngrams);
                    }
                    Ok(())
                }
            };
            // Who asked may be gone; the adapter is there all the same.
            let _ = done.send(added);
        }
        Ok(())
    }

    /// Computes a step; `false` where there is nothing to compute.
    fn step(&mut self) -> Result<bool> {
        let Self {
            loaded,
            view,
            waiting,
            flight,
            bank,
            ngrams,
            ..
        } = self;
        let ngrams = ngrams.as_deref();
        let model = model(loaded, bank, ngrams);
        let worked = flight.step(&model, |event| {
            match event {
                Event::Token { index, sequence } => {
                    let Some(waiting) = waiting.get_mut(&index) else {
                        return Ok(());
                    };
                    if !std::mem::replace(&mut waiting.told, true) {
                        view.metrics.first_token(waiting.since.elapsed());
                    }
                    if let Some(slot) = view.lock().get_mut(&index) {
                        slot.generated_tokens = sequence.generated.len();
                    }
                    if let (true, Some(token)) = (waiting.streams, sequence.generated.last()) {
                        let logprob = sequence.logprobs.last().cloned();
                        waiting.tell(Update::Token(*token, logprob));
                    }
                }
                Event::Done { index, answer } => {
                    view.lock().remove(&index);
                    if let Some(waiting) = waiting.remove(&index) {
                        let metrics = &view.metrics;
                        if !waiting.told {
                            metrics.first_token(waiting.since.elapsed());
                        }
                        metrics.done(&answer, waiting.since.elapsed());
                        waiting.end(Update::Done(Box::new(answer)));
                    }
                }
            }
            Ok(())
        })?;
        let (running, queued) = flight.counts();
        let usage = flight.take_usage();
        view.metrics.step(&usage, flight.fill(), running, queued);
        Ok(worked)
    }
}

fn model<'a>(
    loaded: &'a Loaded,
    bank: &'a Bank,
    ngrams: Option<&'a [Option<Ngrams>]>,
) -> Model<'a> {
    Model {
        decoder: &loaded.base.decoder,
        tokenizer: &loaded.base.tokenizer,
        bank: Some(bank),
        ngrams,
    }
}
