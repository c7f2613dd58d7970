//! The tables and columns that a row's query may use: of its database, or as its text has them.

use super::jsonl::Line;
use crate::db::home::Home;
use crate::db::registry::Driver;
use crate::db::sandbox::Sandbox;
use crate::db::{self, sqlite};
use crate::sql::tokens::{Kind, Token, iterate};
use anyhow::{Context, Result, bail, ensure};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::LazyLock;

pub use crate::db::sqlite::functions;
pub use crate::sql::spider::Table;

/// Fields that may hold a row's schema.
const FIELDS: [&str; 2] = ["schema", "context"];
/// Fields that may hold the name of its database.
const DATABASES: [&str; 2] = ["db", "db_id"];

/// Compiled from literals, which the tests use.
static CREATE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)\bcreate\s+(temp(orary)?\s+)?table\b").ok());
static MARK: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)\b(schema|tables)\s*:").ok());

/// Where schemas come from.
#[derive(Default)]
pub struct Schemas {
    /// The databases; without them the rows' texts are read.
    databases: Option<Databases>,
    known: Known,
}

/// The tables of the files that were read.
type Known = BTreeMap<PathBuf, Arc<Vec<Table>>>;

impl Schemas {
    /// Of the databases at `home`, or of texts.
    pub fn new(home: Option<Home>) -> Self {
        Self {
            databases: home.map(|home| Databases {
                is_one: home.folder().is_none(),
                sandbox: Sandbox::new(home, false),
            }),
            known: BTreeMap::new(),
        }
    }

    /// The schema of a row that asks for `prompt`: that of its database, else what a field has, else what the prompt has. `None` where
    /// none of them has one.
    ///
    /// Errors where a database cannot be read, or the prompt begins a schema that is none.
    pub fn of(&mut self, line: &Line, prompt: &str) -> Result<Option<Arc<Vec<Table>>>> {
        let text = |field: &&str| line.fields().get(*field).and_then(Value::as_str);
        if let Some(databases) = &mut self.databases {
            let db = DATABASES.iter().find_map(text);
            if let Some(db) = db.or(databases.is_one.then_some("")) {
                return databases.tables(db, &mut self.known).map(Some);
            }
        }
        for field in FIELDS.iter().filter_map(text) {
            let tables = of_field(field)?;
            if !tables.is_empty() {
                return Ok(Some(Arc::new(tables)));
            }
        }
        Ok(of_text(prompt)?.map(Arc::new))
    }
}

/// Databases whose tables are read.
struct Databases {
    sandbox: Sandbox,
    /// Whether rows need not name theirs.
    is_one: bool,
}

impl Databases {
    fn tables(&mut self, db: &str, known: &mut Known) -> Result<Arc<Vec<Table>>> {
        let file = self.sandbox.locate(db)?.into_iter().next();
        let file = file.context("a database that was found")?;
        if let Some(known) = known.get(&file) {
            return Ok(known.clone());
        }
        let tables = match self.sandbox.driver(&file) {
            Driver::Sqlite => sqlite::named(&file)?,
            _ => self
                .sandbox
                .tables(&file)?
                .iter()
                .map(db::schema::named)
                .collect(),
        };
        let tables = Arc::new(tables);
        known.insert(file, tables.clone());
        Ok(tables)
    }
}

/// The tables of a text that is nothing but a schema: of its `CREATE TABLE` statements, else of lists such as `towns(name, region)`; none
/// where it is neither.
pub fn of_field(text: &str) -> Result<Vec<Table>> {
    Ok(match created(text)? {
        tables if tables.is_empty() => listed(text).unwrap_or_default(),
        tables => tables,
    })
}

/// The schema that a text has: its `CREATE TABLE` statements, or behind `Schema:` or `Tables:` lists such as `towns(name, region)`.
pub fn of_text(text: &str) -> Result<Option<Vec<Table>>> {
    let tables = created(text)?;
    if !tables.is_empty() {
        return Ok(Some(tables));
    }
    let Some(mark) = MARK.as_ref().and_then(|mark| mark.find(text)) else {
        return Ok(None);
    };
    let tables = listed(&text[mark.end()..])?;
    ensure!(
        !tables.is_empty(),
        "no list of tables, such as towns(name, region), follows {:?}",
        mark.as_str()
    );
    Ok(Some(tables))
}

