//! Draws drafts until there are enough good ones.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::sql::shape::shape;
use crate::sql::tokens::tokens;

use super::dice::Dice;
use super::draft::Desk;
use super::engine::Engine;
use super::heldout::HeldOut;
use super::model::Db;
use super::patterns::{self, Kind};

/// Drafts drawn for each row that is wanted before it is given up.
const TRIES: usize = 30;
/// Questions of one query.
const ASKED: usize = 3;
/// Shapes that together could fill the set: one has no more rows than its part of these.
const SHAPES: usize = 16;

/// A question, its query and what is known of both.
pub struct Made {
    /// Place of its database.
    pub database: usize,
    pub kind: Kind,
    pub question: String,
    pub sql: String,
    pub shape: String,
    /// The shape with its values: no two splits share one.
    pub value: String,
    /// Places of its tables.
    pub tables: Vec<usize>,
}

/// What is to be drawn.
pub struct Draw<'a> {
    pub wanted: usize,
    pub mix: &'a [(Kind, usize)],
    pub heldout: &'a HeldOut,
    pub seed: u64,
}

/// Draws up to as many good questions as are wanted, from all databases alike.
pub fn draw(databases: &[Db], draw: &Draw, engine: &mut Engine) -> Result<Vec<Made>> {
    let &Draw { wanted, seed, .. } = draw;
    let mut desks: Vec<Desk> = databases
        .iter()
        .map(|db| Desk {
            db,
            dice: Dice::new(seed, &format!("drafts of {}", db.name)),
        })
        .collect();
    let mut dice = Dice::new(seed, "kinds");
    let mut found: Vec<Made> = Vec::new();
    let mut questions = BTreeSet::new();
    let mut verdicts: BTreeMap<(usize, String), bool> = BTreeMap::new();
    let mut asked: BTreeMap<(usize, String), usize> = BTreeMap::new();
    let mut shapes: BTreeMap<String, usize> = BTreeMap::new();
    let most = (wanted / SHAPES).max(4);
    for try_ in 0..wanted * TRIES {
        if found.len() == wanted {
            break;
        }
        let database = try_ % desks.len();
        let Some(&kind) = dice.weighted(draw.mix) else {
            break;
        };
        let desk = &mut desks[database];
        let Some(draft) = patterns::draft(desk, kind) else {
            continue;
        };
        let question = draft
            .question
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let key = (database, draft.sql.clone());
        let form = shape(&draft.sql);
        let full = asked.get(&key).is_some_and(|times| *times == ASKED)
            || shapes.get(&form).is_some_and(|rows| *rows == most);
        let known = questions.contains(&question.to_lowercase());
        if full || known || draw.heldout.has(&question, &draft.sql) {
            continue;
        }
        let good = match verdicts.get(&key) {
            Some(good) => *good,
            None => {
                let good = engine.keeps(&desk.db.file, &draft)?;
                verdicts.insert(key.clone(), good);
                good
            }
        };
        if !good {
            continue;
        }
        questions.insert(question.to_lowercase());
        *asked.entry(key).or_default() += 1;
        *shapes.entry(form.clone()).or_default() += 1;
        let literals = tokens(&draft.sql)
            .into_iter()
            .filter(|token| token.is_literal());
        let literals: Vec<&str> = literals.map(|token| token.text).collect();
        // Without values, the names are what tells two queries of a shape apart.
        let value = match literals.is_empty() {
            true => format!("{database}\0{}", draft.sql),
            false => format!("{database}\0{form}\0{}", literals.join("\0")),
        };
        let mut tables = draft.tables;
        tables.sort();
        tables.dedup();
        found.push(Made {
            database,
            kind,
            question,
            value,
            shape: form,
            sql: draft.sql,
            tables,
        });
    }
    Ok(found)
}
