//! Tables with their columns and relations, each on a line.

use super::python;
use super::types::Types;
use crate::db::declared::{Declaration, Declared, Generated};
use crate::db::registry::Driver;
use crate::db::schema::ForeignKey;
use crate::sql::tokens::{Kind, Token, tokens};
use anyhow::{Result, bail};
use serde_json::json;

/// Schemas whose tables need not be named with them.
const UNNAMED: [&str; 2] = ["main", "public"];

/// The tables of these names, one below the other; of a server those of `schema`, or with an empty one those that need none before them. Errors
/// name one that is not there.
pub fn text(
    all: &[Declared],
    names: &[String],
    schema: &str,
    driver: Driver,
    types: &Types,
) -> Result<String> {
    let unnamed = |of: &str| match schema {
        "" => UNNAMED.contains(&of),
        schema => schema == of,
    };
    let mut written = Vec::new();
    for name in names {
        let own = |one: &&Declared| unnamed(&one.table.schema) && one.table.name == *name;
        // SQLite takes names in any case, and the name is shown as it was given.
        let any =
            |one: &&Declared| driver == Driver::Sqlite && one.table.name.eq_ignore_ascii_case(name);
        match all.iter().find(own).or_else(|| all.iter().find(any)) {
            Some(declared) => written.push(table(declared, name, driver, types)),
            None => bail!("no table is called {name:?}: all_table_names lists them"),
        }
    }
    Ok(written.join("\n"))
}

fn table(declared: &Declared, name: &str, driver: Driver, types: &Types) -> String {
    let table = &declared.table;
    let mut lines = vec![format!("{name}:")];
    for (column, declaration) in table.columns.iter().zip(&declared.columns) {
        let place = table.primary_key.iter().position(|key| *key == column.name);
        let mut parts = Vec::new();
        if place.is_some() {
            parts.push("primary key".to_owned());
        }
        parts.push(types.name(&column.declared));
        parts.extend(facts(declaration, place, driver));
        lines.push(format!("    {}: {}", column.name, parts.join(", ")));
    }
    let keys = keys(declared, driver);
    if !keys.is_empty() {
        lines.extend([String::new(), "    Relationships:".to_owned()]);
        lines.extend(keys.iter().map(|key| {
            let (own, other) = (key.columns.join(", "), key.referenced.join(", "));
            format!("      {own} -> {}.{other}", key.table)
        }));
    }
    lines.join("\n")
}

/// What stands behind a column's type, in the order of SQLAlchemy's own fields for the engine.
fn facts(declaration: &Declaration, place: Option<usize>, driver: Driver) -> Vec<String> {
    let mut facts = Vec::new();
    if declaration.nullable {
        facts.push("nullable".to_owned());
    }
    let value = declaration
        .default
        .as_deref()
        .filter(|text| !text.is_empty());
    let computed = declaration.generated.map(|generated| {
        let persisted = generated == Generated::Stored;
        json!({"sqltext": value.unwrap_or_default(), "persisted": persisted})
    });
    let default = value.filter(|_| computed.is_none());
    facts.extend(default.map(|default| format!("default={default}")));
    match driver {
        Driver::Sqlite => facts.extend(place.map(|place| format!("primary_key={}", place + 1))),
        _ => {
            let counts = default.is_some_and(|default| default.contains("nextval('"));
            if counts || declaration.identity.is_some() {
                facts.push("autoincrement".to_owned());
            }
        }
    }
    facts.extend(computed.map(|value| format!("computed={}", python::json(&value))));
    let identity = declaration.identity.as_ref();
    facts.extend(identity.map(|value| format!("identity={}", python::json(value))));
    facts
}

