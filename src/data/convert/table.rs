//! Rows as the bytes of a file, in the form that its ending asks for.

use super::shred;
use crate::data::jsonl::{self, Form, Line, kind};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::Path;

/// The content of `out`.
///
/// Errors name the row and the field that the form has no place for.
pub fn to_bytes(out: &Path, rows: &[Line]) -> Result<Vec<u8>> {
    match Form::of(out) {
        Form::Lines => jsonl::to_bytes(rows),
        Form::Json => array(rows),
        Form::Csv => cells(rows, b','),
        Form::Tsv => cells(rows, b'\t'),
        Form::Parquet => shred::parquet(rows),
    }
}

/// An array, one row a line.
fn array(rows: &[Line]) -> Result<Vec<u8>> {
    let rows: Result<Vec<String>, _> = rows.iter().map(serde_json::to_string).collect();
    Ok(format!("[\n{}\n]\n", rows?.join(",\n")).into_bytes())
}

/// The names of all fields, in the order in which they come first.
pub fn names(rows: &[Line]) -> Vec<&String> {
    let mut names = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for name in rows.iter().flat_map(|row| row.fields().keys()) {
        if seen.insert(name) {
            names.push(name);
        }
    }
    names
}

fn cells(rows: &[Line], separator: u8) -> Result<Vec<u8>> {
    let header = names(rows);
    for name in &header {
        ensure!(
            name.trim() == *name,
            "field {name:?}: the header of CSV keeps no space around a name"
        );
    }
    let mut writer = csv::WriterBuilder::new()
        .delimiter(separator)
        .from_writer(Vec::new());
    writer.write_record(&header)?;
    for row in rows {
        let cells = header.iter().map(|name| match row.fields().get(*name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(_)) if *name == "id" => Ok(row.id().unwrap_or_default()),
            Some(other) => bail!(
                "row {}: field {name:?} is a {}, and CSV has text alone: write .parquet or .jsonl, or leave it out by --drop {name}",
                row.number,
                kind(other)
            ),
        });
        writer.write_record(cells.collect::<Result<Vec<_>>>()?)?;
    }
    writer.into_inner().context("CSV in memory")
}
