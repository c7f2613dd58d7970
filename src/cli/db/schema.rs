//! `factory db schema`

use super::connection::{ConnectionsArgs, door};
use crate::cli::{UsageError, plain, say};
use crate::db::connections::Connection;
use crate::db::door::{Door, Limits};
use crate::db::schema::Table;
use crate::sql::identifier::quoted;
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The tables and views of a database with their columns and keys.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Connection, database file or URL.
    name: String,
    /// Form.
    #[arg(long, value_enum, default_value_t = Form::Ddl)]
    format: Form,
    /// This table alone (repeatable) [default: all].
    #[arg(long = "table", value_name = "NAME")]
    tables: Vec<String>,
    /// Count the rows of each table.
    #[arg(long)]
    rows: bool,
    /// Show so many different values of each column.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=20))]
    samples: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// CREATE TABLE statements.
    Ddl,
    /// name(column, column), a line each, as adapters are shown tables.
    List,
    /// JSON, one object.
    Json,
}

pub fn run(args: &Args, connections: &ConnectionsArgs) -> Result<()> {
    let connection = connections.read()?.get(&args.name)?;
    let door = door(Limits::default())?;
    let tables = chosen(door.schema(&connection)?, &args.tables)?;
    let mut told = Vec::new();
    for table in &tables {
        // A view on what is gone is no reason to be silent about the others.
        let more = match more(args, &door, &connection, table) {
            Ok(more) => more,
            Err(error) => vec![("error", plain(&format!("{error:#}")).into())],
        };
        match args.format {
            Form::Json => {
                let mut whole = serde_json::to_value(table)?;
                for (name, value) in more {
                    whole[name] = value;
                }
                told.push(whole);
            }
            form => {
                say(if form == Form::Ddl {
                    table.ddl()
                } else {
                    table.listed()
                })?;
                for (name, value) in more {
                    say(format_args!("-- {name}: {value}"))?;
                }
            }
        }
    }
    match args.format {
        Form::Json => say(json!({"connection": connection.name, "tables": told})),
        _ => Ok(()),
    }
}

/// The tables of these names; all where there are none.
fn chosen(all: Vec<Table>, names: &[String]) -> Result<Vec<Table>> {
    if let Some(name) = names
        .iter()
        .find(|name| !all.iter().any(|table| table.is_called(name)))
    {
        return Err(UsageError(format!("--table {name}: there is no such table")).into());
    }
    let wanted = |table: &Table| names.is_empty() || names.iter().any(|name| table.is_called(name));
    Ok(all.into_iter().filter(wanted).collect())
}

/// What is not in the schema, and was asked for: the number of rows, values of columns.
fn more(
    args: &Args,
    door: &Door,
    connection: &Connection,
    table: &Table,
) -> Result<Vec<(&'static str, Value)>> {
    let from = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
    let ask = |sql: String| {
        let answer = door.run(connection, &sql);
        answer.with_context(|| format!("table {}", table.written()))
    };
    let mut more = Vec::new();
    if args.rows {
        let answer = ask(format!("SELECT count(*) FROM {from}"))?;
        let count = answer.rows.first().and_then(|row| row.first());
        more.push(("rows", count.map_or(Value::Null, |cell| cell.plain())));
    }
    if args.samples > 0 {
        let mut samples = serde_json::Map::new();
        for column in &table.columns {
            let name = quoted(&column.name);
            let most = args.samples;
            let sql = format!(
                "SELECT DISTINCT {name} FROM {from} WHERE {name} IS NOT NULL ORDER BY 1 LIMIT {most}"
            );
            let values = ask(sql)?.rows;
            let values = values.iter().flatten().map(|cell| cell.plain());
            samples.insert(column.name.clone(), values.collect());
        }
        more.push(("samples", samples.into()));
    }
    Ok(more)
}
