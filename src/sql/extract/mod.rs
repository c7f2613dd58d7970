//! Finds the query in a model's reply.

mod first_select;
mod grammar;
mod json;
mod parts;
mod prose;
mod scan;

use parts::{Section, Strength};
use scan::{Budget, Statement};
use serde::{Deserialize, Serialize};

/// Most bytes of a reply that are looked at; SQLite takes a tenth of it.
const MAX_REPLY: usize = 1 << 20;

/// How the query is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Extraction {
    /// By its grammar: outside thinking, of the last fence or behind the last answer marker, else the first that begins a
    /// statement; whole, without what surrounds it. A reply with a statement that is no query is refused.
    #[default]
    Statement,
    /// From the first `select` to the first `;`, else to a blank line, an answer marker or a fence.
    FirstSelect,
}

/// What a reply holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Query(String),
    /// A statement that writes, explains or sets something, named by its first words.
    Refused(String),
    Nothing,
}

impl Found {
    /// The query.
    pub fn query(&self) -> Option<&str> {
        match self {
            Self::Query(sql) => Some(sql),
            _ => None,
        }
    }

    /// The first words of the statement that is no query.
    pub fn refused(&self) -> Option<&str> {
        match self {
            Self::Refused(words) => Some(words),
            _ => None,
        }
    }
}

impl Extraction {
    /// Looks for the query in a reply.
    pub fn find(self, reply: &str) -> Found {
        let reply = &reply[..reply.floor_char_boundary(MAX_REPLY)];
        match self {
            Self::FirstSelect => first_select::extract(reply)
                .map_or(Found::Nothing, |sql| Found::Query(sql.to_owned())),
            Self::Statement => statement(&parts::spoken(reply)),
        }
    }
}

fn statement(text: &str) -> Found {
    let mut budget = Budget::default();
    let whole = find(text, &mut budget);
    if matches!(whole, Found::Refused(_)) {
        return whole;
    }
    // A model that asks itself the next question has answered before.
    let own = parts::next_turn(text).map(|cut| find(&text[..cut], &mut budget));
    match own {
        Some(Found::Query(sql)) => Found::Query(sql),
        _ => whole,
    }
}

fn find(text: &str, budget: &mut Budget) -> Found {
    let (mut fenced, mut open) = (Vec::new(), Vec::new());
    for part in parts::parts(text) {
        match part.fenced {
            true => fenced.push(statements(part.text, budget)),
            false => {
                for Section { strength, text } in parts::sections(part.text) {
                    open.push((strength, statements(text, budget)));
                }
            }
        }
    }
    let all = || fenced.iter().chain(open.iter().map(|(_, found)| found));
    if let Some(write) = all().flatten().find(|statement| !statement.reads) {
        return Found::Refused(first_words(&write.text));
    }
    let good = |found: &&Vec<Statement>| best(found).is_some_and(|query| query.rank <= 1);
    let behind = |wanted| {
        let marked = open
            .iter()
            .rev()
            .filter(move |(strength, _)| *strength == wanted);
        marked.map(|(_, found)| found).find(good)
    };
    let begins = || {
        let first = open.first().map(|(_, found)| found);
        first.filter(|found| found.first().is_some_and(|query| query.begins))
    };
    let chosen = (fenced.iter().rev())
        .find(|found| best(found).is_some_and(|query| query.rank <= 2))
        .or_else(|| behind(Strength::Final))
        .or_else(begins)
        .or_else(|| behind(Strength::Answer))
        .and_then(|found| best(found))
        .or_else(|| all().flatten().min_by_key(|query| query.rank));
    match chosen {
        Some(query) => Found::Query(query.text.clone()),
        None => Found::Nothing,
    }
}

/// The statements of a piece of text, also where they are strings of JSON.
fn statements(text: &str, budget: &mut Budget) -> Vec<Statement> {
    let plain = scan::statements(text, budget);
    let first = plain.first().map_or(text.len(), |statement| statement.at);
    let Some(strings) = json::strings(text, first) else {
        return plain;
    };
    let mut found = |strings: &[String]| -> Vec<Statement> {
        let strings = strings.iter();
        strings
            .flat_map(|string| scan::statements(string, budget))
            .collect()
    };
    let mut inside = found(&strings.queries);
    // A write is one under any key.
    inside.extend(found(&strings.all).into_iter().filter(|found| !found.reads));
    match inside.is_empty() {
        true => plain,
        false => inside,
    }
}

/// The first of those that are surest.
fn best(found: &[Statement]) -> Option<&Statement> {
    found.iter().min_by_key(|statement| statement.rank)
}

fn first_words(sql: &str) -> String {
    let words: Vec<_> = sql.split_whitespace().take(3).collect();
    let words = words.join(" ");
    words[..words.floor_char_boundary(60)].to_owned()
}
