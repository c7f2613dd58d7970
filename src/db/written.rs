//! A schema as SQL declares it, and as prompts list it.

use super::schema::{ForeignKey, Table};
use crate::sql::identifier::identifier;

/// Schemas that need not be named: each engine's own.
const UNNAMED: [&str; 2] = ["main", "public"];

impl Table {
    /// Its name as a query has it.
    pub fn written(&self) -> String {
        match UNNAMED.contains(&self.schema.as_str()) {
            true => identifier(&self.name).into_owned(),
            false => format!("{}.{}", identifier(&self.schema), identifier(&self.name)),
        }
    }

    /// Whether a name means it, with its schema or without, in any case of letters.
    pub fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) || self.written().eq_ignore_ascii_case(name)
    }

    /// `name(column, column)`, as adapters are shown tables.
    pub fn listed(&self) -> String {
        format!(
            "{}({})",
            self.written(),
            names(self.columns.iter().map(|column| &column.name))
        )
    }

    /// A CREATE TABLE statement with its keys. Of a view it tells the columns too, and says that it is one.
    pub fn ddl(&self) -> String {
        let column = |column: &super::answer::Column| {
            format!("{} {}", identifier(&column.name), column.declared)
                .trim_end()
                .to_owned()
        };
        let mut parts: Vec<String> = self.columns.iter().map(column).collect();
        if !self.primary_key.is_empty() {
            parts.push(format!("PRIMARY KEY ({})", names(&self.primary_key)));
        }
        parts.extend(self.foreign_keys.iter().map(foreign_key));
        let view = if self.view { " -- a view" } else { "" };
        format!(
            "CREATE TABLE {} ({});{view}",
            self.written(),
            parts.join(", ")
        )
    }
}

fn foreign_key(key: &ForeignKey) -> String {
    let (own, other) = (names(&key.columns), names(&key.referenced));
    let other = if other.is_empty() {
        other
    } else {
        format!(" ({other})")
    };
    format!(
        "FOREIGN KEY ({own}) REFERENCES {}{other}",
        identifier(&key.table)
    )
}

fn names<'a>(all: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<_> = all.into_iter().map(|name| identifier(name)).collect();
    names.join(", ")
}