/// The last token of a text of SQL.
pub fn last_token(text: &str) -> Option<&str> {
    iterate(text).last().map(|token| token.text)
}

/// The tables of all `CREATE TABLE` statements of a text.
fn created(text: &str) -> Result<Vec<Table>> {
    let found = CREATE.iter().flat_map(|create| create.find_iter(text));
    found.map(|found| create(&text[found.end()..])).collect()
}

/// The table whose name and columns come first in `text`.
fn create(text: &str) -> Result<Table> {
    let mut tokens = iterate(text);
    let mut name = None;
    for token in tokens.by_ref() {
        match token.kind {
            Kind::Symbol if token.is("(") => {
                let name: String = name.context("CREATE TABLE without a name")?;
                let columns = columns(text, tokens)
                    .with_context(|| format!("CREATE TABLE {}", shown(&name)))?;
                return Ok(Table { name, columns });
            }
            Kind::Symbol if token.is(".") => {}
            Kind::Word | Kind::Quoted | Kind::Text => name = Some(plain(token.text)),
            _ => break,
        }
    }
    let name = name.unwrap_or_default();
    bail!("CREATE TABLE {}: no list of columns follows", shown(&name))
}

/// Lists such as `towns(name, region); lakes(name)` that a text begins with.
fn listed(text: &str) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    let mut rest = text;
    loop {
        let mut tokens = iterate(rest).peekable();
        while tokens.next_if(|t| t.is(";") || t.is(",")).is_some() {}
        let Some(name) = tokens.next() else { break };
        let named = matches!(name.kind, Kind::Word | Kind::Quoted);
        if !named || !tokens.next().is_some_and(|t| t.is("(")) {
            break;
        }
        let name = plain(name.text);
        let inner = iterate(rest).skip_while(|t| !t.is("(")).skip(1);
        let columns = columns(rest, inner).with_context(|| format!("table {}", shown(&name)))?;
        tables.push(Table { name, columns });
        rest = behind(rest);
    }
    Ok(tables)
}

/// What follows the brackets that come first.
fn behind(text: &str) -> &str {
    let mut depth = 0;
    for token in iterate(text) {
        depth += i32::from(token.is("(")) - i32::from(token.is(")"));
        if depth == 0 && token.is(")") {
            return &text[token.end()..];
        }
    }
    ""
}

/// The columns of a list of `text` whose tokens follow its bracket, up to the one that closes it.
fn columns<'a>(text: &str, tokens: impl Iterator<Item = Token<'a>>) -> Result<Vec<String>> {
    let (mut columns, mut part, mut depth) = (Vec::new(), Vec::new(), 0);
    for token in tokens {
        let end = depth == 0 && token.is(")");
        if end || depth == 0 && token.is(",") {
            columns.extend(column(text, &part)?);
            part.clear();
            if end {
                ensure!(!columns.is_empty(), "no columns");
                return Ok(columns);
            }
            continue;
        }
        depth += i32::from(token.is("(")) - i32::from(token.is(")"));
        part.push(token);
    }
    bail!("the list of columns is not closed")
}

/// The name of the column that a part of a list declares; `None` of a constraint.
fn column(text: &str, part: &[Token]) -> Result<Option<String>> {
    let first = part.first().context("an empty place among the columns")?;
    let second = |words: &[&str]| {
        part.get(1)
            .is_some_and(|token| words.iter().any(|word| token.is(word)))
    };
    let constraint = match first.text.to_ascii_lowercase().as_str() {
        "constraint" => part.len() > 1,
        "primary" | "foreign" => second(&["key"]),
        "unique" => second(&["(", "key", "index"]),
        "check" => second(&["("]),
        "key" | "index" => part.iter().skip(1).take(2).any(|token| token.is("(")),
        _ => false,
    };
    if constraint {
        return Ok(None);
    }
    Ok(Some(match first.kind {
        Kind::Quoted | Kind::Text => plain(first.text),
        // Names that a query has to quote are written as they are in some lists.
        _ => {
            let rest = &text[first.at..];
            let end = rest.find(|c: char| c.is_whitespace() || "(),;".contains(c));
            rest[..end.unwrap_or(rest.len())].to_owned()
        }
    }))
}

