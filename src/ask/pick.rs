//! Of several replies to a question the one that most agree with.

use super::source::Source;
use crate::answering::choice::{Sample, Select, choose};
use crate::eval::returned::{self, Asked};
use crate::eval::stop::Stop;
use crate::eval::table::Shown;
use crate::generation::sequence::{Answer, Finish};
use crate::sql::error::SqlError;
use anyhow::Result;
use serde::{Serialize, Serializer};
use serde_json::json;

/// What a model said.
#[derive(Debug, Clone)]
pub struct Reply {
    pub text: String,
    /// The mean log-probability of its tokens.
    pub logprob: Option<f64>,
    /// Whether it was cut at the longest answer: a part of a query may run, and says nothing.
    pub cut: bool,
}

impl Reply {
    /// The `text` of an answer.
    pub fn new(text: &str, answer: &Answer) -> Self {
        Self {
            text: text.to_owned(),
            logprob: answer.mean_logprob(),
            cut: answer.finish == Finish::Length,
        }
    }
}

/// Why an answer that was cut is not run.
const CUT: &str = "the answer was cut off at the longest there may be";

/// The reply that answers, and what its query returns.
#[derive(Debug, Clone, Serialize)]
pub struct Picked {
    /// The query, if there is one in the reply.
    pub sql: Option<String>,
    /// What the model said.
    pub answer: String,
    /// The share of replies whose queries return the same; of one reply its likelihood a token.
    pub confidence: Option<f64>,
    /// Whether the confidence is enough, and the query returns rows.
    pub sure: bool,
    /// How the reply was chosen.
    pub by: &'static str,
    pub samples: usize,
    #[serde(serialize_with = "shown")]
    pub result: Shown,
}

/// A result as JSON has it, an error among the results.
pub fn shown<S: Serializer>(result: &Shown, serializer: S) -> Result<S::Ok, S::Error> {
    match result {
        Ok(table) => table.serialize(serializer),
        Err(error) => json!({"error": error.to_string()}).serialize(serializer),
    }
}

impl Source {
    /// Runs the queries of all replies, of which there is one at least, and picks one. It is sure whose confidence is at least `sure` and which
    /// returns rows: wrong names for values are often agreed on, and return nothing. An error where `stop` ended it.
    pub fn pick(&self, replies: &[Reply], sure: f64, stop: &Stop) -> Result<Picked> {
        let whole = replies.iter().filter(|reply| !reply.cut);
        let asked = whole.map(|reply| Asked {
            db: &self.db,
            reply: &reply.text,
        });
        let asked: Vec<Asked> = asked.collect();
        let ran = returned::returned(&self.databases.until(stop), &asked, || Ok(()))?;
        let mut ran = ran.into_iter();
        let sample = |reply: &Reply| Sample {
            result: match (!reply.cut).then(|| ran.next()).flatten() {
                Some(ran) => ran.map_err(|error| error.to_string()),
                None => Err(CUT.to_owned()),
            },
            logprob: reply.logprob,
        };
        let samples: Vec<Sample> = replies.iter().map(sample).collect();
        let select = match samples.len() {
            1 => Select::First,
            _ => Select::Vote,
        };
        let chosen = choose(select, true, &samples);
        let likely = samples[chosen.sample].logprob.map(f64::exp);
        let confidence = chosen.share.or(likely);
        let answer = replies[chosen.sample].text.clone();
        let found = self.databases.rules.extract.find(&answer);
        let sql = found.query().map(str::to_owned);
        let result = match replies[chosen.sample].cut {
            true => Err(SqlError::Refused(CUT.to_owned())),
            false => self.run(sql.as_deref().unwrap_or(&answer), stop)?,
        };
        let rows = result.as_ref().is_ok_and(|table| table.total > 0);
        Ok(Picked {
            sql,
            confidence,
            sure: rows && confidence.is_some_and(|c| c >= sure),
            by: chosen.by.name(),
            samples: samples.len(),
            result,
            answer,
        })
    }
}
