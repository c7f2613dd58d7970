//! A database's tables as a prompt has them.

use crate::data::asking::Notation;
use crate::run::usage::UsageError;
use crate::sql::database::layout::{Column, Layout, layout};
use crate::sql::identifier::identifier;
use anyhow::{Result, ensure};
use std::path::Path;

/// The tables of a database, or those of them that are named. Errors name what is not there.
pub fn tables(file: &Path, named: &[String]) -> Result<Vec<Layout>> {
    let all = layout(file)?;
    ensure!(!all.is_empty(), "{} has no tables", file.display());
    if named.is_empty() {
        return Ok(all);
    }
    let has = |name: &String| {
        all.iter()
            .any(|table| table.name.eq_ignore_ascii_case(name))
    };
    let unknown: Vec<&str> = named
        .iter()
        .filter(|name| !has(name))
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        let known: Vec<&str> = all.iter().map(|table| table.name.as_str()).collect();
        let (unknown, known) = (unknown.join(", "), known.join(", "));
        let message = format!("--table {unknown} is none of its tables: {known}");
        return Err(UsageError(message).into());
    }
    let wanted = |table: &Layout| {
        named
            .iter()
            .any(|name| table.name.eq_ignore_ascii_case(name))
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// The tables in a notation.
pub fn write(tables: &[Layout], notation: Notation) -> String {
    let table = |table: &Layout| {
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

    #[test]
    fn tables_are_written_as_adapters_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shop.sql");
        let script = "CREATE TABLE buyers (id INTEGER PRIMARY KEY, name TEXT, \"order\");
                      CREATE TABLE \"two words\" (a REAL);";
        std::fs::write(&file, script).unwrap();
        let all = tables(&file, &[]).unwrap();
        assert_eq!(
            write(&all, Notation::List),
            "buyers(id, name, \"order\"); \"two words\"(a)"
        );
        assert_eq!(
            write(&all, Notation::Ddl),
            "CREATE TABLE buyers (id INTEGER, name TEXT, \"order\"); CREATE TABLE \"two words\" (a REAL)"
        );
        let one = tables(&file, &["BUYERS".to_owned()]).unwrap();
        assert_eq!(write(&one, Notation::List), "buyers(id, name, \"order\")");
        let error = tables(&file, &["sellers".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("sellers") && error.contains("two words"),
            "{error}"
        );
    }
}
