//! Episodes to learn from, made of reference queries: the tables are looked up, the query is tried, and it is the answer. Some rows look otherwise,
//! and some first try a query that fails; that turn is not learned.

use super::call::{ALL_TABLES, Call, DEFINITIONS, EXECUTE, FILTER_TABLES, Outcome};
use super::knowledge::Knowledge;
use super::observation::clean;
use super::protocol::Protocol;
use super::tasks::{Opening, Question};
use super::tools::{self, Builtin, Said, Tools};
use crate::data::record::{Conversation, Role, Turn};
use crate::db::home::Home;
use crate::learning::rows::Rows;
use crate::model::tokenizer::Tokenizer;
use crate::run::observer::Observer;
use crate::sql::shape::is_keyword;
use crate::sql::tokens::{Kind, tokens};
use anyhow::{Result, bail, ensure};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Turns that the longest of them takes: a look at the tables, one at their columns, a query that fails, one that does not, the answer.
pub const TURNS: usize = 5;

/// Shares of rows that begin with all tables, with those that have a word in their names, and that try a query which fails.
const ALL: f64 = 0.6;
const FILTER: f64 = 0.2;
const FAIL: f64 = 0.25;

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

/// A turn to be made.
struct Step {
    call: Call,
    learned: bool,
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

/// The turns of a row.
fn plan(gold: &str, tables: &[String], random: &mut StdRng) -> Vec<Step> {
    let used = used(gold, tables);
    let learned = |call| Step {
        call,
        learned: true,
    };
    let mut steps = Vec::new();
    let first = random.random::<f64>();
    match &used[..] {
        [one] if first >= ALL && first < ALL + FILTER => {
            let q = word(one);
            steps.push(learned(Call::new(FILTER_TABLES, json!({ "q": q }))));
        }
        _ if first < ALL + FILTER => steps.push(learned(Call::new(ALL_TABLES, json!({})))),
        _ => {}
    }
    if !used.is_empty() {
        steps.push(learned(Call::new(
            DEFINITIONS,
            json!({ "table_names": used }),
        )));
    }
    let runs = |query: &str| Call::new(EXECUTE, json!({ "query": query }));
    if random.random::<f64>() < FAIL
        && let Some(wrong) = misspelt(gold, random)
    {
        steps.push(Step {
            call: runs(&wrong),
            learned: false,
        });
    }
    steps.push(learned(runs(gold)));
    steps.push(learned(Call::answer(gold)));
    steps
}

/// The tables that a query names, in their order in it.
pub fn used(sql: &str, tables: &[String]) -> Vec<String> {
    let mut used: Vec<String> = Vec::new();
    for token in tokens(sql) {
        let name = match token.kind {
            Kind::Word => token.text,
            Kind::Quoted => token.text.get(1..token.text.len() - 1).unwrap_or_default(),
            _ => continue,
        };
        let table = tables.iter().find(|table| table.eq_ignore_ascii_case(name));
        if let Some(table) = table.filter(|table| !used.contains(table)) {
            used.push(table.clone());
        }
    }
    used
}

/// The longest word in a table's name.
fn word(table: &str) -> &str {
    let words = table.split(|c: char| !c.is_alphanumeric());
    words.max_by_key(|word| word.len()).unwrap_or(table)
}

/// The query with one of its names misspelt, which most likely fails.
fn misspelt(sql: &str, random: &mut StdRng) -> Option<String> {
    let all = tokens(sql);
    let name = |at: &usize| {
        let called = all.get(at + 1).is_some_and(|next| next.is("("));
        let token = &all[*at];
        token.kind == Kind::Word && !called && !is_keyword(token.text) && token.text.len() > 2
    };
    let names: Vec<usize> = (0..all.len()).filter(name).collect();
    let token = &all[*names.choose(random)?];
    let wrong = match token.text.strip_suffix('s') {
        Some(one) => one.to_owned(),
        None => format!("{}s", token.text),
    };
    let (at, end) = (token.at, token.end());
    Some(format!("{}{wrong}{}", &sql[..at], &sql[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Vec<String> {
        ["boats", "Crew list", "oars"].map(str::to_owned).into()
    }

    #[test]
    fn the_tables_of_a_query_are_found() {
        let query = "SELECT 'oars', b.name FROM Boats b JOIN \"Crew list\" c -- oars\n ON b.x = c.x WHERE boats.y = '";
        assert_eq!(used(query, &tables()), ["boats", "Crew list"]);
        assert!(used("SELECT 1 [", &tables()).is_empty());
        assert_eq!(word("t_crew-lists2"), "lists2");
    }

    #[test]
    fn episodes_differ_and_end_with_the_answer() {
        let gold = "SELECT name FROM boats WHERE length > 3";
        let (mut first, mut failing) = (std::collections::BTreeSet::new(), 0);
        for seed in 0..60 {
            let mut random = StdRng::seed_from_u64(seed);
            let steps = plan(gold, &tables(), &mut random);
            assert!(steps.len() <= TURNS);
            first.insert(steps[0].call.tool.clone());
            let last: Vec<&Call> = steps.iter().rev().map(|step| &step.call).collect();
            assert_eq!(last[0].answered(), Some(gold));
            assert_eq!(last[1].query(), Some(gold));
            for step in steps.iter().filter(|step| !step.learned) {
                failing += 1;
                assert_ne!(step.call.query(), Some(gold));
            }
            let mut random = StdRng::seed_from_u64(seed);
            let again = plan(gold, &tables(), &mut random);
            let calls = |steps: &[Step]| {
                steps
                    .iter()
                    .map(|step| step.call.clone())
                    .collect::<Vec<_>>()
            };
            assert_eq!(calls(&again), calls(&steps));
        }
        assert_eq!(first.len(), 3, "{first:?}");
        assert!((5..30).contains(&failing), "{failing}");
    }
}
