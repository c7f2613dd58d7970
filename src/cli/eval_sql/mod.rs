//! `factory eval-sql`: scores predicted SQL and prints one summary line a mode.

mod audit;
mod flags;
mod outputs;

pub use flags::Args;

use super::home::check_reached;
use super::progress::Progress;
use super::{note, sql_worker};
use crate::data::jsonl::{Faults, measure};
use crate::db::sqlite::Now;
use crate::eval::calibration::{calibration, confidences};
use crate::eval::example::{self, Example, Fault, Reading};
use crate::eval::golds::{self, Golds};
use crate::eval::modes;
use crate::eval::pool::Pool;
use crate::eval::sampled;
use crate::eval::score::ScoredRow;
use crate::eval::summary::Run;
use crate::eval::worker::{Reply, Setup};
use crate::run::journal::{self, Journal};
use crate::sql::error::SqlError;
use anyhow::{Result, anyhow, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;

/// Rows from which on progress is shown.
const LONG: usize = 500;
/// Most faults that are said, each on a line.
const SAID: usize = 20;

/// Scores, writes the outputs, prints the summary. Nothing is written unless every row could be scored.
pub fn run(args: Args) -> Result<()> {
    args.check_outputs()?;
    let data = args.data()?;
    let modes = modes::chosen(&args.mode);
    let part = match args.shard {
        Some(shard) => shard.range(measure(data)?.0),
        None => 0..usize::MAX,
    };
    let Reading {
        examples,
        faults,
        sha256,
    } = example::read(
        data,
        &modes,
        args.answers(),
        &args.fields(),
        args.connection.is_given().then_some(""),
        |at, _| part.contains(&at),
    )?;
    let mut dropped = BTreeMap::new();
    for fault in &faults {
        *dropped.entry(fault.reason).or_insert(0) += 1;
    }
    let said_faults = tolerate(&args, faults, "cannot be scored")?;
    if examples.is_empty() {
        bail!("{}: no row can be scored", data.display());
    }
    let confidences = match args.calibration {
        Some(_) => confidences(data, &examples, &args.confidence_field)?,
        None => Vec::new(),
    };
    let samples = args
        .samples
        .then(|| sampled::samples(data, &examples))
        .transpose()?;
    let now = now(&args)?;
    let setup = args.setup(examples.len(), now)?;
    check_reached(&setup.home)?;
    let mut pool = Pool::new(
        &sql_worker::command()?,
        &setup,
        args.workers(examples.len()),
    );
    let golds = Golds::of(&examples);
    if args.audit_gold {
        return audit::run(&args, &examples, &golds, &mut pool);
    }
    let broken = golds.broken(&examples, &mut pool)?;
    let faults = broken.iter().map(|(&row, error)| {
        let place = examples[row].place(data);
        Fault {
            reason: "a reference that fails",
            error: anyhow!("{place}: {}", golds::fault(error)),
        }
    });
    let said_golds = tolerate(&args, faults.collect(), "have a reference that fails")?;

    let header = header(&args, &setup, &sha256);
    let mut scored = Scored::begin(&args, &examples, &header)?;
    let waiting: Vec<usize> = (0..examples.len())
        .filter(|row| scored.rows[*row].is_none())
        .collect();
    let job = |&row: &usize| golds.score(&examples[row], row, broken.get(&row));
    let jobs: Vec<_> = waiting.iter().map(job).collect();
    let progress = (examples.len() >= LONG).then(|| Progress::new(examples.len(), "rows"));
    let mut done = examples.len() - waiting.len();
    pool.run(jobs, |place, reply, elapsed| {
        let Reply::Scores(mut scores) = reply else {
            bail!("a scoring process answered something else");
        };
        let row = waiting[place];
        let broken = broken.get(&row).map(SqlError::to_string);
        scores.gold_error = scores.gold_error.or(broken);
        scored.add(
            row,
            ScoredRow::new(&examples[row], scores, args.rules.get().extract, elapsed),
        )?;
        done += 1;
        if let Some(progress) = &progress {
            progress.update(done, "rows".to_owned());
        }
        Ok(())
    })?;
    if let Some(progress) = &progress {
        progress.finish();
    }
    let (rows, journal) = scored.end()?;
    let passed = rows.iter().map(ScoredRow::passed);
    let samples = samples.map(|samples| {
        let passed: Vec<bool> = passed.clone().collect();
        sampled::score(&examples, &samples, &golds, &broken, &passed, &mut pool)
    });
    let calibration = args.calibration.is_some().then(|| {
        let rows = confidences.into_iter().zip(passed.clone());
        calibration(&args.confidence_field, rows.collect())
    });
    let run = Run {
        now,
        dropped,
        extract: args.rules.get().extract,
        samples: samples.transpose()?,
    };
    let wrote = outputs::write(&args, &examples, &rows, &modes, &run, calibration.as_ref())?;
    if let Some(journal) = journal {
        journal.remove()?;
    }
    let report = outputs::summary_text(&examples, &rows, &modes)?
        + &outputs::more_text(run.samples.as_ref(), calibration.as_ref())
        + &said_faults
        + &said_golds
        + &outputs::remarks(&examples, &rows, setup.options.shown)?
        + &wrote;
    std::io::stdout().write_all(report.as_bytes())?;
    Ok(())
}

/// The time of day of the run: the given one, else that of the run that is gone on with, else the present one.
fn now(args: &Args) -> Result<Now> {
    if let Some(now) = args.now {
        return Ok(now);
    }
    let interrupted = match args.journal()? {
        Some(path) if args.resume => journal::header::<Value>(&path)?,
        _ => None,
    };
    let now = interrupted.and_then(|header| {
        let now = header.pointer("/setup/options/now")?;
        now.as_str()?.parse().ok()
    });
    Ok(now.unwrap_or_else(Now::current))
}

/// With `--keep-going`, says each fault and returns the line that counts them; else they are the error.
fn tolerate(args: &Args, faults: Vec<Fault>, what: &str) -> Result<String> {
    let count = faults.len();
    if count == 0 {
        return Ok(String::new());
    }
    if args.keep_going {
        for fault in faults.iter().take(SAID) {
            note(format_args!("warning: {}", super::one_line(&fault.error)));
        }
        if count > SAID {
            note(format_args!("warning: {} more rows {what}", count - SAID));
        }
        return Ok(format!("kept going: {count} rows {what}\n"));
    }
    let mut named = Faults::default();
    faults.into_iter().for_each(|fault| named.add(fault.error));
    match named.refuse() {
        Ok(()) => Ok(String::new()),
        Err(all) => bail!("{all:#} (--keep-going counts such rows)"),
    }
}

/// The rows scored so far, also kept beside `--out` for `--resume`.
struct Scored {
    rows: Vec<Option<ScoredRow>>,
    journal: Option<Journal>,
}

impl Scored {
    fn begin(args: &Args, examples: &[Example], header: &Value) -> Result<Self> {
        let mut scored = Self {
            rows: vec![None; examples.len()],
            journal: None,
        };
        let Some(path) = args.journal()? else {
            return Ok(scored);
        };
        let old = match args.resume {
            true => Journal::resume::<(usize, ScoredRow)>(&path, header)?,
            false => None,
        };
        let Some((journal, pieces)) = old else {
            scored.journal = Some(Journal::begin(&path, header)?);
            return Ok(scored);
        };
        for (place, row) in pieces {
            let example = examples.get(place);
            let same = example.is_some_and(|example| {
                let gold = example.text("gold_sql").unwrap_or_default();
                example.index == row.index
                    && example.text("id") == row.id.as_deref()
                    && gold == row.gold_sql
            });
            if !same {
                bail!("{}: not a journal of these rows", path.display());
            }
            scored.rows[place] = Some(row);
        }
        let done = scored.rows.iter().flatten().count();
        note(format_args!(
            "going on after {done} rows of {}",
            path.display()
        ));
        scored.journal = Some(journal);
        Ok(scored)
    }

    fn add(&mut self, place: usize, row: ScoredRow) -> Result<()> {
        if let Some(journal) = &mut self.journal {
            journal.add(&(place, &row))?;
        }
        self.rows[place] = Some(row);
        Ok(())
    }

    fn end(self) -> Result<(Vec<ScoredRow>, Option<Journal>)> {
        match self.rows.into_iter().collect() {
            Some(rows) => Ok((rows, self.journal)),
            None => bail!("a scoring process left a row out"),
        }
    }
}

/// What a journal's rows depend on; the databases' own content is not read for it.
fn header(args: &Args, setup: &Setup, sha256: &str) -> Value {
    json!({
        "factory": env!("CARGO_PKG_VERSION"),
        "data_sha256": sha256,
        // Not the whole, which may have a password.
        "setup": { "home": setup.home.to_string(), "modes": setup.modes, "options": setup.options },
        "keep_going": args.keep_going,
        "shard": args.shard.map(|shard| shard.to_string()),
    })
}
