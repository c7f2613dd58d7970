//! Preference rows: a training row's query beside a wrong one of a known kind.
//!
//! Their tables have no rows, so whether a wrong query answers otherwise cannot be seen: it is one that differs in more than case and
//! white space, and runs, unless its fault is a name that there is not.

use super::source::Usable;
use super::{Request, rows};
use crate::data::set::rank;
use crate::data::synth::corrupt::{
    Corruption, NO_SELECT, PROSE_WRAPPED, WRONG_SCHEMA, corruptions, malformed,
};
use crate::data::synth::database::Database;
use crate::db::sqlite::scratch::Scratch;
use crate::sql::normalize::plain;
use crate::sql::shape::is_keyword;
use crate::sql::tokens::{Kind, tokens};
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;

/// A right and a wrong answer to one prompt.
#[derive(Serialize)]
pub struct Pair<'a> {
    id: String,
    source: &'a str,
    source_index: usize,
    curriculum: &'static str,
    pub failure_type: &'static str,
    prompt: String,
    chosen: &'a str,
    rejected: String,
}

/// One pair a row, the kinds of failure as even as they can be; none for a row whose tables cannot be built.
pub fn make<'a>(train: &'a [Usable], request: &'a Request) -> Result<Vec<Pair<'a>>> {
    let (mut pairs, mut used) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for row in train {
        // Builds nothing but tables, so that the other may build the same.
        let Ok(tables) = Scratch::build(&row.schema) else {
            continue;
        };
        let database = Database::build(&row.schema)?;
        let index = row.index.to_string();
        let best = wrong(&row.sql, &database, &tables)
            .into_iter()
            .min_by_key(|wrong| {
                let times = used.get(wrong.failure).copied().unwrap_or(0);
                let of_kind = rank(request.seed, &[wrong.failure, &index]);
                (times, of_kind, rank(request.seed, &[&index, &wrong.text]))
            });
        let Some(Corruption { failure, text }) = best else {
            continue;
        };
        *used.entry(failure).or_default() += 1;
        pairs.push(Pair {
            id: rows::id(row, request, "pref"),
            source: &request.source,
            source_index: row.index,
            curriculum: row.bucket,
            failure_type: failure,
            prompt: rows::prompt(row, request),
            chosen: &row.sql,
            rejected: text,
        });
    }
    Ok(pairs)
}

/// The wrong answers near a query, in its own case: what damages queries knows keywords in lower case alone.
fn wrong(sql: &str, database: &Database, tables: &Scratch) -> Vec<Corruption> {
    let shouted = sql.starts_with("SELECT");
    let lower = keywords(sql, str::to_ascii_lowercase);
    let in_case = |text: &str| match shouted {
        true => keywords(text, str::to_ascii_uppercase),
        false => text.to_owned(),
    };
    let own = plain(sql);
    let near = corruptions(&lower, database)
        .into_iter()
        .map(|wrong| Corruption {
            text: in_case(&wrong.text),
            ..wrong
        });
    let mut found: Vec<Corruption> = near
        .filter(|wrong| {
            let runs = tables.run(&wrong.text).is_ok();
            plain(&wrong.text) != own && runs != (wrong.failure == WRONG_SCHEMA)
        })
        .collect();
    let wrapped = malformed(sql, &Vec::new()).into_iter();
    found.extend(wrapped.filter(|wrong| wrong.failure == PROSE_WRAPPED));
    let headless = malformed(&lower, &Vec::new()).into_iter();
    // There are no rows to be told instead of a query.
    let headless = headless.filter(|wrong| wrong.failure == NO_SELECT && wrong.text.len() > 1);
    found.extend(headless.map(|wrong| Corruption {
        text: in_case(&wrong.text),
        ..wrong
    }));
    found
}

/// `sql` with its keywords and the functions that it calls in another case.
fn keywords(sql: &str, case: impl Fn(&str) -> String) -> String {
    let tokens = tokens(sql);
    let (mut text, mut from) = (String::new(), 0);
    for (at, token) in tokens.iter().enumerate() {
        let called = tokens.get(at + 1).is_some_and(|next| next.is("("));
        if token.kind == Kind::Word && (called || is_keyword(token.text)) {
            text.push_str(&sql[from..token.at]);
            text.push_str(&case(token.text));
            from = token.end();
        }
    }
    text + &sql[from..]
}
