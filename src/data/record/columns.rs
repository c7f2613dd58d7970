//! Columns of other names: `--field prompt=question`.

use super::row::FIELDS;
use crate::data::jsonl::Line;
use anyhow::{Result, bail, ensure};
use std::path::Path;

/// Which column is read where a row has another name for a field.
#[derive(Clone, Debug, Default)]
pub struct Columns(Vec<(&'static str, String)>);

impl Columns {
    /// Reads FIELD=COLUMN texts.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let mut columns: Vec<(&'static str, String)> = Vec::new();
        for text in texts {
            let Some((field, column)) = text.split_once('=').filter(|(_, c)| !c.is_empty()) else {
                bail!("--field {text:?} is not FIELD=COLUMN, as prompt=question");
            };
            let Some(field) = FIELDS.iter().find(|known| **known == field) else {
                bail!(
                    "--field {text}: no format has a field {field:?}; there are {}",
                    FIELDS.join(", ")
                );
            };
            let other = columns.iter().find(|(f, c)| f == field || c == column);
            if let Some((f, c)) = other {
                bail!("--field {text}: {f}={c} is given too");
            }
            columns.push((field, column.to_owned()));
        }
        Ok(Self(columns))
    }

    /// The texts that [`Self::parse`] read.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(|(f, c)| format!("{f}={c}")).collect()
    }

    /// The column that `field` is read from; `None` where that one stands for another field.
    pub fn of<'a>(&'a self, field: &'a str) -> Option<&'a str> {
        if let Some((_, column)) = self.0.iter().find(|(f, _)| *f == field) {
            return Some(column);
        }
        let elsewhere = self.0.iter().any(|(_, column)| column == field);
        (!elsewhere).then_some(field)
    }

    /// The columns that are yet to be found in a row.
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted(self.0.iter().map(|(f, c)| (*f, c.as_str())).collect())
    }
}

/// Columns that no row so far has.
pub struct Wanted<'a>(Vec<(&'static str, &'a str)>);

impl Wanted<'_> {
    /// Looks at a row.
    pub fn look(&mut self, line: &Line) {
        self.0
            .retain(|(_, column)| !line.fields().contains_key(*column));
    }

    /// Errors where a column is in no row that was looked at, all of them rows of `path`.
    pub fn refuse(&self, path: &Path) -> Result<()> {
        let none: Vec<_> = self
            .0
            .iter()
            .map(|(f, c)| format!("{c:?} (--field {f}={c})"))
            .collect();
        ensure!(
            none.is_empty(),
            "{}: no row has the column {}",
            path.display(),
            none.join(", nor ")
        );
        Ok(())
    }
}
