//! Rounds, one after another, and which adapter is handed out.

use super::config::{Config, Places};
use super::folder::Folder;
use super::summary::{Round, Summary};
use crate::learning::rows::Rows;
use crate::learning::verdicts::Scorer;
use crate::run::observer::Observer;
use crate::session::run::Draw;
use crate::training::trainer::Diverged;
use anyhow::{Error, Result, anyhow, bail};
use std::path::{Path, PathBuf};

/// That the first round has nothing to learn.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Nothing(String);

/// A run while it goes on.
pub struct Run<'a> {
    pub config: &'a Config,
    pub places: &'a Places,
    pub observer: &'a dyn Observer,
    pub draw: Draw<'a>,
    pub rows: Rows,
    pub scorer: Scorer,
    pub folder: Folder,
    pub summary: Summary,
}

/// Runs the rounds and writes the folder, whose adapter is the best of all rounds and the start. Errors where the first round has nothing to learn.
pub fn run(
    config: &Config,
    places: &Places,
    observer: &dyn Observer,
    draw: Draw,
) -> Result<Summary> {
    let db = config.databases.home.unnamed();
    let mut rows = Rows::read(&config.data, &config.columns, db)?;
    let (folder, summary) = Folder::open(config, &rows.sha256)?;
    let scorer = Scorer::open(
        &mut rows,
        &config.databases,
        config.now,
        config.keep_going,
        observer,
    )?;
    let mut run = Run {
        config,
        places,
        observer,
        draw,
        rows,
        scorer,
        folder,
        summary,
    };
    match run.rounds() {
        Ok(()) => {
            let Run {
                folder, summary, ..
            } = run;
            folder.finish()?;
            Ok(summary)
        }
        Err(error) => Err(stopped(error, &run.folder, &config.session.out)),
    }
}

impl Run<'_> {
    fn rounds(&mut self) -> Result<()> {
        if self.config.session.selection.is_some() && self.summary.start_accuracy.is_none() {
            self.observer.note(format_args!(
                "measuring the start, {}",
                self.config.init.display()
            ));
            self.summary.start_accuracy = self.measure(&self.config.init)?;
            self.folder.save(&self.summary)?;
        }
        for number in 1..=self.config.rounds {
            if self.summary.rounds.len() < number {
                let round = self.drawn(number)?;
                self.summary.rounds.push(round);
                self.folder.save(&self.summary)?;
            }
            self.folder.drawn(number)?;
            let round = &self.summary.rounds[number - 1];
            if round.learned.answers == 0 {
                let nothing = self.nothing(round);
                if number == 1 {
                    let samples = self.folder.samples(number);
                    bail!(Nothing(format!("{nothing} (see {})", samples.display())));
                }
                self.observer
                    .note(format_args!("{nothing}; no round follows"));
                break;
            }
            if round.trained_from.is_none() {
                let from = self.train(number)?;
                let accuracy = self.measure(&self.folder.adapter(number))?;
                let round = &mut self.summary.rounds[number - 1];
                (round.trained_from, round.accuracy) = (Some(from), accuracy);
                self.folder.save(&self.summary)?;
            }
            let line = self.summary.rounds[number - 1].line();
            self.observer.note(format_args!("{line}"));
        }
        self.hand_out()
    }

    /// That a round has nothing to learn, and why.
    fn nothing(&self, round: &Round) -> String {
        let samples = round.drawn.samples;
        let reasons = round.learned.left_out.iter();
        let reasons: Vec<String> = reasons.map(|(why, n)| format!("{n} {why}")).collect();
        let why = match reasons.is_empty() {
            true => format!(
                "none of {samples} samples of {} rows is right",
                round.drawn.rows
            ),
            false => format!("no right sample can be learned: {}", reasons.join(", ")),
        };
        format!("round {}: nothing to learn, {why}", round.round)
    }

    /// Puts the best adapter in the place of the run's result, and says where it is not the last.
    fn hand_out(&mut self) -> Result<()> {
        let summary = &mut self.summary;
        summary.kept = summary.best();
        let trained = summary.rounds.iter().filter(|r| r.trained_from.is_some());
        let last = trained.map(|round| round.round).max().unwrap_or(0);
        let said = |round| match summary.accuracy(round) {
            Some(accuracy) => format!(" ({accuracy:.3})"),
            None => String::new(),
        };
        if summary.kept == 0 {
            self.observer.note(format_args!(
                "every round's adapter is worse on --eval-data than the start{}: the start is handed out, and no other",
                said(0)
            ));
        } else if summary.kept < last {
            self.observer.note(format_args!(
                "the adapter of round {}{} is worse on --eval-data than that of round {}{}, which is handed out",
                last,
                said(last),
                summary.kept,
                said(summary.kept)
            ));
        } else if self.config.session.selection.is_none() {
            self.observer.note(format_args!(
                "the last round's adapter is handed out; whether it is better than the start was not measured (--eval-data)"
            ));
        }
        match summary.kept {
            0 => self.take_start()?,
            round => self.folder.take(round)?,
        }
        self.folder.write_summary(&self.summary)
    }

    /// The adapter of a round; 0 is the start.
    pub fn adapter(&self, round: usize) -> PathBuf {
        match round {
            0 => self.config.init.clone(),
            round => self.folder.adapter(round),
        }
    }
}

/// `error`, and how to go on where something is kept.
fn stopped(error: Error, folder: &Folder, out: &Path) -> Error {
    // Gone on with, these two come again.
    if !folder.keeps() || error.is::<Nothing>() || error.is::<Diverged>() {
        return error;
    }
    // How to go on with a round's training alone is not what is to be done.
    let error = match error.to_string().starts_with("stopped; ") {
        true => {
            let rest: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
            anyhow!(rest.join(": "))
        }
        false => error,
    };
    error.context(format!(
        "stopped; what is done is kept, go on with: factory rft --resume {}",
        out.display()
    ))
}
