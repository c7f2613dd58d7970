//! The specification of a generated set: one file for the set, one for each domain's query templates.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::run::settings::read;

/// The whole set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Text of a prompt, with `{schema}` and `{question}` in it.
    pub prompt: String,
    pub counts: Counts,
    #[serde(rename = "domain")]
    pub domains: Vec<Domain>,
}

/// How many rows the set must have; the templates' own numbers must add up to these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    pub train: usize,
    pub dev: usize,
    /// At most one for each train row.
    pub preferences: usize,
    /// Fewest and most dev rows whose query has a shape that no train query has.
    pub unseen: [usize; 2],
}

/// One database and the questions asked of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    pub name: String,
    /// SQL script that builds the database, relative to the specification's folder.
    pub schema: String,
    /// File of templates, relative to the specification's folder.
    pub file: String,
    #[serde(skip)]
    pub templates: Vec<Template>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DomainFile {
    template: Vec<Template>,
}

/// One kind of question and the query that answers it, with `{slots}` in both.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    pub id: String,
    /// Phrasings. When a template has rows in both splits, dev asks with the last phrasing and train with
    /// the others; a template of one split uses them all.
    pub ask: Vec<String>,
    pub sql: String,
    /// Rows for train.
    #[serde(default)]
    pub train: usize,
    /// Rows for dev.
    #[serde(default)]
    pub dev: usize,
    #[serde(default)]
    pub slots: BTreeMap<String, Slot>,
}

/// Where a slot's values come from.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a slot is a query over the database or a list of values"
)]
pub enum Slot {
    /// The first column of this query.
    Query(String),
    List(Vec<Value>),
}

/// One value of a slot.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(
    untagged,
    expecting = "a value is a string, a whole number or { say, sql }"
)]
pub enum Value {
    Text(String),
    Number(i64),
    Said(Said),
}

/// A value that reads one way in the question and another in the query, where it is put as it stands.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    pub say: String,
    pub sql: String,
}

impl Template {
    /// The phrasings of the train rows and of the dev rows.
    pub fn phrasings(&self) -> (&[String], &[String]) {
        match self.ask.len() {
            count if count > 1 && self.train > 0 && self.dev > 0 => self.ask.split_at(count - 1),
            _ => (&self.ask, &self.ask),
        }
    }
}

/// Reads the specification at `path` and its domains' templates, and checks what can be checked without
/// a database.
pub fn load(path: &Path) -> Result<Spec> {
    let mut spec: Spec = read(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    check_spec(&spec).with_context(|| path.display().to_string())?;
    for domain in &mut spec.domains {
        let file = folder.join(&domain.file);
        domain.templates = read::<DomainFile>(&file)?.template;
        let mut ids = BTreeSet::new();
        for template in &domain.templates {
            check_template(template)
                .and_then(|()| {
                    ensure!(ids.insert(&template.id), "the id is used twice");
                    Ok(())
                })
                .with_context(|| format!("{}: template `{}`", file.display(), template.id))?;
        }
    }
    check_sums(&spec).with_context(|| path.display().to_string())?;
    Ok(spec)
}

fn check_spec(spec: &Spec) -> Result<()> {
    for slot in ["{schema}", "{question}"] {
        ensure!(spec.prompt.contains(slot), "the prompt lacks {slot}");
    }
    ensure!(
        spec.counts.preferences <= spec.counts.train,
        "{} preferences from {} train rows: at most one a row",
        spec.counts.preferences,
        spec.counts.train
    );
    let names: BTreeSet<_> = spec.domains.iter().map(|domain| &domain.name).collect();
    ensure!(
        names.len() == spec.domains.len(),
        "two domains share a name"
    );
    Ok(())
}

fn check_template(template: &Template) -> Result<()> {
    ensure!(!template.ask.is_empty(), "`ask` is empty");
    ensure!(
        template.train + template.dev > 0,
        "`train` and `dev` are both 0"
    );
    for text in template.ask.iter().chain([&template.sql]) {
        for name in template.slots.keys() {
            ensure!(
                text.contains(&format!("{{{name}}}")),
                "slot `{name}` is not used in: {text}"
            );
        }
        if let Some(name) = names_in(text).find(|name| !template.slots.contains_key(*name)) {
            bail!("`{{{name}}}` is not one of its slots: {text}");
        }
    }
    Ok(())
}

/// The names in braces in `text`.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0))
}

/// The templates' rows must add up to what the specification says.
fn check_sums(spec: &Spec) -> Result<()> {
    let templates = || spec.domains.iter().flat_map(|domain| &domain.templates);
    for (split, wanted, found) in [
        (
            "train",
            spec.counts.train,
            templates().map(|template| template.train).sum::<usize>(),
        ),
        (
            "dev",
            spec.counts.dev,
            templates().map(|template| template.dev).sum(),
        ),
    ] {
        ensure!(
            found == wanted,
            "the templates make {found} {split} rows, `counts.{split}` says {wanted}"
        );
    }
    Ok(())
}
