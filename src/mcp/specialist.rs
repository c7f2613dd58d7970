//! The model behind `ask_database`: one thread owns it, and answers one question after another.

use super::log::Log;
use crate::answering::config::Config as Answering;
use crate::ask::{self, Answer, Source};
use crate::db::connections::Connection;
use crate::db::home::Home;
use crate::eval::databases::Databases;
use crate::eval::session::Rules;
use crate::eval::stop::Stop;
use crate::model::place::Place;
use crate::run::words::one_line;
use anyhow::{Context, Result, anyhow, bail};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// What answers, and how.
pub struct Model {
    /// Its database is each question's own.
    pub ask: ask::Config,
    pub answering: Answering,
    pub place: Place,
    /// What starts a process that runs queries.
    pub worker: Vec<PathBuf>,
    /// Processor time of a query.
    pub timeout: Duration,
}

/// How often it is looked whether anybody still waits.
const LOOK: Duration = Duration::from_millis(100);

/// Takes questions to the model.
pub struct Specialist(Sender<Question>);

/// A question, and where its answer goes.
pub struct Question {
    connection: Connection,
    text: String,
    stop: Stop,
    answer: Sender<Result<Answer, String>>,
}

impl Specialist {
    /// One whose questions come out at the other end.
    pub fn new() -> (Self, Receiver<Question>) {
        let (sender, questions) = channel();
        (Self(sender), questions)
    }

    /// Waits for an answer, as long as `stop` lets it.
    pub fn ask(&self, connection: &Connection, text: &str, stop: &Stop) -> Result<Answer> {
        let (answer, answered) = channel();
        let question = Question {
            connection: connection.clone(),
            text: text.to_owned(),
            stop: stop.clone(),
            answer,
        };
        let gone = "the model is no longer there";
        self.0.send(question).ok().context(gone)?;
        loop {
            match answered.recv_timeout(LOOK) {
                Ok(answer) => return answer.map_err(|error| anyhow!("{error}")),
                Err(RecvTimeoutError::Timeout) if stop.stops() => bail!("nobody waits any more"),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!(gone),
            }
        }
    }
}

/// Loads the model and answers until nobody can ask any more.
pub fn run(
    model: &Model,
    questions: &Receiver<Question>,
    log: &Log,
    gone: impl Fn() -> bool,
) -> Result<()> {
    let loaded = ask::Model::load(model.ask.clone(), &model.answering, &model.place, log)?;
    log.event("ready", "the model is loaded");
    loop {
        let question = match questions.recv_timeout(LOOK) {
            Ok(question) => question,
            Err(RecvTimeoutError::Timeout) if !gone() => continue,
            Err(_) => return Ok(()),
        };
        // Its caller left while others were answered.
        if question.stop.stops() {
            continue;
        }
        let answer = answer(model, &loaded, &question, log);
        let answer = answer.map_err(|error| one_line(&error));
        // Nobody to hear it is no fault.
        let _ = question.answer.send(answer);
    }
}

fn answer(model: &Model, loaded: &ask::Model, question: &Question, log: &Log) -> Result<Answer> {
    let home = Home::Connection(question.connection.clone());
    let worker = model.worker.clone();
    let databases = Databases::new(home, worker, model.timeout, Rules::default());
    // Looked at each time: it may have other tables by now.
    let source = Source::open(String::new(), databases, &question.stop)?;
    let subject = loaded.subject(source)?;
    loaded.ask(&subject, &question.text, log)
}
