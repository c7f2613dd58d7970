//! The flags of `factory eval-sql`.

use crate::cli::UsageError;
use crate::cli::home::ConnectionArgs;
use crate::cli::rules::RulesArgs;
use crate::data::shard::Shard;
use crate::db::home::Home;
use crate::db::sqlite::Now;
use crate::eval::example::{Answers, CONFIDENCE, SAMPLES};
use crate::eval::modes;
use crate::eval::session::{Options, REPEATS};
use crate::eval::shown::most_bytes;
use crate::eval::worker::Setup;
use crate::run::files;
use anyhow::{Result, bail, ensure};
use clap::builder::PossibleValuesParser;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Score predicted SQL by running it in a sandbox.
#[derive(clap::Args)]
pub struct Args {
    /// Predictions: rows with predicted_sql, gold_sql and db, one JSON object a line.
    #[arg(
        id = "predictions",
        value_name = "PREDS",
        required_unless_present = "data"
    )]
    pub preds: Option<PathBuf>,
    /// The same, as a flag.
    #[arg(long, value_name = "FILE", conflicts_with = "predictions")]
    pub data: Option<PathBuf>,
    /// Folder of the databases: NAME, NAME.db, NAME.sqlite or NAME.duckdb; NAME.sql to build one from; or a folder NAME of a test suite
    /// [default: the predictions' folder].
    #[arg(long, value_name = "DIR")]
    pub db_dir: Option<PathBuf>,
    /// Folder of gold results in files, for mode spider2-lite: a row's gold_csv NAME is NAME.csv there, or any of NAME_a.csv, NAME_b.csv, …
    #[arg(long, value_name = "DIR")]
    pub gold_dir: Option<PathBuf>,
    #[command(flatten)]
    pub connection: ConnectionArgs,
    #[command(flatten)]
    pub rules: RulesArgs,
    /// Scoring semantics, several at once or separated by commas.
    #[arg(long, value_name = "MODE", value_delimiter = ',', default_value = modes::ALL[0].name(), value_parser = mode_names())]
    pub mode: Vec<String>,
    /// Leave DISTINCT where it is in mode spider-ts, as the original does when told so.
    #[arg(long)]
    pub keep_distinct: bool,
    /// How often mode r-ves runs each query, at most: it stops when either query has used --timeout-ms.
    #[arg(long, value_name = "N", default_value_t = REPEATS, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub repeats: u16,
    /// Processor time that a row's predicted queries may use in each mode, and each reference query, in milliseconds. Time in
    /// which the run is stopped, or comparing results, does not count.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub timeout_ms: u64,
    /// The time of day that all queries see, such as 2026-01-02T03:04:05Z, to repeat a run [default: when it begins].
    #[arg(long, value_name = "TIME", value_parser = |text: &str| text.parse::<Now>())]
    pub now: Option<Now>,
    /// Score the I-th of N parts of the rows alone; `data merge` puts the parts' --out together.
    #[arg(long, value_name = "I/N", conflicts_with = "audit_gold")]
    pub shard: Option<Shard>,
    /// Scoring processes [default: one a core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
    /// Score what can be scored: rows without predicted_sql count as failed, rows that cannot be read and reference queries
    /// that fail are counted.
    #[arg(long)]
    pub keep_going: bool,
    /// Go on with an interrupted run of the same command, from OUT.partial.
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Look at the reference queries instead of scoring: those that fail, return nothing, depend on an order that they leave
    /// open, or do not match themselves under a mode. Rows then need no predicted_sql, and --out gets one row for each.
    #[arg(long, conflicts_with_all = ["resume", "prefs_out", "labels_out", "summary_out", "slices_out", "clean_out", "review_out", "calibration", "samples"])]
    pub audit_gold: bool,
    /// Exit with 1 if the audit finds anything.
    #[arg(long, requires = "audit_gold")]
    pub strict: bool,
    /// Write every scored row to this file.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write a preference pair for each failed row to this file.
    #[arg(long, value_name = "FILE")]
    pub prefs_out: Option<PathBuf>,
    /// Write each failed row with the kind of its failure to this file.
    #[arg(long, value_name = "FILE")]
    pub labels_out: Option<PathBuf>,
    /// Write the summary as JSON to this file, with n and a 95% interval of every accuracy.
    #[arg(long, value_name = "FILE")]
    pub summary_out: Option<PathBuf>,
    /// Write the accuracies by domain, curriculum and what the queries do as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub slices_out: Option<PathBuf>,
    /// Write for each row how clean the reply is to this file.
    #[arg(long, value_name = "FILE")]
    pub clean_out: Option<PathBuf>,
    /// Write the failed rows as a Markdown page to this file.
    #[arg(long, value_name = "FILE")]
    pub review_out: Option<PathBuf>,
    /// Write to this file (JSON, and a picture beside it with the ending .svg) how often answers of a given confidence are right:
    /// reliability in ten bins of about as many rows, expected calibration error, AUROC, accuracy if only the surest 90, 80 or 50% are answered.
    #[arg(long, value_name = "FILE")]
    pub calibration: Option<PathBuf>,
    /// Field of each row with its confidence, from 0 to 1.
    #[arg(long, requires = "calibration", value_name = "FIELD", default_value = CONFIDENCE)]
    pub confidence_field: String,
    /// Score all samples of each row (_samples) too: how often any is right (pass@K), one on average, the first, the chosen.
    #[arg(long)]
    pub samples: bool,
}

