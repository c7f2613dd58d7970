//! Rows as Parquet: the type of each column is found in the rows, and their values are taken apart as Dremel does.

use super::table::names;
use crate::data::jsonl::{Line, kind};
use anyhow::{Context, Result, bail, ensure};
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};
use serde_json::Value;
use std::sync::Arc;

/// Rows of a row group.
const GROUP: usize = 10_000;
/// What the values of a column are.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// Nothing but null.
    Null,
    Bool,
    Int,
    Float,
    Text,
    List(Box<Kind>),
    Object(Vec<(String, Kind)>),
}

/// A Parquet file of the rows. Missing fields and null are the same in it.
pub fn parquet(rows: &[Line]) -> Result<Vec<u8>> {
    let mut columns = Vec::new();
    for name in names(rows) {
        let mut kind = Kind::Null;
        for row in rows {
            if let Some(value) = row.fields().get(name) {
                let raw = row.raw(name).unwrap_or_default();
                ensure!(
                    !(value.is_f64() && raw.parse::<f64>().is_ok_and(f64::is_infinite)),
                    "row {}: field {name:?} is a number beyond 64 bits",
                    row.number
                );
                let place = || format!("row {}: field {name:?}", row.number);
                kind = merge(kind, Kind::of(value).with_context(place)?).with_context(place)?;
            }
        }
        columns.push((name, kind));
    }
    let types = columns.iter().map(|(name, kind)| kind.parquet(name));
    let schema = Type::group_type_builder("rows").with_fields(types.collect::<Result<_>>()?);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let mut file = SerializedFileWriter::new(
        Vec::new(),
        Arc::new(schema.build()?),
        Arc::new(properties.build()),
    )?;
    for rows in rows.chunks(GROUP) {
        let mut group = file.next_row_group()?;
        for (name, kind) in &columns {
            let mut column = Column::new(kind);
            for row in rows {
                let value = row.fields().get(*name).unwrap_or(&Value::Null);
                let place = || format!("row {}: field {name:?}", row.number);
                // A template may show the tools' members, null or not.
                let objects = usize::from(*name == "tools");
                let at = At {
                    objects,
                    ..At::default()
                };
                column.push(value, at).with_context(place)?;
            }
            column.write(&mut group)?;
        }
        group.close()?;
    }
    Ok(file.into_inner()?)
}

impl Kind {
    fn of(value: &Value) -> Result<Self> {
        Ok(match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_i64() => Self::Int,
            Value::Number(number) if number.is_f64() => Self::Float,
            Value::Number(_) => bail!("a number beyond 64 bits"),
            Value::String(_) => Self::Text,
            Value::Array(items) => {
                let mut kind = Self::Null;
                for item in items {
                    kind = merge(kind, Self::of(item)?)?;
                }
                Self::List(Box::new(kind))
            }
            Value::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), Self::of(value)?)));
                Self::Object(members.collect::<Result<_>>()?)
            }
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Int | Self::Float => "a number",
            Self::Text => "text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// The type of a column that may be null.
    fn parquet(&self, name: &str) -> Result<TypePtr> {
        let of = |physical| {
            Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL)
        };
        let built = match self {
            Self::Bool => of(Physical::BOOLEAN).build()?,
            Self::Int => of(Physical::INT64).build()?,
            Self::Float => of(Physical::DOUBLE).build()?,
            Self::Null | Self::Text => of(Physical::BYTE_ARRAY)
                .with_converted_type(ConvertedType::UTF8)
                .with_logical_type(Some(LogicalType::String))
                .build()?,
            Self::List(element) => {
                let list = Type::group_type_builder("list")
                    .with_repetition(Repetition::REPEATED)
                    .with_fields(vec![element.parquet("element")?]);
                Type::group_type_builder(name)
                    .with_repetition(Repetition::OPTIONAL)
                    .with_converted_type(ConvertedType::LIST)
                    .with_logical_type(Some(LogicalType::List))
                    .with_fields(vec![Arc::new(list.build()?)])
                    .build()?
            }
            Self::Object(members) => {
                ensure!(
                    !members.is_empty(),
                    "field {name:?}: an object without members has no place in Parquet"
                );
                let members = members.iter().map(|(name, kind)| kind.parquet(name));
                Type::group_type_builder(name)
                    .with_repetition(Repetition::OPTIONAL)
                    .with_fields(members.collect::<Result<_>>()?)
                    .build()?
            }
        };
        Ok(Arc::new(built))
    }
}

/// What holds the values of both.
fn merge(a: Kind, b: Kind) -> Result<Kind> {
    Ok(match (a, b) {
        (Kind::Null, other) | (other, Kind::Null) => other,
        (Kind::Int, Kind::Float) | (Kind::Float, Kind::Int) => Kind::Float,
        (Kind::List(a), Kind::List(b)) => Kind::List(Box::new(merge(*a, *b)?)),
        (Kind::Object(mut a), Kind::Object(b)) => {
            for (name, kind) in b {
                match a.iter_mut().find(|(known, _)| *known == name) {
                    None => a.push((name, kind)),
                    Some((_, known)) => {
                        let before = std::mem::replace(known, Kind::Null);
                        *known = merge(before, kind).with_context(|| format!("{name:?}"))?;
                    }
                }
            }
            Kind::Object(a)
        }
        (a, b) if a == b => a,
        (a, b) => bail!(
            "is {} here and {} elsewhere, and a column of Parquet has one type: write .jsonl, or leave it out by --drop",
            b.name(),
            a.name()
        ),
    })
}

