//! The scoring process: reads jobs, one a line, and writes what it found. Whatever a query does to it, it is this process
//! that is killed; [`super::pool`] starts another.

use super::audit::{Finding, audit};
use super::example::Example;
use super::modes::{self, Mode, Texts};
use super::score::{Scores, score};
use super::session::{Desk, Event, Options, Query, Session};
use crate::sql::execute::SqlError;
use crate::sql::extract::extract;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::rc::Rc;

/// What a worker is told first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    pub db_dir: PathBuf,
    /// Names of modes.
    pub modes: Vec<String>,
    pub options: Options,
}

/// What is wanted of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Whether its reference query can be used.
    Gold,
    /// Its scores.
    Score,
    /// What is odd about its reference query.
    Audit,
}

/// One row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub task: Task,
    pub db: Option<String>,
    pub predicted_sql: Option<String>,
    pub gold_sql: Option<String>,
    /// Queries that must not run again, and what they did.
    pub known: Vec<(Query, SqlError)>,
}

impl Job {
    /// The job that a row is.
    pub fn of(example: &Example, task: Task) -> Self {
        let text = |field| example.text(field).map(str::to_owned);
        Self {
            task,
            db: text("db"),
            predicted_sql: text("predicted_sql"),
            gold_sql: text("gold_sql"),
            known: Vec::new(),
        }
    }

    fn suits(&self, mode: &dyn Mode) -> bool {
        let has = |field: &&str| match *field {
            "db" => self.db.is_some(),
            // There is none yet where only the reference is looked at.
            "predicted_sql" => self.predicted_sql.is_some() || self.task != Task::Score,
            "gold_sql" => self.gold_sql.is_some(),
            _ => false,
        };
        mode.fields().iter().all(has)
    }
}

/// The answer to a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    Gold(Option<SqlError>),
    Scores(Scores),
    Audit(Vec<Finding>),
}

/// One line of a worker's output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    Event(Event),
    Done(Reply),
}

/// Answers jobs until the input ends.
pub fn serve(mut input: impl BufRead, output: impl Write + 'static) -> Result<()> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let setup: Setup = serde_json::from_str(&line).context("no setup on the first line")?;
    let modes = modes::chosen(&setup.modes);
    let output = Rc::new(RefCell::new(output));
    let events = output.clone();
    // Nobody there to hear it: the next reply finds that out.
    let notify =
        Box::new(move |event| drop(say(&mut *events.borrow_mut(), &Message::Event(event))));
    let mut desk = Desk::new(&setup.db_dir, setup.options, notify);
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let job: Job = serde_json::from_str(&line).context("no job on a line")?;
        let reply = answer(&job, &modes, &mut desk);
        say(&mut *output.borrow_mut(), &Message::Done(reply))?;
    }
}

fn say(output: &mut impl Write, message: &Message) -> Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    output.write_all(&line)?;
    Ok(output.flush()?)
}

/// Does what a job asks for.
pub fn answer(job: &Job, modes: &[&'static dyn Mode], desk: &mut Desk) -> Reply {
    let predicted = job.predicted_sql.as_deref().unwrap_or_default();
    let texts = Texts {
        db: job.db.as_deref().unwrap_or_default(),
        predicted,
        scored: extract(predicted),
        gold: job.gold_sql.as_deref().unwrap_or_default(),
    };
    let mut session = desk.session(&job.known);
    match job.task {
        Task::Gold => Reply::Gold(gold_fault(&texts, job, modes, &mut session)),
        Task::Score => Reply::Scores(score(&texts, modes, |mode| job.suits(mode), &mut session)),
        Task::Audit => {
            let suiting: Vec<_> = modes
                .iter()
                .copied()
                .filter(|mode| job.suits(*mode))
                .collect();
            Reply::Audit(audit(&texts, &suiting, &mut session))
        }
    }
}

fn gold_fault(
    texts: &Texts,
    job: &Job,
    modes: &[&'static dyn Mode],
    session: &mut Session,
) -> Option<SqlError> {
    let mut suiting = modes.iter().filter(|mode| job.suits(**mode));
    suiting.find_map(|mode| mode.gold_fault(texts, session))
}