fn mode_names() -> PossibleValuesParser {
    PossibleValuesParser::new(modes::ALL.iter().map(|mode| mode.name()))
}

impl Args {
    /// The predictions.
    pub fn data(&self) -> Result<&Path> {
        let data = self.preds.as_deref().or(self.data.as_deref());
        data.ok_or_else(|| UsageError("no predictions file given".to_owned()).into())
    }

    /// What the workers are told to score `rows` rows at that time of day.
    pub fn setup(&self, rows: usize, now: Now) -> Result<Setup> {
        let home = match (self.connection.get()?, &self.db_dir) {
            (Some(home), _) => home,
            (None, Some(folder)) => Home::Folder(folder.clone()),
            (None, None) => Home::Folder(files::folder_of(self.data()?).to_owned()),
        };
        if home
            .folder()
            .is_some_and(|folder| folder.to_str().is_none())
        {
            bail!("--db-dir {home}: the path is not UTF-8");
        }
        if let Some(golds) = &self.gold_dir {
            let is_there = golds.is_dir() && golds.to_str().is_some();
            ensure!(
                is_there,
                "--gold-dir {}: no folder, or not UTF-8",
                golds.display()
            );
        }
        Ok(Setup {
            home,
            modes: modes::chosen(&self.mode)
                .iter()
                .map(|mode| mode.name().to_owned())
                .collect(),
            options: Options {
                timeout: Duration::from_millis(self.timeout_ms),
                keep_distinct: self.keep_distinct,
                suites: false,
                rules: self.rules.get(),
                now,
                shown: most_bytes(rows),
                gold_dir: self.gold_dir.clone(),
                repeats: self.repeats,
            },
        })
    }

    /// How many workers for `jobs`.
    pub fn workers(&self, jobs: usize) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = self.workers.map_or_else(cores, usize::from);
        wanted.min(jobs)
    }

    /// The file that grows beside `--out`, for `--resume`; none beside a device.
    pub fn journal(&self) -> Result<Option<PathBuf>> {
        match &self.out {
            Some(out) if !files::is_device(out) => Ok(Some(files::partial(out))),
            Some(out) if self.resume => {
                let message = format!(
                    "--resume needs an --out that is a file, not {}",
                    out.display()
                );
                Err(UsageError(message).into())
            }
            _ => Ok(None),
        }
    }

    /// Where the picture of `--calibration` goes.
    pub fn picture(&self) -> Option<PathBuf> {
        Some(self.calibration.as_ref()?.with_extension("svg"))
    }

    /// What is needed of rows beside what scoring needs.
    pub fn fields(&self) -> Vec<&str> {
        let confidence = self
            .calibration
            .is_some()
            .then_some(&*self.confidence_field);
        confidence
            .into_iter()
            .chain(self.samples.then_some(SAMPLES))
            .collect()
    }

    /// What becomes of rows without predicted_sql.
    pub fn answers(&self) -> Answers {
        match (self.audit_gold, self.keep_going) {
            (true, _) => Answers::Ignored,
            (false, true) => Answers::Missed,
            (false, false) => Answers::Needed,
        }
    }

    /// No output may be another file of the command or a database, and each must be writable.
    pub fn check_outputs(&self) -> Result<()> {
        let outputs = [
            &self.out,
            &self.prefs_out,
            &self.labels_out,
            &self.summary_out,
            &self.slices_out,
            &self.clean_out,
            &self.review_out,
            &self.calibration,
            &self.picture(),
            &self.journal()?,
        ];
        let outputs = || outputs.into_iter().flatten().map(PathBuf::as_path);
        files::check_apart([self.data()?], outputs()).map_err(UsageError::of)?;
        for output in outputs() {
            if is_database(output) {
                let message = format!("{} is a database: give another file", output.display());
                return Err(UsageError(message).into());
            }
            files::check_writable(output)?;
        }
        Ok(())
    }
}

/// Whether a file begins as SQLite's do.
fn is_database(path: &Path) -> bool {
    let mut start = Vec::new();
    let file = File::open(path).map(|file| file.take(15));
    // What cannot be read is no database that anybody scores with.
    !files::is_device(path)
        && file.is_ok_and(|mut file| file.read_to_end(&mut start).is_ok())
        && start == b"SQLite format 3"
}
