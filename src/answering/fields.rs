//! The fields in which an answered row says what became of it.

use super::choice::{By, Chosen};
use super::repair::Repaired;
use super::rows::Row;
use crate::data::jsonl::Line;
use crate::eval::example::{ABSTAINED, CONFIDENCE, SAMPLES};
use crate::run::usage::UsageError;
use anyhow::Result;
use serde_json::{Map, Value, json};

/// The field of the answer, unless another is named.
pub const OUT_FIELD: &str = "predicted_sql";

/// How an answer ended.
pub const FINISH: &str = "_finish";

/// The mean log-probability of its tokens, the one that ends it among them.
pub const LOGPROB: &str = "_logprob";

/// What the samples returned: groups with the same result, and their sizes.
pub const VOTES: &str = "_votes";

/// Which sample is the answer, and why.
pub const CHOICE: &str = "_choice";

/// The answer of a row that stays without one.
pub const WITHHELD: &str = "_withheld";

/// What is written of an answer.
#[derive(Debug, Clone)]
pub struct Fields {
    /// Field the answer is written to.
    pub out_field: String,
    /// Whether [`FINISH`] is written.
    pub finish: bool,
    /// Whether [`LOGPROB`] and [`CONFIDENCE`] are.
    pub confidence: bool,
    /// Whether [`VOTES`] and [`CHOICE`] are.
    pub choice: bool,
    /// A row whose confidence is below it stays without an answer.
    pub abstain_below: Option<f64>,
}

impl Fields {
    /// Refuses a field of the answer in which something else is said, of `samples` samples.
    pub fn check(&self, samples: usize) -> Result<()> {
        let withheld = self.abstain_below.is_some();
        let said = [
            (self.finish, FINISH, "--finish"),
            (samples > 1, SAMPLES, "--samples"),
            (self.confident(), LOGPROB, "--confidence"),
            (self.confident(), CONFIDENCE, "--confidence"),
            (self.choice, VOTES, "--choice-fields"),
            (self.choice, CHOICE, "--choice-fields"),
            (withheld, ABSTAINED, "--abstain-below"),
            (withheld, WITHHELD, "--abstain-below"),
        ];
        let taken = said
            .iter()
            .find(|(on, field, _)| *on && self.out_field == *field);
        let Some((_, field, flag)) = taken else {
            return Ok(());
        };
        let message = format!("--out-field {field} is where {flag} writes: give another");
        Err(UsageError(message).into())
    }

    /// Whether it is said how sure an answer is.
    pub fn confident(&self) -> bool {
        self.confidence || self.abstain_below.is_some()
    }

    /// Writes the answer of a row, which is the chosen one of `samples`, or what it was repaired to. Whether it is withheld.
    pub fn write(
        &self,
        line: &mut Line,
        samples: &[&Row],
        chosen: &Chosen,
        repaired: Option<&Repaired>,
    ) -> bool {
        let former = |field: &str| line.fields().contains_key(field);
        // What a former answer left there would be wrong.
        let (finish, list) = (self.finish || former(FINISH), former(SAMPLES));
        line.replace(
            &[LOGPROB, CONFIDENCE, VOTES, CHOICE, ABSTAINED, WITHHELD],
            Map::new(),
        );
        let row = repaired.map_or(samples[chosen.sample], |repaired| &repaired.row);
        // Nobody voted for what it was repaired to.
        let share = chosen
            .share
            .map(|share| if repaired.is_some() { 0.0 } else { share });
        let confidence = share.or(row.logprob.map(f64::exp));
        let abstains = match (self.abstain_below, confidence) {
            (Some(least), Some(confidence)) => row.text.is_some() && confidence < least,
            _ => false,
        };
        let answer = row.text.clone().filter(|_| !abstains);
        line.set(&self.out_field, answer);
        if samples.len() > 1 || list {
            line.set(
                SAMPLES,
                samples.iter().map(|row| sample(row)).collect::<Vec<_>>(),
            );
        }
        if finish {
            line.set(FINISH, row.finish.name());
        }
        if self.confident() {
            line.set(LOGPROB, rounded(row.logprob));
            line.set(CONFIDENCE, rounded(confidence));
        }
        if self.choice {
            let mut why = chosen.why();
            if let Some(repaired) = repaired {
                why["by"] = By::Repair.name().into();
                why["error"] = repaired.error.clone().into();
            }
            line.set(VOTES, chosen.votes());
            line.set(CHOICE, why);
        }
        if self.abstain_below.is_some() {
            line.set(ABSTAINED, abstains);
        }
        if abstains {
            line.set(WITHHELD, row.text.clone());
        }
        abstains
    }
}

fn sample(row: &Row) -> Value {
    let mut sample = json!({"answer": row.text, "finish": row.finish.name()});
    if row.logprob.is_some() {
        sample["logprob"] = rounded(row.logprob);
    }
    sample
}

/// With six decimals: what stands behind them differs with the batch, where weights are numbers.
fn rounded(number: Option<f64>) -> Value {
    number.map(|number| (number * 1e6).round() / 1e6).into()
}
