//! A dialect of SQL, compiled for a vocabulary.

use super::guidance::{Guidance, Rules};
use super::held;
use super::names::{Names, Words};
use super::{SQLITE, in_any_case};
use crate::data::schema::{Table, functions};
use crate::generation::constraint::Grammar;
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// What holds answers to one query.
pub struct Dialect {
    rules: Rules,
    functions: Arc<Words>,
    masks: Arc<AtomicUsize>,
}

impl Dialect {
    /// SQLite's SELECT.
    pub fn sqlite(guidance: &Guidance) -> Result<Self> {
        let all = functions()?;
        Ok(Self {
            rules: guidance.lark(&in_any_case(SQLITE)?)?,
            functions: Arc::new(Words::new(all.iter().map(String::as_str))),
            masks: Arc::default(),
        })
    }

    /// Counts its masks there.
    pub fn counting(self, masks: Arc<AtomicUsize>) -> Self {
        Self { masks, ..self }
    }

    /// Holds answers to a query with the names of these tables; with any names where there are none.
    pub fn query(&self, tables: Option<&[Table]>) -> Arc<dyn Grammar> {
        let names = |tables| Arc::new(Names::new(tables, self.functions.clone()));
        Arc::new(held::Query {
            rules: self.rules.clone(),
            names: tables.map(names),
            masks: self.masks.clone(),
        })
    }
}
