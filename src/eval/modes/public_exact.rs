//! Text equality for public rows, which come without a database.

use super::{Metric, Mode, Verdict};
use crate::eval::example::Example;
use crate::sql::execute::Sandbox;
use crate::sql::normalize::public_exact;

pub(super) struct PublicExact;

impl Mode for PublicExact {
    fn name(&self) -> &'static str {
        "public-exact"
    }

    fn fields(&self) -> &'static [&'static str] {
        &["predicted_sql", "gold_sql"]
    }

    fn metrics(&self) -> &'static [Metric] {
        &[Metric {
            column: "public_exact_match",
            mean: "exact_match",
        }]
    }

    /// Takes the query out of the reply by its own rules, not from `scored`.
    fn score(&self, example: &Example, _scored: Option<&str>, _sandbox: &mut Sandbox) -> Verdict {
        let form = |field| public_exact(example.text(field).unwrap_or_default());
        Verdict {
            passed: vec![form("predicted_sql") == form("gold_sql")],
            execution: None,
        }
    }
}
