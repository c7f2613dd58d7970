//! Named scoring semantics, one file each. They are never mixed: each mode has its own columns and its own summary line.

mod bird_ex;
mod factory;
mod public_exact;
mod r_ves;
mod soft_f1;
mod spider2_lite;
mod spider_em;
mod spider_ts;

use super::session::{Outcome, Session};
use super::standard::Standard;
use crate::sql::error::SqlError;

/// One way to score a row.
pub trait Mode: Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// What its summary lines begin with.
    fn label(&self) -> &'static str {
        self.name()
    }

    /// The text fields that a row needs; rows without one are not scored by this mode.
    fn fields(&self) -> &'static [&'static str] {
        &["predicted_sql", "gold_sql", "db"]
    }

    /// Whether gold results in files do as well as `gold_sql`, as the fields of a [`Standard`] say.
    fn takes_files(&self) -> bool {
        false
    }

    /// Its measures, the one that decides whether a row failed first.
    fn metrics(&self) -> &'static [Metric];

    /// What it says beside yes and no, for modes that do.
    fn points(&self) -> Option<&'static Points> {
        None
    }

    /// What makes the reference query useless to this mode; such a row fails whatever was predicted.
    fn gold_fault(&self, _texts: &Texts, _session: &mut Session) -> Option<SqlError> {
        None
    }

    /// Scores a row that has the fields.
    fn score(&self, texts: &Texts, session: &mut Session) -> Verdict;
}

/// The texts of a row, empty where it has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Texts<'a> {
    /// The database's name.
    pub db: &'a str,
    /// The model's whole reply.
    pub predicted: &'a str,
    /// The query extracted from it, `None` when it held none.
    pub scored: Option<&'a str>,
    /// The statement in it that is no query, for which it is refused.
    pub refused: Option<&'a str>,
    /// The reference query.
    pub gold: &'a str,
    /// Gold results in files, and how they are compared.
    pub standard: Option<&'a Standard>,
}

/// One yes or no of a mode about a row.
pub struct Metric {
    /// The field of the output row.
    pub column: &'static str,
    /// The name of its mean in the summary.
    pub mean: &'static str,
}

/// A number of a mode about a row. Its mean is reported beside the metrics; gates and failures go by the metrics alone.
pub struct Points {
    /// The field of the output row.
    pub column: &'static str,
    /// The name of its mean in the summary.
    pub mean: &'static str,
    /// Whether it is made of times, so that no two runs need agree on it.
    pub timed: bool,
}

/// What a mode found.
#[derive(Default)]
pub struct Verdict {
    /// One answer a metric, in the order of [`Mode::metrics`].
    pub passed: Vec<bool>,
    /// The number of [`Mode::points`], 0 at worst.
    pub points: f64,
    /// What running the queries gave, for modes that run them.
    pub execution: Option<Execution>,
    /// Another database of the row's suite on which the model's query gave no rows, and why.
    pub elsewhere: Option<(String, SqlError)>,
}

/// What the two queries returned.
pub struct Execution {
    /// The model's query.
    pub predicted: Outcome,
    /// The reference query.
    pub gold: Outcome,
}

/// Every mode; the first is the default. A new mode is one file and one entry here.
pub const ALL: &[&dyn Mode] = &[
    &factory::Factory,
    &public_exact::PublicExact,
    &spider_ts::SpiderTs,
    &spider_em::SpiderEm,
    &spider2_lite::Spider2Lite,
    &bird_ex::BirdEx,
    &soft_f1::SoftF1,
    &r_ves::RVes,
];

/// The mode of that name.
pub fn named(name: &str) -> Option<&'static dyn Mode> {
    ALL.iter().copied().find(|mode| mode.name() == name)
}

/// The modes of those names, by the order of [`ALL`], each once.
pub fn chosen(names: &[String]) -> Vec<&'static dyn Mode> {
    let wanted = |mode: &&dyn Mode| names.iter().any(|name| name == mode.name());
    ALL.iter().copied().filter(wanted).collect()
}

/// Whether a column of a scored row is made of times.
pub fn is_timed(column: &str) -> bool {
    let points = ALL.iter().filter_map(|mode| mode.points());
    points
        .into_iter()
        .any(|points| points.timed && points.column == column)
}

/// Runs a predicted and a reference query on the row's own database.
fn execute(session: &mut Session, db: &str, predicted: &str, gold: &str) -> Execution {
    match session.locate(db) {
        Ok(files) => Execution {
            gold: session.gold(&files[0], gold, false),
            predicted: session.predicted(&files[0], predicted),
        },
        Err(error) => Execution {
            gold: Outcome::new(Err(error.clone())),
            predicted: Outcome::new(Err(error)),
        },
    }
}

/// What becomes of a reply with a statement that is no query.
pub fn refusal(statement: &str) -> SqlError {
    SqlError::Refused(format!(
        "the reply has a statement that is no query: {statement}"
    ))
}

/// Why the reference query fails on the row's own database.
fn execution_fault(session: &mut Session, db: &str, gold: &str) -> Option<SqlError> {
    match session.locate(db) {
        Ok(files) => session
            .gold(&files[0], gold, false)
            .as_ref()
            .as_ref()
            .err()
            .cloned(),
        Err(error) => Some(error),
    }
}
