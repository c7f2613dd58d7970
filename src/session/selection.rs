//! Rows that adapters answer during a run: the adapter that answers best is the one that is kept.

use crate::adapters::lora::Adapter;
use crate::adapters::ngrams::Ngrams;
use crate::answering::config::Config as Answering;
use crate::answering::rows::named;
use crate::answering::trial;
use crate::data::jsonl::Line;
use crate::data::record::Columns;
use crate::data::template::Renderer;
use crate::eval::gates::{self, Gate};
use crate::eval::score::ScoredRow;
use crate::eval::session::Rules;
use crate::model::load::Base;
use crate::run::observer::Observer;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Deadline of a query.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Steps between evaluations, unless they are given.
pub const EVERY: u64 = 50;

/// How adapters are measured.
#[derive(Debug, Clone)]
pub struct Config {
    /// Rows with a prompt, `gold_sql` and `db` (JSONL).
    pub data: PathBuf,
    /// Folder of their databases.
    pub db: PathBuf,
    /// Which column of a row is its prompt.
    pub columns: Columns,
    pub rules: Rules,
    /// Steps between evaluations; the last step's adapter is always measured.
    pub every: u64,
    /// Evaluations without a better one after which the run stops.
    pub patience: Option<u64>,
    /// What starts a scoring process.
    pub worker: [PathBuf; 2],
}

/// What an adapter's answers were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Whether each row passed.
    pub passed: Vec<bool>,
    /// Rows whose query ran.
    pub ran: usize,
}

impl Measured {
    /// The share of the rows that passed.
    pub fn accuracy(&self) -> f64 {
        let passed = self.passed.iter().filter(|passed| **passed).count();
        passed as f64 / self.passed.len() as f64
    }

    /// The share of the rows whose query ran.
    pub fn valid(&self) -> f64 {
        self.ran as f64 / self.passed.len() as f64
    }
}

/// What was found so far; a part of the run's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The step after which the best adapter was, and its execution accuracy.
    pub found: Option<(usize, f64)>,
    /// Evaluations since.
    pub since: u64,
}

impl Best {
    /// Takes note of an evaluation; whether it is the best one.
    pub fn add(&mut self, step: usize, accuracy: f64) -> bool {
        let better = self.found.is_none_or(|(_, best)| accuracy > best);
        if better {
            *self = Self {
                found: Some((step, accuracy)),
                since: 0,
            };
        } else {
            self.since += 1;
        }
        better
    }
}

/// The answers to all rows under an adapter, guessed ahead by its table; `None` where the model's logits are no numbers.
pub type Answers<'a> = Box<dyn Fn(&Adapter, Option<&Ngrams>) -> Result<Vec<Option<String>>> + 'a>;

/// Makes ready whatever answers the rows of a gate.
pub type Asking<'a> = &'a dyn Fn(&Config, &Gate) -> Result<Answers<'a>>;

/// The rows that adapters are measured on.
pub struct Selection<'a> {
    config: &'a Config,
    observer: &'a dyn Observer,
    gate: Gate,
    answers: Answers<'a>,
}

impl<'a> Selection<'a> {
    /// Reads the rows and checks their reference queries. `base` answers them as it is asked.
    pub fn open(
        config: &'a Config,
        base: &'a Base,
        renderer: &Renderer,
        observer: &'a dyn Observer,
    ) -> Result<Self> {
        Self::by(config, observer, |config, gate| {
            let (data, lines, columns) = (&config.data, gate.lines(), &config.columns);
            let stop = Answering::default().stop;
            let prompts = trial::prompts(base, renderer, data, &lines, columns, &stop)?;
            Ok(Box::new(move |adapter, ngrams| {
                trial::answers(base, adapter, ngrams, &prompts)
            }))
        })
    }

    /// The same, answered otherwise.
    pub fn by(
        config: &'a Config,
        observer: &'a dyn Observer,
        asking: impl Fn(&Config, &Gate) -> Result<Answers<'a>>,
    ) -> Result<Self> {
        let Config { data, db, .. } = config;
        let gate = gates::execution(data, db, &config.worker, TIMEOUT, config.rules)?;
        Ok(Self {
            answers: asking(config, &gate)?,
            config,
            observer,
            gate,
        })
    }

    /// Whether the adapter after `step` of `total` is measured.
    pub fn measures(&self, step: usize, total: usize) -> bool {
        step == total || (step as u64).is_multiple_of(self.config.every)
    }

    /// Whether a run that found this goes on in vain.
    pub fn gives_up(&self, best: &Best) -> bool {
        self.config.patience.is_some_and(|most| best.since >= most)
    }

    /// What is asked, and what is right.
    pub fn rows(&self) -> String {
        let lines = self.gate.lines();
        let rows: Vec<_> = lines.iter().map(Line::fields).collect();
        serde_json::json!(rows).to_string()
    }

    /// How the base answers under `adapter`, whose training answers have these `ngrams`.
    pub fn measure(&mut self, adapter: &Adapter, ngrams: Option<&Ngrams>) -> Result<Measured> {
        let answers = (self.answers)(adapter, ngrams)?;
        let without = answers.iter().enumerate();
        let without = without.filter(|(_, answer)| answer.is_none());
        let places: Vec<String> = without
            .map(|(row, _)| self.gate.examples[row].place(&self.gate.data))
            .collect();
        if !places.is_empty() {
            self.observer.note(format_args!(
                "warning: no answer, and so not right, for logits that are no numbers: {}",
                named(&places)
            ));
        }
        let answers = answers.into_iter().enumerate();
        let answers = answers.map(|(row, answer)| (row, answer.unwrap_or_default()));
        let rows = self.gate.score(&answers.collect::<Vec<_>>())?;
        let share = self.gate.share(&rows);
        self.observer.note(format_args!(
            "execution accuracy {:.3} ({}/{})",
            share.value, share.passed, share.n
        ));
        let ran = rows
            .iter()
            .filter(|row| row.scores.predicted_error.is_none());
        Ok(Measured {
            ran: ran.count(),
            passed: rows.iter().map(ScoredRow::passed).collect(),
        })
    }
}
