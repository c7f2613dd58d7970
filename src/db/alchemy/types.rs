//! Types of columns as SQLAlchemy calls them.

use crate::db::connections::Connection;
use crate::db::door::Door;
use crate::db::registry::Driver;
use anyhow::Result;
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Types of SQLite that SQLAlchemy knows by their names, and what it calls them.
const SQLITE: [(&str, &str); 29] = [
    ("BIGINT", "BIGINT"),
    ("BLOB", "BLOB"),
    ("BOOL", "BOOLEAN"),
    ("BOOLEAN", "BOOLEAN"),
    ("CHAR", "CHAR"),
    ("DATE", "DATE"),
    ("DATE_CHAR", "DATE"),
    ("DATETIME", "DATETIME"),
    ("DATETIME_CHAR", "DATETIME"),
    ("DECIMAL", "DECIMAL"),
    ("DOUBLE", "DOUBLE"),
    ("DOUBLE_PRECISION", "DOUBLE PRECISION"),
    ("FLOAT", "FLOAT"),
    ("INT", "INTEGER"),
    ("INTEGER", "INTEGER"),
    ("JSON", "JSON"),
    ("JSONB", "JSONB"),
    ("NCHAR", "NCHAR"),
    ("NUMERIC", "NUMERIC"),
    ("NVARCHAR", "NVARCHAR"),
    ("REAL", "REAL"),
    ("SMALLINT", "SMALLINT"),
    ("TEXT", "TEXT"),
    ("TIME", "TIME"),
    ("TIME_CHAR", "TIME"),
    ("TIMESTAMP", "TIMESTAMP"),
    ("VARCHAR", "VARCHAR"),
    ("_NVARCHAR", "NVARCHAR"),
    ("_VARCHAR", "VARCHAR"),
];

/// Those that are written with a length, and those with digits.
const LONG: [&str; 5] = ["CHAR", "NCHAR", "NVARCHAR", "TEXT", "VARCHAR"];
const EXACT: [&str; 2] = ["DECIMAL", "NUMERIC"];

/// Types of PostgreSQL whose names are others there.
const POSTGRES: [(&str, &str); 9] = [
    ("character varying", "VARCHAR"),
    ("character", "CHAR"),
    ("\"char\"", "VARCHAR"),
    ("name", "VARCHAR"),
    ("timestamp without time zone", "TIMESTAMP"),
    ("timestamp with time zone", "TIMESTAMP"),
    ("time without time zone", "TIME"),
    ("time with time zone", "TIME"),
    ("bit varying", "BIT"),
];

/// Types of PostgreSQL that have the same name there.
const SAME: [&str; 33] = [
    "bigint",
    "bit",
    "boolean",
    "bytea",
    "cidr",
    "citext",
    "date",
    "daterange",
    "double precision",
    "hstore",
    "inet",
    "int4range",
    "int8range",
    "integer",
    "json",
    "jsonb",
    "macaddr",
    "macaddr8",
    "money",
    "numeric",
    "numrange",
    "oid",
    "real",
    "regclass",
    "smallint",
    "text",
    "tsquery",
    "tsrange",
    "tstzrange",
    "tsvector",
    "uuid",
    "interval",
    "xid",
];

/// Types that a database has made: an enumeration is a text as long as its longest label.
const MADE: &str = "
    SELECT pg_catalog.format_type(t.oid, NULL)::text, CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE
        'VARCHAR(' || (SELECT max(length(e.enumlabel::text)) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid) || ')' END
    FROM pg_catalog.pg_type t WHERE t.typtype IN ('d', 'e')";

/// What the types of a database are called.
pub struct Types {
    driver: Driver,
    made: BTreeMap<String, String>,
}

impl Types {
    /// Those of a connection. A server is asked which it has made.
    pub fn of(door: &Door, connection: &Connection) -> Result<Self> {
        let mut types = Self::known(connection.driver);
        if connection.driver == Driver::Postgres {
            let rows = door.run(connection, MADE)?.rows.into_iter();
            types.made = rows
                .filter_map(|row| Some((row.first()?.text()?, row.get(1)?.text()?)))
                .collect();
        }
        Ok(types)
    }

    /// Those that every database of a driver has.
    pub fn known(driver: Driver) -> Self {
        Self {
            driver,
            made: BTreeMap::new(),
        }
    }

