//! Text equality for public rows, which come without a database.

use super::{Metric, Mode, Texts, Verdict};
use crate::eval::session::Session;
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
    fn score(&self, texts: &Texts, _session: &mut Session) -> Verdict {
        Verdict {
            passed: vec![public_exact(texts.predicted) == public_exact(texts.gold)],
            ..Verdict::default()
        }
    }
}