/// The relations in SQLAlchemy's order. Of SQLite it tells first those that the statement declares beside the columns and with all names,
/// then the others from the last to the first.
fn keys(declared: &Declared, driver: Driver) -> Vec<&ForeignKey> {
    let mut rest: Vec<&ForeignKey> = declared.table.foreign_keys.iter().collect();
    if driver != Driver::Sqlite {
        return rest;
    }
    rest.reverse();
    let mut keys = Vec::new();
    for [own, table, other] in clauses(declared.statement.as_deref().unwrap_or_default()) {
        let is = |key: &&ForeignKey| {
            key.columns == own && [key.table.as_str()] == table[..] && key.referenced == other
        };
        if let Some(at) = rest.iter().position(is) {
            keys.push(rest.remove(at));
        }
    }
    keys.extend(rest);
    keys
}

/// Of each FOREIGN KEY (a, b) REFERENCES t (c, d) of a statement the names: a and b, t, c and d.
fn clauses(statement: &str) -> Vec<[Vec<String>; 3]> {
    let tokens = tokens(statement);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let rest = &tokens[at..];
        if !(rest[0].is("foreign") && rest.get(1).is_some_and(|token| token.is("key"))) {
            continue;
        }
        let Some((own, rest)) = names(&rest[2..]) else {
            continue;
        };
        let [references, table, rest @ ..] = rest else {
            continue;
        };
        let Some((other, _)) = names(rest).filter(|_| references.is("references")) else {
            continue;
        };
        found.push([own, vec![bare(table)], other]);
    }
    found
}

/// The names in parentheses, and what follows.
fn names<'t, 's>(tokens: &'t [Token<'s>]) -> Option<(Vec<String>, &'t [Token<'s>])> {
    let (first, rest) = tokens.split_first()?;
    let end = rest.iter().position(|token| token.is(")"))?;
    let names = rest[..end].iter().filter(|token| !token.is(","));
    first
        .is("(")
        .then(|| (names.map(bare).collect(), &rest[end + 1..]))
}

fn bare(token: &Token) -> String {
    let inside = match token.kind {
        Kind::Quoted | Kind::Text => token.text.get(1..token.text.len() - 1),
        _ => None,
    };
    inside.unwrap_or(token.text).replace("\"\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::engine::Engine;
    use crate::db::sqlite::engine::Sqlite;

    #[test]
    fn tables_are_written_as_mcp_alchemy_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.sql");
        let script = "CREATE TABLE Buyers (id INTEGER PRIMARY KEY, name NVARCHAR(40) NOT NULL DEFAULT 'x');
            CREATE TABLE sales (buyer INTEGER REFERENCES Buyers(id), day DATE, price DECIMAL(10,2) DEFAULT 0,
                friend INT REFERENCES Buyers, \"the other\" INT, twice INT AS (friend * 2) STORED,
                PRIMARY KEY (day, buyer), FOREIGN KEY (\"the other\") REFERENCES \"Buyers\" (id));";
        std::fs::write(&file, script).unwrap();
        let all = Sqlite::open(&file).unwrap().declared().unwrap();
        let names = ["buyers", "sales"].map(str::to_owned);
        let types = Types::known(Driver::Sqlite);
        assert_eq!(
            text(&all, &names, "", Driver::Sqlite, &types).unwrap(),
            "buyers:
    id: primary key, INTEGER, nullable, primary_key=1
    name: NVARCHAR(40), default='x'
sales:
    buyer: primary key, INTEGER, nullable, primary_key=2
    day: primary key, DATE, nullable, primary_key=1
    price: DECIMAL(10, 2), nullable, default=0
    friend: INTEGER, nullable
    the other: INTEGER, nullable
    twice: INTEGER, nullable, computed={'sqltext': '', 'persisted': True}

    Relationships:
      the other -> Buyers.id
      friend -> Buyers.id
      buyer -> Buyers.id"
        );
        let nothing = ["nothing".to_owned()];
        let error = text(&all, &nothing, "", Driver::Sqlite, &types).unwrap_err();
        assert!(error.to_string().contains("\"nothing\""), "{error}");
    }
}
