//! Episodes to learn from, made of reference queries: the tables are looked up, the query is tried, and it is the answer. Some rows look otherwise,
//! and some first try a query that fails; that turn is not learned.

use super::call::{Call, Outcome};
use super::knowledge::Knowledge;
use super::observation::clean;
pub use super::plan::TURNS;
use super::plan::{Step, plan};
use super::protocol::Protocol;
use super::tasks::{Opening, Question};
use super::tools::{self, Builtin, Said, Tools};
use crate::data::record::{Conversation, Role, Turn};
use crate::db::home::Home;
use crate::learning::rows::Rows;
use crate::model::tokenizer::Tokenizer;
use crate::run::observer::Observer;
use anyhow::{Result, bail, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How they are made.
pub struct Job<'a> {
    pub rows: &'a Rows,
    pub home: &'a Home,
    pub tools: &'a Builtin,
    pub protocol: Protocol,
    pub tokenizer: &'a Tokenizer,
    pub knowledge: Option<&'a Knowledge>,
    /// As episodes are to be played.
    pub turns: usize,
    pub observation: usize,
    pub seed: u64,
}

/// What was made.
pub struct Made {
    pub rows: Vec<Value>,
    /// Rows that try a query that fails.
    pub mended: usize,
    /// The rows whose reference fails, with what the database says.
    pub left_out: Vec<(String, String)>,
}

impl Job<'_> {
    /// Makes a row of each.
    pub fn make(&self, observer: &dyn Observer) -> Result<Made> {
        ensure!(
            self.turns >= TURNS,
            "--turns {} leaves no room: an episode that is made has up to {TURNS}",
            self.turns
        );
        let questions = Question::of_rows(self.rows)?;
        let opening = Opening {
            protocol: self.protocol,
            home: self.home,
            turns: self.turns,
            tools: &tools::all(self.tools),
            knowledge: self.knowledge,
        };
        let begun = opening.conversations(&questions, observer)?;
        let (mut planned, mut known) = (Vec::new(), BTreeMap::new());
        for (at, question) in questions.iter().enumerate() {
            let gold = self.rows.rows[at]
                .example
                .text("gold_sql")
                .unwrap_or_default();
            let stream = (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut random = StdRng::seed_from_u64(self.seed ^ stream);
            let db = question.db.as_str();
            if !known.contains_key(db) {
                known.insert(db, self.tools.tables(db)?);
            }
            let tables = known.get(db).map(Vec::as_slice);
            planned.push(plan(gold, tables.unwrap_or_default(), &mut random));
        }
        let calls = questions
            .iter()
            .zip(&planned)
            .flat_map(|(question, steps)| {
                let asked = steps.iter().filter(|step| step.call.answered().is_none());
                asked.map(|step| (question.db.as_str(), &step.call))
            });
        let calls: Vec<(&str, &Call)> = calls.collect();
        let mut said = self.tools.answers(&calls)?.into_iter();
        if observer.stops() {
            bail!("interrupted");
        }
        let mut made = Made {
            rows: Vec::new(),
            mended: 0,
            left_out: Vec::new(),
        };
        for (at, (begun, steps)) in begun.into_iter().zip(planned).enumerate() {
            let told: Vec<Option<Said>> = steps
                .iter()
                .map(|step| match step.call.answered() {
                    Some(_) => None,
                    None => said.next(),
                })
                .collect();
            let fails = |(step, said): &(&Step, &Option<Said>)| {
                let failed = said.as_ref().filter(|said| said.outcome != Outcome::Ok);
                failed
                    .filter(|_| step.learned)
                    .map(|said| said.text.clone())
            };
            if let Some(error) = steps.iter().zip(&told).find_map(|both| fails(&both)) {
                made.left_out.push((self.rows.place(at), error));
                continue;
            }
            let (row, mended) = self.row(at, begun, steps, told)?;
            made.mended += usize::from(mended);
            made.rows.push(row);
        }
        Ok(made)
    }

    /// A row to train on, and whether it tries a query that fails.
    fn row(
        &self,
        at: usize,
        mut talk: Conversation,
        steps: Vec<Step>,
        told: Vec<Option<Said>>,
    ) -> Result<(Value, bool)> {
        let (mut taken, mut mended) = (0, false);
        for (step, said) in steps.iter().zip(told) {
            // What was to fail may run.
            let fails = said
                .as_ref()
                .is_some_and(|said| said.outcome != Outcome::Ok);
            if !step.learned && !fails {
                continue;
            }
            mended |= !step.learned;
            taken += 1;
            talk.turns.push(Turn {
                learned: step.learned,
                ..self.protocol.says(&step.call)
            });
            if let Some(said) = said {
                let shown = clean(self.tokenizer, &said.text, self.observation)?;
                talk.turns
                    .push(self.protocol.hears(&shown, self.turns - taken));
            }
        }
        let row = &self.rows.rows[at];
        let mut fields = json!({
            "id": row.line.id(),
            "db": row.example.text("db"),
            "gold_sql": row.example.text("gold_sql"),
            "messages": talk.turns.iter().map(message).collect::<Vec<_>>(),
        });
        if !talk.tools.is_empty() {
            fields["tools"] = talk.tools.into();
        }
        Ok((fields, mended))
    }
}

/// A turn as rows have it.
fn message(turn: &Turn) -> Value {
    let mut message = json!({"role": turn.role.name(), "content": turn.content});
    if !turn.tool_calls.is_empty() {
        message["tool_calls"] = turn.tool_calls.clone().into();
    }
    if turn.role == Role::Assistant && !turn.learned {
        message["weight"] = 0.into();
    }
    message
}
