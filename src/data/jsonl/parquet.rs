//! Parquet: rows with columns of any depth.

use super::source::Source;
use super::{Each, Line};
use anyhow::{Context, Result, anyhow, bail, ensure};
use parquet::basic::Compression;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Number, Value};
use std::any::Any;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Hands on the rows; the number of each is its place in the file, from 1. Returns the file's SHA-256.
pub fn each(path: &Path, each: Each) -> Result<String> {
    let sha256 = Source::open(path)?.sha256()?;
    let damaged = |what: String| {
        anyhow!(
            "{} cannot be read as Parquet: {what}; is it cut short or damaged?",
            path.display()
        )
    };
    // Its reader gives up on some damaged files by a panic.
    let caught = |panic: Box<dyn Any + Send>| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        damaged(
            said.or(panic.downcast_ref::<&str>().copied())
                .unwrap_or("damaged")
                .to_owned(),
        )
    };
    let opened = catch_unwind(|| SerializedFileReader::new(File::open(path)?));
    let reader = opened
        .map_err(caught)?
        .map_err(|error| damaged(error.to_string()))?;
    for column in reader
        .metadata()
        .row_groups()
        .iter()
        .flat_map(|group| group.columns())
    {
        let compression = column.compression();
        let named = compression.to_string();
        ensure!(
            matches!(
                compression,
                Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_)
            ),
            "{}: column {} is compressed by {}: write it with snappy or zstd (pyarrow: write_table(TABLE, OUT, compression=\"zstd\"))",
            path.display(),
            column.column_path(),
            named.split('(').next().unwrap_or(&named)
        );
    }
    let mut rows = catch_unwind(AssertUnwindSafe(|| reader.get_row_iter(None)))
        .map_err(caught)?
        .map_err(|error| damaged(error.to_string()))?;
    for number in 1.. {
        let row = catch_unwind(AssertUnwindSafe(|| rows.next())).map_err(caught)?;
        let Some(row) = row else { break };
        let row = row.map_err(|error| damaged(format!("row {number}: {error}")))?;
        let fields = members(row.into_columns());
        let fields = fields.with_context(|| format!("{}:{number}", path.display()));
        each(number, fields.map(|fields| Line::new(number, fields)))?;
    }
    Ok(sha256)
}

/// Named fields as JSON has them.
fn members(fields: impl IntoIterator<Item = (String, Field)>) -> Result<Map<String, Value>> {
    let mut map = Map::new();
    for (name, field) in fields {
        let value = value(field).map_err(|what| anyhow!("field {name:?} {what:#}"))?;
        if map.insert(name.clone(), value).is_some() {
            bail!("field {name:?} is there twice");
        }
    }
    Ok(map)
}

fn value(field: Field) -> Result<Value> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => value.into(),
        Field::Byte(value) => value.into(),
        Field::Short(value) => value.into(),
        Field::Int(value) => value.into(),
        Field::Long(value) => value.into(),
        Field::UByte(value) => value.into(),
        Field::UShort(value) => value.into(),
        Field::UInt(value) => value.into(),
        Field::ULong(value) => value.into(),
        // In its own digits, which are fewer than a double's.
        Field::Float16(value) => number(value.to_string().parse()?)?,
        Field::Float(value) => number(value.to_string().parse()?)?,
        Field::Double(value) => number(value)?,
        Field::Str(text) => text.into(),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => text.into(),
            Err(_) => bail!("holds bytes that are no text: leave it out"),
        },
        Field::Group(row) => members(row.into_columns())?.into(),
        Field::ListInternal(list) => {
            let items = list.elements().iter().cloned().map(value);
            items.collect::<Result<Vec<_>>>()?.into()
        }
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|(key, value)| match key {
                Field::Str(key) => Ok((key.clone(), value.clone())),
                other => Err(anyhow!("has the key {other}: only text is a key in JSON")),
            });
            members(entries.collect::<Result<Vec<_>>>()?)?.into()
        }
        date @ (Field::Decimal(_)
        | Field::Date(_)
        | Field::TimeMillis(_)
        | Field::TimeMicros(_)
        | Field::TimestampMillis(_)
        | Field::TimestampMicros(_)) => date.to_string().into(),
    })
}

fn number(value: f64) -> Result<Value> {
    let number = Number::from_f64(value);
    number
        .map(Value::Number)
        .with_context(|| format!("is {value}, which is no value of JSON: write null"))
}
