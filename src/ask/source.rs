//! A database that is asked: what a prompt shows of it, and what queries return on it.

use super::schema::{self, named};
use crate::data::asking::Asking;
use crate::data::hints::Hints;
use crate::data::schema::Table;
use crate::db::sqlite::layout::Layout;
use crate::eval::databases::Databases;
use crate::eval::described::{Described, described};
use crate::eval::stop::Stop;
use crate::eval::table::{Shown, table};
use anyhow::{Context, Result, anyhow, ensure};
use std::sync::OnceLock;

/// A database.
pub struct Source {
    /// Its name, where [`Databases::home`] has several.
    pub(super) db: String,
    /// Where its queries run.
    pub(super) databases: Databases,
    tables: Vec<Layout>,
    /// What queries may name.
    all: Vec<Table>,
    /// Its values, read when the first prompt is to name some.
    hints: OnceLock<Result<Hints, String>>,
}

impl Source {
    /// Looks at the one of `databases` that is called `db`. Errors where it is none, has no tables, or `stop` ended it.
    pub fn open(db: String, databases: Databases, stop: &Stop) -> Result<Self> {
        let place = || match (databases.home.folder(), &*db) {
            (Some(folder), db) => folder.join(db).display().to_string(),
            (None, "") => databases.home.to_string(),
            (None, schema) => format!("{} schema {schema}", databases.home),
        };
        let described = described(&databases.until(stop), &db);
        let Described { tables, named } = described.with_context(place)?;
        ensure!(!tables.is_empty(), "{} has no tables", place());
        Ok(Self {
            db,
            databases,
            tables,
            all: named,
            hints: OnceLock::new(),
        })
    }

    /// Its tables.
    pub fn tables(&self) -> &[Layout] {
        &self.tables
    }

    /// What all its tables and views are called, with their columns.
    pub fn named(&self) -> &[Table] {
        &self.all
    }

    /// The prompt of a question as `asking` has it, with the tables of these `names`; all where there are none.
    pub fn put(&self, asking: &Asking, names: &[String], question: &str) -> Result<String> {
        let schema = schema::write(named(&self.tables, names)?, asking.notation);
        let prompt = asking.put(&schema, question)?;
        match asking.value_hints {
            0 => Ok(prompt),
            most => Ok(self.hints()?.put(&prompt, question, most)?.0),
        }
    }

    /// The database's values.
    pub fn hints(&self) -> Result<&Hints> {
        let read =
            || Hints::of(&self.databases.home, &self.db).map_err(|error| format!("{error:#}"));
        let read = self.hints.get_or_init(read);
        read.as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// What a query returns; an error where `stop` ended it.
    pub fn run(&self, sql: &str, stop: &Stop) -> Result<Shown> {
        table(&self.databases.until(stop), &self.db, sql)
    }
}