/// The values of a column and, of each, how much of its path is there (definition) and which list it goes on (repetition).
enum Column {
    Leaf(Leaf),
    List(Box<Column>),
    Object(Vec<(String, Column)>),
}

struct Leaf {
    values: Values,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

enum Values {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Text(Vec<ByteArray>),
}

impl Column {
    fn new(kind: &Kind) -> Self {
        let leaf = |values| {
            Self::Leaf(Leaf {
                values,
                definitions: Vec::new(),
                repetitions: Vec::new(),
            })
        };
        match kind {
            Kind::Bool => leaf(Values::Bool(Vec::new())),
            Kind::Int => leaf(Values::Int(Vec::new())),
            Kind::Float => leaf(Values::Float(Vec::new())),
            Kind::Null | Kind::Text => leaf(Values::Text(Vec::new())),
            Kind::List(element) => Self::List(Box::new(Self::new(element))),
            Kind::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, kind)| (name.clone(), Self::new(kind)));
                Self::Object(members.collect())
            }
        }
    }

    /// Appends a value.
    fn push(&mut self, value: &Value, at: At) -> Result<()> {
        if value.is_null() {
            self.none(at);
            return Ok(());
        }
        let inner = At {
            definition: at.definition + 1,
            ..at
        };
        match (self, value) {
            (Self::Leaf(leaf), value) => {
                leaf.values.push(value)?;
                leaf.levels(inner);
            }
            (Self::List(element), Value::Array(items)) if items.is_empty() => element.none(inner),
            (Self::List(element), Value::Array(items)) => {
                let mut item_at = At {
                    definition: inner.definition + 1,
                    lists: at.lists + 1,
                    ..at
                };
                for item in items {
                    element.push(item, item_at)?;
                    item_at.repetition = item_at.lists;
                }
            }
            (Self::Object(columns), Value::Object(members)) => {
                let inner = At {
                    objects: at.objects + 1,
                    ..inner
                };
                for (name, column) in columns {
                    match members.get(name) {
                        Some(member) => column.push(member, inner)?,
                        None if at.objects == 0 => column.none(inner),
                        None => bail!(
                            "an object in it has no {name:?}, which others have: it would come back as null; write .jsonl"
                        ),
                    }
                }
            }
            (_, other) => bail!("is no {}", kind(other)),
        }
        Ok(())
    }

    /// Appends that nothing is there.
    fn none(&mut self, at: At) {
        match self {
            Self::Leaf(leaf) => leaf.levels(at),
            Self::List(element) => element.none(at),
            Self::Object(columns) => columns.iter_mut().for_each(|(_, column)| column.none(at)),
        }
    }

    fn write(&self, group: &mut SerializedRowGroupWriter<Vec<u8>>) -> Result<()> {
        let leaf = match self {
            Self::Leaf(leaf) => leaf,
            Self::List(element) => return element.write(group),
            Self::Object(columns) => {
                return columns
                    .iter()
                    .try_for_each(|(_, column)| column.write(group));
            }
        };
        let mut column = group.next_column()?.context("a column of the schema")?;
        let levels = (Some(&leaf.definitions[..]), Some(&leaf.repetitions[..]));
        match &leaf.values {
            Values::Bool(all) => column
                .typed::<BoolType>()
                .write_batch(all, levels.0, levels.1)?,
            Values::Int(all) => column
                .typed::<Int64Type>()
                .write_batch(all, levels.0, levels.1)?,
            Values::Float(all) => column
                .typed::<DoubleType>()
                .write_batch(all, levels.0, levels.1)?,
            Values::Text(all) => column
                .typed::<ByteArrayType>()
                .write_batch(all, levels.0, levels.1)?,
        };
        Ok(column.close()?)
    }
}

/// Where a value stands.
#[derive(Clone, Copy, Default)]
struct At {
    /// The level of the list that goes on with it; 0 begins a row.
    repetition: i16,
    /// How much of its path is there.
    definition: i16,
    /// Lists around it.
    lists: i16,
    /// Objects around it. Those that are the columns' own may lack members, as messages do, for there null means the same;
    /// deeper ones may not.
    objects: usize,
}

impl Leaf {
    fn levels(&mut self, at: At) {
        self.definitions.push(at.definition);
        self.repetitions.push(at.repetition);
    }
}

impl Values {
    fn push(&mut self, value: &Value) -> Result<()> {
        match (self, value) {
            (Self::Bool(all), Value::Bool(value)) => all.push(*value),
            (Self::Text(all), Value::String(text)) => all.push(text.as_str().into()),
            (Self::Int(all), Value::Number(number)) => {
                all.push(number.as_i64().context("no integer")?)
            }
            (Self::Float(all), Value::Number(number)) => {
                let float = number.as_f64().context("no number")?;
                let exact = number.as_i64().is_none_or(|whole| float as i64 == whole);
                ensure!(
                    exact,
                    "is {number} beside numbers with a fraction, among which it would be rounded"
                );
                all.push(float);
            }
            (_, other) => bail!("is no {}", kind(other)),
        }
        Ok(())
    }
}
