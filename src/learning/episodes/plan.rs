//! What an episode that is made calls, of its reference query.

use super::call::{ALL_TABLES, Call, DEFINITIONS, EXECUTE, FILTER_TABLES};
use crate::sql::shape::is_keyword;
use crate::sql::tokens::{Kind, tokens};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::json;

/// Turns that the longest of them takes: a look at the tables, one at their columns, a query that fails, one that does not, the answer.
pub const TURNS: usize = 5;

/// Shares of rows that begin with all tables, with those that have a word in their names, and that try a query which fails.
const ALL: f64 = 0.6;
const FILTER: f64 = 0.2;
const FAIL: f64 = 0.25;

/// A turn to be made.
pub struct Step {
    pub call: Call,
    /// Whether the loss is on it.
    pub learned: bool,
}

/// The turns of a row.
pub fn plan(gold: &str, tables: &[String], random: &mut StdRng) -> Vec<Step> {
    let used = used(gold, tables);
    let learned = |call| Step {
        call,
        learned: true,
    };
    let mut steps = Vec::new();
    let first = random.random::<f64>();
    match &used[..] {
        [one] if (ALL..ALL + FILTER).contains(&first) => {
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
fn used(sql: &str, tables: &[String]) -> Vec<String> {
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
    use rand::SeedableRng;
    use std::collections::BTreeSet;

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
        let (mut first, mut failing) = (BTreeSet::new(), 0);
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
