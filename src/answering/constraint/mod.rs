//! Answers that are held to rules: one SELECT of SQLite, with the names of the row's schema.

pub mod dialect;
pub mod guidance;
mod held;
pub mod names;
mod query;
pub mod scan;
#[cfg(test)]
mod tests;
pub mod vocabulary;
mod words;

use crate::data::jsonl::Line;
use crate::data::record::Conversation;
use crate::data::schema::{Schemas, Table};
use crate::db::home::Home;
use crate::generation::constraint::Grammar;
use crate::model::tokenizer::Tokenizer;
use crate::run::observer::Observer;
use crate::run::words::hex;
use anyhow::{Context, Result};
use dialect::Dialect;
use guidance::Guidance;
use regex::{Captures, Regex};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The grammar of SQLite's SELECT.
pub const SQLITE: &str = include_str!("sqlite.lark");

/// What answers are held to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// To nothing.
    #[default]
    Off,
    /// To one SELECT of SQLite, whatever its names.
    Sql,
    /// The same, with the tables and columns of the row's schema.
    Schema,
}

/// How answers are held.
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub kind: Kind,
    /// Whether rows whose schema is not understood are held to SQL alone.
    pub fallback: bool,
    /// Where the rows' databases are; without it their texts have the schemas.
    pub home: Option<Home>,
}

/// What the rows of a file are held to.
#[derive(Default)]
pub struct Constraints {
    kind: Kind,
    /// Of each row, as far as it has one.
    schemas: Vec<Option<Arc<Vec<Table>>>>,
    masks: Arc<AtomicUsize>,
}

impl Config {
    /// Reads the schemas of the rows of `data`, which ask for `asked`.
    ///
    /// Errors name the row whose schema is not understood.
    pub fn read(
        &self,
        data: &Path,
        lines: &[Line],
        asked: &[Conversation],
        observer: &dyn Observer,
    ) -> Result<Constraints> {
        let mut constraints = Constraints {
            kind: self.kind,
            ..Constraints::default()
        };
        match self.kind {
            Kind::Off => return Ok(constraints),
            Kind::Sql => {
                constraints.schemas = vec![None; lines.len()];
                return Ok(constraints);
            }
            Kind::Schema => {}
        }
        let mut schemas = Schemas::new(self.home.clone());
        let (mut without, mut faults) = (0, 0);
        for (line, asked) in lines.iter().zip(asked) {
            let texts: Vec<&str> = asked.turns.iter().map(|t| t.content.as_str()).collect();
            let schema = match schemas.of(line, &texts.join("\n")) {
                Ok(schema) => {
                    without += usize::from(schema.is_none());
                    schema
                }
                Err(_) if self.fallback => {
                    faults += 1;
                    None
                }
                Err(error) => {
                    let place = format!("{}:{}", data.display(), line.number);
                    return Err(error).with_context(|| {
                        format!("{place}: its schema is not understood (--constrain-fallback holds such rows to SQL alone)")
                    });
                }
            };
            constraints.schemas.push(schema);
        }
        if faults > 0 {
            observer.note(format_args!(
                "constraint: {faults} rows have a schema that is not understood, and are held to SQL alone"
            ));
        }
        if without > 0 {
            observer.note(format_args!(
                "constraint: {without} rows have no schema, and are held to SQL alone"
            ));
        }
        Ok(constraints)
    }
}

/// A grammar whose keywords, such as `"select"i`, are written out as `/[sS][eE]…/`: the library would take letters beyond ASCII for
/// theirs too, as ſ for s, and SQLite does not.
pub fn in_any_case(grammar: &str) -> Result<String> {
    let keyword = Regex::new(r#""([a-z]+)"i\b"#)?;
    let written = keyword.replace_all(grammar, |found: &Captures| {
        let letters = found[1].chars();
        let letters = letters.map(|c| format!("[{c}{}]", c.to_ascii_uppercase()));
        format!("/{}/", letters.collect::<String>())
    });
    Ok(written.into_owned())
}

impl Constraints {
    /// Whether answers are held to anything.
    pub fn is_on(&self) -> bool {
        self.kind != Kind::Off
    }

    /// What the answer to each row is held to, by the tokens of `tokenizer`; empty where none is held to anything.
    pub fn grammars(&self, tokenizer: &Tokenizer) -> Result<Vec<Option<Arc<dyn Grammar>>>> {
        if !self.is_on() {
            return Ok(Vec::new());
        }
        let dialect = Dialect::sqlite(&Guidance::new(tokenizer)?)?.counting(self.masks.clone());
        let mut known: BTreeMap<Option<String>, Arc<dyn Grammar>> = BTreeMap::new();
        let grammars = self.schemas.iter().map(|schema| {
            let key = schema.as_ref().map(|tables| format!("{tables:?}"));
            let tables = schema.as_ref().map(|tables| &tables[..]);
            let grammar = known.entry(key).or_insert_with(|| dialect.query(tables));
            Some(grammar.clone())
        });
        Ok(grammars.collect())
    }

    /// What answers depend on of it; nothing where they are held to nothing.
    pub fn identity(&self) -> Option<Value> {
        let kind = match self.kind {
            Kind::Off => return None,
            Kind::Sql => "sql",
            Kind::Schema => "schema",
        };
        let schemas = Sha256::digest(format!("{SQLITE}{:?}", self.schemas));
        Some(json!([kind, hex(&schemas)]))
    }

    /// How many masks were made so far.
    pub fn masks(&self) -> usize {
        self.masks.load(Ordering::Relaxed)
    }
}
