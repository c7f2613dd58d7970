//! The scoring process: reads jobs, one a line, and writes what it found. Whatever a query does to it, it is this process
//! that ends; [`super::pool`] starts another.

use super::audit::{Finding, audit};
use super::built::{self, Built};
use super::described::{self, Described};
use super::example::Example;
use super::judged::{Judged, judge};
use super::modes::{self, Mode, Texts};
use super::returned::{Ran, run};
use super::score::{Scores, failed, score, unanswered};
use super::session::{Desk, Event, Options, Query, Session};
use super::standard::Standard;
use super::table::{self, Shown};
use crate::db::home::Home;
use crate::db::sqlite;
use crate::db::watch::Watch;
use crate::sql::error::SqlError;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::io::{BufRead, Write};
use std::process::exit;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

/// What a worker is told first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    pub home: Home,
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
    /// Whether its reply is right, and what that returns, in little.
    Judge,
    /// What is odd about its reference query.
    Audit,
    /// What its predicted query returns, whatever the reference is.
    Run,
    /// The same, for people.
    Show,
    /// What tables its database has.
    Describe,
    /// Its database as a file, for a script.
    Build,
}

/// One row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub task: Task,
    pub db: Option<String>,
    pub predicted_sql: Option<String>,
    pub gold_sql: Option<String>,
    /// Gold results in files.
    pub standard: Standard,
    /// Queries that must not run again, and what they did.
    pub known: Vec<(Query, SqlError)>,
    /// How many deadlines its reference query may take: more than one if it was seen to need less, since then only a busy
    /// machine is in its way.
    pub patience: u32,
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
            standard: example.standard.clone(),
            known: Vec::new(),
            patience: 1,
        }
    }

    /// A reply or a query that has no reference, to be run on the database called `db`.
    pub fn asked(task: Task, db: &str, reply: &str) -> Self {
        Self {
            task,
            db: Some(db.to_owned()),
            predicted_sql: Some(reply.to_owned()),
            gold_sql: None,
            standard: Standard::default(),
            known: Vec::new(),
            patience: 1,
        }
    }

    /// What is answered for a job that no process survives: the row fails, nothing else does.
    pub fn given_up(&self, modes: &[&'static dyn Mode], error: SqlError) -> Reply {
        match self.task {
            Task::Gold => Reply::Gold(Some(error)),
            Task::Score => Reply::Scores(failed(modes, |mode| self.suits(mode), &error)),
            Task::Judge => Reply::Judged(Judged::given_up(&error)),
            Task::Audit => Reply::Audit(vec![Finding::fails(&error)]),
            Task::Run => Reply::Ran(Err(error)),
            Task::Show => Reply::Shown(Err(error)),
            Task::Describe => Reply::Described(Err(error)),
            Task::Build => Reply::Built(Err(error)),
        }
    }

    fn suits(&self, mode: &dyn Mode) -> bool {
        let has = |field: &&str| match *field {
            "db" => self.db.is_some(),
            // A row without an answer fails, and there is none yet where only the reference is looked at.
            "predicted_sql" => true,
            "gold_sql" => {
                let in_files = mode.takes_files() && self.standard.gold_csv.is_some();
                in_files || self.gold_sql.is_some()
            }
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
    Judged(Judged),
    Audit(Vec<Finding>),
    Ran(Ran),
    Shown(Shown),
    Described(Result<Described, SqlError>),
    Built(Built),
}

/// One line of a worker's output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// It has its setup.
    Ready,
    /// A query begins: should the process end, this is what it was at, or at the result of.
    Running(Query),
    Done(Reply),
    /// The server that rows' queries run on is gone, for this reason.
    Gone(SqlError),
}

/// Answers jobs until the input ends. Whoever tells them being gone ends the process at once, whatever it is doing.
pub fn serve(mut input: impl BufRead + Send + 'static, output: impl Write + 'static) -> Result<()> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let setup: Setup = serde_json::from_str(&line).context("no setup on the first line")?;
    let modes = modes::chosen(&setup.modes);
    sqlite::pin(setup.options.now);
    let output = Rc::new(RefCell::new(output));
    say(&mut *output.borrow_mut(), &Message::Ready)?;
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in input.lines() {
            let Ok(line) = line else { break };
            if send.send(line).is_err() {
                break;
            }
        }
        exit(0);
    });
    let watch = Watch::start();
    let mut desk = Desk::new(
        setup.home,
        setup.options,
        Box::new(notify(output.clone(), watch.clone())),
    );
    for line in lines {
        let job: Job = serde_json::from_str(&line).context("no job on a line")?;
        watch.other();
        let reply = answer(&job, &modes, &mut desk);
        // Whoever listens may be stopped, and the pipe full.
        watch.rest();
        let message = match desk.gone.take() {
            Some(reason) => Message::Gone(reason),
            None => Message::Done(reply),
        };
        say(&mut *output.borrow_mut(), &message)?;
    }
    Ok(())
}

/// Says what a query that ends the process was, and sets the clock for what comes.
fn notify(output: Rc<RefCell<impl Write>>, watch: Watch) -> impl FnMut(Event) {
    move |event| {
        watch.rest();
        let Event::Running(query, timeout) = event else {
            return watch.other();
        };
        if say(&mut *output.borrow_mut(), &Message::Running(query)).is_err() {
            exit(1);
        }
        if let Some(timeout) = timeout {
            watch.query(timeout);
        }
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
    let found = desk.options.rules.extract.find(predicted);
    let texts = Texts {
        db: job.db.as_deref().unwrap_or_default(),
        predicted,
        scored: found.query(),
        refused: found.refused(),
        gold: job.gold_sql.as_deref().unwrap_or_default(),
        standard: Some(&job.standard),
    };
    let mut session = desk.session(&job.known, job.patience);
    match job.task {
        Task::Gold => Reply::Gold(gold_fault(&texts, job, modes, &mut session)),
        Task::Score if job.predicted_sql.is_none() => {
            Reply::Scores(unanswered(modes, |mode| job.suits(mode)))
        }
        Task::Score => Reply::Scores(score(&texts, modes, |mode| job.suits(mode), &mut session)),
        Task::Judge => Reply::Judged(judge(&texts, modes, |mode| job.suits(mode), &mut session)),
        Task::Audit => {
            let suiting: Vec<_> = modes
                .iter()
                .copied()
                .filter(|mode| job.suits(*mode))
                .collect();
            Reply::Audit(audit(&texts, &suiting, &mut session))
        }
        Task::Run => Reply::Ran(run(&texts, &mut session)),
        Task::Show => Reply::Shown(table::run(texts.db, predicted, &mut session)),
        Task::Describe => Reply::Described(described::run(texts.db, &mut session)),
        Task::Build => Reply::Built(built::run(texts.db, predicted, &mut session)),
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