/// A name without its quotes.
fn plain(text: &str) -> String {
    let Some(quote) = text.chars().next().filter(|c| "\"'`[".contains(*c)) else {
        return text.to_owned();
    };
    let inner = text[1..].strip_suffix(if quote == '[' { ']' } else { quote });
    let inner = inner.unwrap_or(&text[1..]);
    match quote {
        '[' => inner.to_owned(),
        quote => inner.replace(&format!("{quote}{quote}"), &quote.to_string()),
    }
}

/// As errors show a name.
fn shown(name: &str) -> String {
    name.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> String {
        let tables = of_text(text).unwrap().unwrap_or_default();
        let one = |table: &Table| format!("{}({})", table.name, table.columns.join(","));
        tables.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn statements_and_lists_are_read() {
        for (text, expected) in [
            (
                "CREATE TABLE lakes (name VARCHAR, \"max depth\" REAL, size DECIMAL(10, 2), PRIMARY KEY (name))\n\nWhat's deep?",
                "lakes(name,max depth,size)",
            ),
            (
                "create table IF NOT EXISTS `a`.`b c`([x] INT, key TEXT, KEY k (x), CONSTRAINT c CHECK (x > 0)); CREATE TEMP TABLE d(2nd_leg INT)",
                "b c(x,key) d(2nd_leg)",
            ),
            (
                "One query. Schema: towns(name, region); lakes(name). Question: Is it near?",
                "towns(name,region) lakes(name)",
            ),
            (
                "Tables:\ntowns(name TEXT, \"of\" INT)\nlakes (a)\nQuestion: (none)",
                "towns(name,of) lakes(a)",
            ),
            ("How many towns (or lakes) are there?", ""),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_schema_is_named() {
        for (text, fault) in [
            (
                "CREATE TABLE a (b, c",
                "CREATE TABLE a: the list of columns is not closed",
            ),
            ("CREATE TABLE a AS SELECT 1", "no list of columns follows"),
            ("CREATE TABLE a (b,, c)", "an empty place among the columns"),
            ("Schema: none", "no list of tables"),
            ("Schema: a(b", "table a: the list of columns is not closed"),
        ] {
            let error = format!("{:#}", of_text(text).unwrap_err());
            assert!(error.contains(fault), "{error}");
        }
    }

    #[test]
    fn a_database_counts_more_than_a_field_and_a_field_more_than_the_prompt() {
        let folder = tempfile::tempdir().unwrap();
        let script = "CREATE TABLE a(b, c AS (b + 1)); CREATE VIEW v AS SELECT b AS d FROM a";
        std::fs::write(folder.path().join("x.sql"), script).unwrap();
        let line = |value: Value| Line::new(1, value.as_object().unwrap().clone());
        let row = line(json!({"db": "x", "schema": "CREATE TABLE e (f)"}));
        let tables = |schemas: &mut Schemas, row: &Line| {
            let tables = schemas.of(row, "Schema: g(h)").unwrap().unwrap();
            let one = |table: &Table| format!("{}({})", table.name, table.columns.join(","));
            tables.iter().map(one).collect::<Vec<_>>().join(" ")
        };
        let mut databases = Schemas::new(Some(Home::Folder(folder.path().to_owned())));
        assert_eq!(tables(&mut databases, &row), "a(b,c) v(d)");
        assert_eq!(tables(&mut Schemas::default(), &row), "e(f)");
        let other = line(json!({"schema": "public"}));
        assert_eq!(tables(&mut databases, &other), "g(h)");
        let gone = line(json!({"db": "gone"}));
        assert!(databases.of(&gone, "").is_err());
    }
}
