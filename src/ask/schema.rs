//! A database's tables as a prompt has them.

use crate::data::asking::Notation;
use crate::db::sqlite::layout::{Column, Layout};
use crate::run::usage::UsageError;
use crate::sql::identifier::identifier;
use anyhow::Result;

/// The tables of these names; all where there are none. Errors name what is no table.
pub fn named<'a>(all: &'a [Layout], names: &[String]) -> Result<Vec<&'a Layout>> {
    let is = |table: &Layout, name: &String| table.name.eq_ignore_ascii_case(name);
    let unknown = names
        .iter()
        .filter(|name| !all.iter().any(|table| is(table, name)));
    let unknown: Vec<&str> = unknown.map(String::as_str).collect();
    if !unknown.is_empty() {
        let known: Vec<&str> = all.iter().map(|table| table.name.as_str()).collect();
        let (unknown, known) = (unknown.join(", "), known.join(", "));
        let message = format!("no table is called {unknown}; there are {known}");
        return Err(UsageError(message).into());
    }
    let wanted = |table: &&Layout| names.is_empty() || names.iter().any(|name| is(table, name));
    Ok(all.iter().filter(wanted).collect())
}

/// The tables in a notation.
pub fn write(tables: Vec<&Layout>, notation: Notation) -> String {
    let table = |table: &&Layout| {
        let column = |column: &Column| {
            let name = identifier(&column.name);
            match notation {
                Notation::Ddl if !column.declared.is_empty() => {
                    format!("{name} {}", column.declared)
                }
                _ => name.into_owned(),
            }
        };
        let columns: Vec<String> = table.columns.iter().map(column).collect();
        let (name, columns) = (identifier(&table.name), columns.join(", "));
        match notation {
            Notation::List => format!("{name}({columns})"),
            Notation::Ddl => format!("CREATE TABLE {name} ({columns})"),
        }
    };
    let tables: Vec<String> = tables.iter().map(table).collect();
    tables.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::sqlite::layout::layout;

    #[test]
    fn tables_are_written_as_adapters_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shop.sql");
        let script = "CREATE TABLE buyers (id INTEGER PRIMARY KEY, name TEXT, \"order\");
                      CREATE TABLE \"two words\" (a REAL);";
        std::fs::write(&file, script).unwrap();
        let tables = layout(&file).unwrap();
        let all = || named(&tables, &[]).unwrap();
        assert_eq!(
            write(all(), Notation::List),
            "buyers(id, name, \"order\"); \"two words\"(a)"
        );
        assert_eq!(
            write(all(), Notation::Ddl),
            "CREATE TABLE buyers (id INTEGER, name TEXT, \"order\"); CREATE TABLE \"two words\" (a REAL)"
        );
        let one = named(&tables, &["BUYERS".to_owned()]).unwrap();
        assert_eq!(write(one, Notation::List), "buyers(id, name, \"order\")");
        let error = named(&tables, &["sellers".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("sellers") && error.contains("two words"),
            "{error}"
        );
    }
}
