//! Named scoring semantics, one file each. They are never mixed: each mode has its own columns and its own summary line.

mod factory;
mod public_exact;

use super::example::Example;
use crate::sql::compare::Row;
use crate::sql::execute::{Sandbox, SqlError};

/// One way to score a row.
pub trait Mode: Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// What its summary lines begin with.
    fn label(&self) -> &'static str {
        self.name()
    }

    /// The text fields that a row needs; rows without one are not scored by this mode.
    fn fields(&self) -> &'static [&'static str];

    /// Its measures, the one that decides whether a row failed first.
    fn metrics(&self) -> &'static [Metric];

    /// Scores a row that has the fields. `scored` is the extracted query, `None` when the reply held none.
    fn score(&self, example: &Example, scored: Option<&str>, sandbox: &mut Sandbox) -> Verdict;
}

/// One yes or no of a mode about a row.
pub struct Metric {
    /// The field of the output row.
    pub column: &'static str,
    /// The name of its mean in the summary.
    pub mean: &'static str,
}

/// What a mode found.
pub struct Verdict {
    /// One answer a metric, in the order of [`Mode::metrics`].
    pub passed: Vec<bool>,
    /// What running the queries gave, for modes that run them.
    pub execution: Option<Execution>,
}

/// What the two queries returned.
pub struct Execution {
    /// The model's query.
    pub predicted: Result<Vec<Row>, SqlError>,
    /// The reference query.
    pub gold: Result<Vec<Row>, SqlError>,
}

/// Every mode; the first is the default. A new mode is one file and one entry here.
pub const ALL: &[&dyn Mode] = &[&factory::Factory, &public_exact::PublicExact];

/// The mode of that name.
pub fn named(name: &str) -> Option<&'static dyn Mode> {
    ALL.iter().copied().find(|mode| mode.name() == name)
}
