//! The rows of a set, and how a domain's templates become them.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::sql::shape::shape;

use super::database::Database;
use super::db::Origin;
use super::fill::{choose, rank};
use super::spec::{Domain, Template};

pub const SEEN: &str = "seen-shape";
pub const UNSEEN: &str = "unseen-shape";

/// The two splits.
#[derive(Default)]
pub struct Rows {
    pub train: Vec<TrainRow>,
    pub dev: Vec<DevRow>,
}

/// A row to train on.
#[derive(Serialize)]
pub struct TrainRow {
    pub id: String,
    pub domain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db: Option<String>,
    #[serde(flatten)]
    pub origin: Option<Origin>,
    #[serde(rename = "question", skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    pub instruction: String,
    pub response: String,
    /// Kept for the checks; it is in the instruction.
    #[serde(skip)]
    pub question: String,
}

/// A held-out row.
#[derive(Serialize)]
pub struct DevRow {
    pub id: String,
    pub domain: String,
    pub slice: String,
    #[serde(flatten)]
    pub origin: Option<Origin>,
    pub question: String,
    pub prompt: String,
    pub gold_sql: String,
    pub db: String,
}

/// A right and a wrong answer to one prompt.
#[derive(Serialize)]
pub struct PreferenceRow {
    pub id: String,
    pub domain: String,
    pub failure_type: String,
    pub prompt: String,
    pub chosen: String,
    pub rejected: String,
}

impl Rows {
    /// Adds the rows of a domain's templates.
    pub fn add(
        &mut self,
        prompt: &str,
        domain: &Domain,
        database: &Database,
        seed: u64,
    ) -> Result<()> {
        let name = &domain.name;
        let prompt = prompt.replace("{schema}", &database.schema_line());
        let (first_train, first_dev) = (self.train.len(), self.dev.len());
        for template in &domain.templates {
            let (train, dev) = asked(template, database, seed)
                .with_context(|| format!("template `{}`", template.id))?;
            for (question, sql) in train {
                self.train.push(TrainRow {
                    id: format!("{name}-train-{:03}", self.train.len() - first_train),
                    domain: name.clone(),
                    db: None,
                    origin: None,
                    asked: None,
                    instruction: prompt.replace("{question}", &question),
                    response: sql,
                    question,
                });
            }
            for (question, sql) in dev {
                self.dev.push(DevRow {
                    id: format!("{name}-dev-{:03}", self.dev.len() - first_dev),
                    domain: name.clone(),
                    slice: String::new(),
                    origin: None,
                    prompt: prompt.replace("{question}", &question),
                    question,
                    gold_sql: sql,
                    db: format!("{name}.db"),
                });
            }
        }
        Ok(())
    }

    /// Names each dev row's slice by whether any train query has its shape.
    pub fn name_slices(&mut self) {
        let seen: BTreeSet<String> = self.train.iter().map(|row| shape(&row.response)).collect();
        for row in &mut self.dev {
            let slice = if seen.contains(&shape(&row.gold_sql)) {
                SEEN
            } else {
                UNSEEN
            };
            row.slice = slice.to_string();
        }
    }
}

type Pairs = Vec<(String, String)>;

/// The question and query of each of a template's train rows and dev rows.
fn asked(template: &Template, database: &Database, seed: u64) -> Result<(Pairs, Pairs)> {
    let fillings = choose(template, database, seed)?;
    let (train, dev) = template.phrasings();
    let start = rank(seed, &[&template.id]) as usize;
    let pair = |(index, filling): (usize, &super::fill::Filling), phrasings: &[String]| {
        let phrasing = &phrasings[start.wrapping_add(index) % phrasings.len()];
        (filling.say(phrasing), filling.sql.clone())
    };
    let (for_train, for_dev) = fillings.split_at(template.train);
    Ok((
        for_train
            .iter()
            .enumerate()
            .map(|item| pair(item, train))
            .collect(),
        for_dev
            .iter()
            .enumerate()
            .map(|item| pair(item, dev))
            .collect(),
    ))
}

/// One JSON object a line.
pub fn jsonl<T: Serialize>(rows: &[T]) -> Result<Vec<u8>> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&serde_json::to_string(row)?);
        text.push('\n');
    }
    Ok(text.into_bytes())
}