    /// What a type is called. One that is not known is NULL.
    pub fn name(&self, declared: &str) -> String {
        match (self.driver, self.made.get(declared)) {
            (_, Some(made)) => made.clone(),
            (Driver::Sqlite, _) => sqlite(&declared.to_uppercase()),
            (Driver::Postgres, _) => postgres(declared),
            _ => declared.to_owned(),
        }
    }
}

/// By the affinity where the name says nothing.
fn sqlite(declared: &str) -> String {
    static PARTS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^([\w ]+)(\(.*?\))?").ok());
    let parts = PARTS.as_ref().and_then(|parts| parts.captures(declared));
    let part = |at| {
        let parts = parts.as_ref()?;
        Some(parts.get(at)?.as_str())
    };
    let (word, arguments) = (part(1).unwrap_or_default(), part(2).unwrap_or_default());
    let known = SQLITE.iter().find(|(name, _)| *name == word);
    let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    let name = match known {
        Some((_, name)) => name,
        None if has(&["INT"]) => "INTEGER",
        None if has(&["CHAR", "CLOB", "TEXT"]) => "TEXT",
        None if word.is_empty() || has(&["BLOB"]) => "NULL",
        None if has(&["REAL", "FLOA", "DOUB"]) => "REAL",
        None => "NUMERIC",
    };
    with(name, &numbers(arguments))
}

fn postgres(declared: &str) -> String {
    let element = declared.trim_end_matches("[]");
    if element.len() < declared.len() {
        return "ARRAY".to_owned();
    }
    let (before, arguments, behind) = match (element.find('('), element.find(')')) {
        (Some(begin), Some(end)) if begin < end => {
            (&element[..begin], &element[begin..end], &element[end + 1..])
        }
        _ => (element, "", ""),
    };
    let word = format!("{before}{behind}");
    if word.starts_with("interval") {
        return "INTERVAL".to_owned();
    }
    let named = POSTGRES.iter().find(|(name, _)| *name == word);
    let name = match named {
        Some((_, name)) => (*name).to_owned(),
        None if SAME.contains(&word.as_str()) => word.to_uppercase(),
        None => return "NULL".to_owned(),
    };
    with(&name, &numbers(arguments))
}

fn numbers(arguments: &str) -> Vec<&str> {
    let parts = arguments.split(|c: char| !c.is_ascii_digit());
    parts.filter(|part| !part.is_empty()).collect()
}

fn with(name: &str, numbers: &[&str]) -> String {
    match numbers {
        [length] if LONG.contains(&name) || EXACT.contains(&name) => format!("{name}({length})"),
        [digits, scale] if EXACT.contains(&name) => format!("{name}({digits}, {scale})"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_called_as_sqlalchemy_calls_them() {
        let name = |declared: &str, driver| Types::known(driver).name(declared);
        for (declared, expected) in [
            ("integer", "INTEGER"),
            ("INT(11)", "INTEGER"),
            ("UNSIGNED BIG INT", "INTEGER"),
            ("NVARCHAR(160)", "NVARCHAR(160)"),
            ("character varying(70)", "TEXT(70)"),
            ("decimal(10,2)", "DECIMAL(10, 2)"),
            ("NUMERIC(5)", "NUMERIC(5)"),
            ("double precision", "REAL"),
            ("Bool", "BOOLEAN"),
            ("money", "NUMERIC"),
            ("BLOB(3)", "BLOB"),
            ("", "NULL"),
            ("<any>", "NULL"),
        ] {
            assert_eq!(name(declared, Driver::Sqlite), expected, "{declared}");
        }
        for (declared, expected) in [
            ("integer", "INTEGER"),
            ("character varying(20)", "VARCHAR(20)"),
            ("character varying", "VARCHAR"),
            ("character(3)", "CHAR(3)"),
            ("numeric(10,2)", "NUMERIC(10, 2)"),
            ("double precision", "DOUBLE PRECISION"),
            ("timestamp(3) without time zone", "TIMESTAMP"),
            ("time with time zone", "TIME"),
            ("interval day to second(3)", "INTERVAL"),
            ("text[]", "ARRAY"),
            ("bit(3)", "BIT"),
            ("box", "NULL"),
        ] {
            assert_eq!(name(declared, Driver::Postgres), expected, "{declared}");
        }
        assert_eq!(
            name("STRUCT(a INTEGER)", Driver::Duckdb),
            "STRUCT(a INTEGER)"
        );
    }
}
