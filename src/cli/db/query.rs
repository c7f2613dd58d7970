//! `factory db query`

use super::connection::{ConnectionsArgs, door};
use crate::cli::{UsageError, note, plain, say};
use crate::data::convert::parquet;
use crate::data::jsonl::Line;
use crate::db::answer::{Answer, Bounds, Cut};
use crate::db::door::Limits;
use crate::run::files::write_atomic;
use crate::run::words::{bytes, size};
use anyhow::{Context, Result, anyhow};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::{Value, json};
use std::io::Write;
use std::io::{Read, stdin};
use std::path::PathBuf;
use std::time::Duration;

/// What a query returns. It only reads; what is cut is said on stderr.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Connection, database file or URL.
    name: String,
    /// The query; - reads it from stdin.
    #[arg(allow_hyphen_values = true)]
    sql: String,
    /// Form.
    #[arg(long, value_enum, default_value_t = Form::Table)]
    format: Form,
    /// Write to this file [default: stdout].
    #[arg(long, value_name = "FILE", required_if_eq("format", "parquet"))]
    out: Option<PathBuf>,
    /// Say how the engine would run the query, and do not run it.
    #[arg(long)]
    explain: bool,
    /// Most rows.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    max_rows: usize,
    /// Most memory of the rows.
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = bytes)]
    max_bytes: usize,
    /// Seconds that it may take.
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    timeout: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Table,
    Csv,
    /// One object: columns with types, rows, whether they were cut.
    Json,
    /// Needs --out.
    Parquet,
}

pub fn run(args: &Args, connections: &ConnectionsArgs) -> Result<()> {
    let timeout = Duration::try_from_secs_f64(args.timeout).ok();
    let timeout = timeout.filter(|timeout| !timeout.is_zero() && timeout.as_secs() <= 86_400);
    let Some(timeout) = timeout else {
        let message = format!("--timeout {}: give seconds, a day at most", args.timeout);
        return Err(UsageError(message).into());
    };
    let connection = connections.read()?.get(&args.name)?;
    let limits = Limits {
        timeout,
        bounds: Bounds {
            rows: args.max_rows,
            bytes: args.max_bytes,
        },
    };
    let mut sql = args.sql.clone();
    if sql == "-" {
        sql.clear();
        stdin().read_to_string(&mut sql).context("stdin")?;
    }
    let door = door(limits)?;
    let answer = match args.explain {
        true => door.explain(&connection, &sql)?,
        false => door.run(&connection, &sql)?,
    };
    let content = content(args.format, &answer)?;
    match &args.out {
        Some(out) => write_atomic(out, &content)?,
        None => std::io::stdout().write_all(&content)?,
    }
    if let Some(cut) = answer.cut {
        let rows = answer.rows.len();
        note(match cut {
            Cut::Rows => format!("cut: {rows} rows, there are more (--max-rows)"),
            Cut::Bytes => format!(
                "cut: {rows} rows, more would take over {} (--max-bytes)",
                size(args.max_bytes)
            ),
        });
    }
    match &args.out {
        Some(out) => say(format_args!("rows: {}", plain(&out.display().to_string()))),
        None => Ok(()),
    }
}

fn content(form: Form, answer: &Answer) -> Result<Vec<u8>> {
    match form {
        Form::Table => Ok(table(answer).into_bytes()),
        Form::Csv => csv(answer),
        Form::Json => {
            let rows: Vec<Vec<Value>> = answer
                .rows
                .iter()
                .map(|row| row.iter().map(|cell| cell.plain()).collect())
                .collect();
            let whole =
                json!({"columns": answer.columns, "rows": rows, "truncated": answer.cut.is_some()});
            Ok(format!("{whole}\n").into_bytes())
        }
        Form::Parquet => {
            let rows = answer.named().map_err(|name| {
                anyhow!("two columns are called {name:?}, which a Parquet file cannot have: name one with AS")
            })?;
            let rows = rows.into_iter().enumerate();
            let rows: Vec<Line> = rows.map(|(at, row)| Line::new(at + 1, row)).collect();
            parquet(&rows)
        }
    }
}

fn table(answer: &Answer) -> String {
    let mut shown = comfy_table::Table::new();
    shown.load_style(UTF8_FULL_CONDENSED);
    shown.set_header(answer.columns.iter().map(|column| plain(&column.name)));
    for row in &answer.rows {
        let cells = row.iter().map(|cell| cell.text());
        shown.add_row(cells.map(|text| text.map_or("NULL".to_owned(), |text| plain(&text))));
    }
    format!("{shown}\n")
}

fn csv(answer: &Answer) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(answer.columns.iter().map(|column| &column.name))?;
    for row in &answer.rows {
        writer.write_record(row.iter().map(|cell| cell.text().unwrap_or_default()))?;
    }
    Ok(writer.into_inner()?)
}
