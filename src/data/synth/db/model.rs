//! A database as questions see it: tables, columns with what they hold, keys, and the words for all of them.

use std::path::PathBuf;

use crate::sql::identifier::{identifier as sql_identifier, quoted};
use crate::sql::shape::is_keyword;
use crate::sql::value::Value;

/// A database to ask questions of.
pub struct Db {
    pub name: String,
    /// File name in the set, which rows call it by.
    pub db: String,
    /// What queries run on.
    pub file: PathBuf,
    pub tables: Vec<Table>,
    pub links: Vec<Link>,
}

/// A table and the words for its rows.
pub struct Table {
    pub name: String,
    /// The name as SQL needs it.
    pub sql: String,
    pub rows: usize,
    pub columns: Vec<Column>,
    /// Columns that name a row; none where nothing does.
    pub label: Vec<usize>,
    /// What one row is called, and several.
    pub one: Vec<String>,
    pub many: Vec<String>,
    /// Whether a row is somebody.
    pub person: bool,
    /// What one party of a row did to the other, such as "borrowed"; may be empty.
    pub verb: String,
}

/// A column, what it holds and the words for it.
#[derive(Clone)]
pub struct Column {
    pub name: String,
    pub sql: String,
    /// Its place in the primary key, from 1; 0 outside it.
    pub primary: u32,
    pub role: Role,
    pub nulls: bool,
    /// Whether no sampled value came twice.
    pub unique: bool,
    /// Sampled values, the most frequent first; numbers and dates in order.
    pub values: Vec<Value>,
    /// What one value is called.
    pub words: Vec<String>,
    pub unit: String,
    pub compare: Compare,
}

/// Words of its own for comparing a measure; empty lists where it has none.
#[derive(Clone, Default)]
pub struct Compare {
    /// Verbs of many: "are older than".
    pub more: Vec<String>,
    pub less: Vec<String>,
    /// Adjectives: "oldest".
    pub most: Vec<String>,
    pub least: Vec<String>,
}

/// What a column is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Says which row is meant, here or in another table.
    Key,
    /// Text whose values come again and again.
    Category,
    /// Other text of some words.
    Text,
    Number,
    Year,
    /// Text that begins with a date.
    Date,
    /// 0 or 1.
    Flag,
    /// Nothing that a question could be about.
    Opaque,
}

/// A key that leads from rows of one table to one row of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub child: usize,
    pub column: usize,
    pub parent: usize,
    pub key: usize,
    /// Why it is taken for one, where it is not declared.
    pub evidence: Option<String>,
    /// What stands between a child and its parent: employees "in" a department.
    pub between: Vec<String>,
}

impl Table {
    /// The places of the columns of a role.
    pub fn of_role(&self, roles: &[Role]) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        let fitting = columns.filter(|(_, column)| roles.contains(&column.role));
        fitting.map(|(at, _)| at).collect()
    }
}

impl Db {
    /// Whether a table's rows are people, and those of no other: "who" means them.
    pub fn means_who(&self, table: usize) -> bool {
        let people = self.tables.iter().filter(|table| table.person);
        self.tables[table].person && people.count() == 1
    }

    /// Whether a table says nothing but which rows of two others belong together.
    pub fn is_between(&self, table: usize) -> bool {
        let keys = self.tables[table]
            .columns
            .iter()
            .all(|c| c.role == Role::Key);
        let own = self.links.iter().filter(|link| link.child == table);
        let parents: Vec<usize> = own.map(|link| link.parent).collect();
        keys && matches!(parents[..], [one, other] if one != other)
    }

    /// Tables and columns in one line, `a(id, name); b(id, a_id)`, of the tables that `shown` holds.
    pub fn schema_line(&self, shown: impl Fn(usize) -> bool) -> String {
        let tables = self.tables.iter().enumerate().filter(|(at, _)| shown(*at));
        let lines: Vec<String> = tables
            .map(|(_, table)| {
                let columns: Vec<&str> = table.columns.iter().map(|c| c.sql.as_str()).collect();
                format!("{}({})", table.sql, columns.join(", "))
            })
            .collect();
        lines.join("; ")
    }
}

/// A name as SQL needs it: as it is, or in quotes. A word that queries are built from has them too, so that a shape never takes it
/// for one.
pub fn identifier(name: &str) -> String {
    match is_keyword(name) {
        true => quoted(name),
        false => sql_identifier(name).into_owned(),
    }
}

/// A value as SQL writes it; none for one that has no place in a question.
pub fn literal(value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) if number.is_finite() => Some(number.to_string()),
        Value::Text(_) => Some(format!("'{}'", said(value)?.replace('\'', "''"))),
        _ => None,
    }
}

/// A value as a question says it.
pub fn said(value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) if number.is_finite() => Some(number.to_string()),
        Value::Text(bytes) => {
            let text = std::str::from_utf8(bytes).ok()?;
            let short = !text.is_empty() && text.chars().count() <= MOST_SAID;
            let clean = text.trim() == text && !text.contains(char::is_control);
            (short && clean).then(|| text.to_owned())
        }
        _ => None,
    }
}

/// Longest text that a question quotes, in characters.
const MOST_SAID: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_and_values_are_quoted() {
        for (name, expected) in [
            ("name", "name"),
            ("order", "\"order\""),
            ("Index", "\"Index\""),
            ("Order Details", "\"Order Details\""),
            ("größe", "\"größe\""),
            ("a\"b", "\"a\"\"b\""),
            ("2nd", "\"2nd\""),
            ("", "\"\""),
        ] {
            assert_eq!(identifier(name), expected);
        }
        let text = |text: &str| Value::Text(text.as_bytes().to_vec());
        assert_eq!(literal(&text("O'Neil")).as_deref(), Some("'O''Neil'"));
        for unsaid in [
            text(" x"),
            text("a\nb"),
            text(""),
            text(&"x".repeat(99)),
            Value::Null,
        ] {
            assert_eq!(literal(&unsaid), None, "{unsaid:?}");
        }
    }
}
