//! The tables of each database, as tables.json has them.

use crate::data::jsonl;
use crate::sql::identifier::identifier;
use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The schemas in one line each, by database.
pub struct Tables {
    path: PathBuf,
    lines: BTreeMap<String, String>,
    pub sha256: String,
}

/// What is read of an entry.
#[derive(Deserialize)]
struct Entry {
    db_id: String,
    table_names_original: Vec<String>,
    /// The place of a column's table, -1 for `*`, and its name.
    column_names_original: Vec<(i64, String)>,
}

impl Tables {
    pub fn read(path: &Path) -> Result<Self> {
        let mut lines = BTreeMap::new();
        let sha256 = jsonl::for_each(path, |number, line| {
            let place = || format!("{}:{number}", path.display());
            let entry: Entry =
                serde_json::from_value(line?.into_fields().into()).with_context(place)?;
            let line = entry.line().with_context(place)?;
            lines.insert(entry.db_id, line);
            Ok(())
        })?;
        Ok(Self {
            path: path.to_owned(),
            lines,
            sha256,
        })
    }

    /// The tables of a database: `a(id, name); b(id, a_id)`.
    pub fn line(&self, db: &str) -> Result<&str> {
        let line = self.lines.get(db).map(String::as_str);
        line.ok_or_else(|| anyhow!("{} has no entry for database {db:?}", self.path.display()))
    }
}

impl Entry {
    fn line(&self) -> Result<String> {
        let mut tables: Vec<(&String, Vec<_>)> = self
            .table_names_original
            .iter()
            .map(|name| (name, Vec::new()))
            .collect();
        for (table, column) in &self.column_names_original {
            if *table < 0 {
                continue;
            }
            let table = usize::try_from(*table)
                .ok()
                .and_then(|at| tables.get_mut(at));
            let table = table.with_context(|| format!("column {column:?} is of no table"))?;
            table.1.push(identifier(column));
        }
        ensure!(
            !tables.is_empty(),
            "database {:?} has no tables",
            self.db_id
        );
        let lines = tables
            .into_iter()
            .map(|(table, columns)| format!("{}({})", identifier(table), columns.join(", ")));
        Ok(lines.collect::<Vec<_>>().join("; "))
    }
}
