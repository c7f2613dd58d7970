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
use std::path::PathBuf;
use std::sync::OnceLock;

/// A database.
pub struct Source {
    file: PathBuf,
    /// Its name in its folder.
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
    /// Looks at a SQLite database, or a script that makes one; `databases` are those of its folder. Errors where it is none, has no tables, or
    /// `stop` ended it.
    pub fn open(file: PathBuf, databases: Databases, stop: &Stop) -> Result<Self> {
        let db = file.file_name().context("the path names no file")?;
        let db = db.to_string_lossy().into_owned();
        let described = described(&databases.until(stop), &db);
        let Described { tables, named } = described.with_context(|| file.display().to_string())?;
        ensure!(!tables.is_empty(), "{} has no tables", file.display());
        Ok(Self {
            file,
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
        let read = || Hints::of(&self.file).map_err(|error| format!("{error:#}"));
        let read = self.hints.get_or_init(read);
        read.as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// What a query returns; an error where `stop` ended it.
    pub fn run(&self, sql: &str, stop: &Stop) -> Result<Shown> {
        table(&self.databases.until(stop), &self.db, sql)
    }
}
