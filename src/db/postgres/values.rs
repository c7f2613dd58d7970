//! The values of a row, from the text that the server writes of them.

use super::literal::{self, Part};
use crate::db::cell::{Cell, Kind};
use crate::db::room::{Room, Unread};
use std::collections::BTreeMap;
use tokio_postgres::types::{Kind as Shape, Type};

/// Types in types that are read.
const DEEPEST: usize = 32;

/// How a value of a type is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    Boolean,
    Integer,
    /// Of four bytes or of eight.
    Single,
    Double,
    Decimal,
    Bytes,
    Moment(Kind),
    /// Whatever is no more than its text.
    Text,
    List {
        of: Box<Form>,
        delimiter: u8,
    },
    Struct(Vec<(String, Form)>),
}

impl Form {
    /// How values of a type are read; nothing if it holds types in types too deep. `delimiters` has what stands between the
    /// values of an array, by the numbers of their types, where it is no comma.
    pub fn new(kind: &Type, delimiters: &BTreeMap<u32, u8>) -> Option<Self> {
        Self::at(kind, delimiters, DEEPEST)
    }

    fn at(kind: &Type, delimiters: &BTreeMap<u32, u8>, deeper: usize) -> Option<Self> {
        let deeper = deeper.checked_sub(1)?;
        Some(match *kind {
            Type::BOOL => Self::Boolean,
            Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => Self::Integer,
            Type::FLOAT4 => Self::Single,
            Type::FLOAT8 => Self::Double,
            Type::NUMERIC => Self::Decimal,
            Type::BYTEA => Self::Bytes,
            Type::DATE => Self::Moment(Kind::Date),
            Type::TIME => Self::Moment(Kind::Time),
            Type::TIMETZ => Self::Moment(Kind::TimeTz),
            Type::TIMESTAMP => Self::Moment(Kind::Timestamp),
            Type::TIMESTAMPTZ => Self::Moment(Kind::TimestampTz),
            Type::INTERVAL => Self::Moment(Kind::Interval),
            // Arrays that are written as no arrays are.
            Type::INT2_VECTOR | Type::OID_VECTOR => Self::Text,
            _ => match kind.kind() {
                Shape::Array(of) => Self::List {
                    of: Box::new(Self::at(of, delimiters, deeper)?),
                    delimiter: delimiters.get(&of.oid()).copied().unwrap_or(b','),
                },
                Shape::Composite(fields) => {
                    let field = |field: &tokio_postgres::types::Field| {
                        let form = Self::at(field.type_(), delimiters, deeper)?;
                        Some((field.name().to_owned(), form))
                    };
                    Self::Struct(fields.iter().map(field).collect::<Option<_>>()?)
                }
                Shape::Domain(of) => Self::at(of, delimiters, deeper)?,
                _ => Self::Text,
            },
        })
    }

    /// The value that a text stands for, if there is room for it.
    pub fn cell(&self, text: Option<&str>, room: &mut Room) -> Result<Cell, Unread> {
        room.take(size_of::<Cell>())?;
        let Some(text) = text else {
            return Ok(Cell::Null);
        };
        let mut held = || room.take(text.len()).map(|()| text.to_owned());
        Ok(match self {
            Self::Boolean => match text {
                "t" => Cell::Boolean(true),
                "f" => Cell::Boolean(false),
                _ => return Err(Unread::Strange),
            },
            Self::Integer => Cell::Integer(text.parse().map_err(|_| Unread::Strange)?),
            Self::Single => {
                let single: f32 = text.parse().map_err(|_| Unread::Strange)?;
                Cell::Real(single.into())
            }
            Self::Double => Cell::Real(text.parse().map_err(|_| Unread::Strange)?),
            Self::Decimal => match text {
                "NaN" | "Infinity" | "-Infinity" => {
                    Cell::Real(text.parse().map_err(|_| Unread::Strange)?)
                }
                _ => Cell::Decimal(held()?),
            },
            Self::Bytes => {
                let digits = text.strip_prefix("\\x").ok_or(Unread::Strange)?;
                room.take(digits.len() / 2)?;
                Cell::Blob(literal::bytes(digits).ok_or(Unread::Strange)?)
            }
            Self::Moment(kind) => Cell::Moment {
                kind: *kind,
                text: held()?,
            },
            Self::Text => Cell::Text(held()?),
            Self::List { of, delimiter } => {
                let mut parts = literal::array(text, *delimiter).ok_or(Unread::Strange)?;
                let list = list(&mut parts, of, room)?;
                match parts.next() {
                    None => list,
                    Some(_) => return Err(Unread::Strange),
                }
            }
            Self::Struct(fields) => structure(text, fields, room)?,
        })
    }
}

/// The values up to the end of an array, whose beginning was taken.
fn list(
    parts: &mut impl Iterator<Item = Part>,
    of: &Form,
    room: &mut Room,
) -> Result<Cell, Unread> {
    let mut cells = Vec::new();
    loop {
        cells.push(match parts.next() {
            Some(Part::End) => return Ok(Cell::List(cells)),
            // The server writes six dimensions at most, and the parser takes no more.
            Some(Part::Begin) => {
                room.take(size_of::<Cell>())?;
                list(parts, of, room)?
            }
            Some(Part::Value(text)) => of.cell(text.as_deref(), room)?,
            Some(Part::Strange) | None => return Err(Unread::Strange),
        });
    }
}

fn structure(text: &str, fields: &[(String, Form)], room: &mut Room) -> Result<Cell, Unread> {
    let values = literal::record(text, fields.len()).ok_or(Unread::Strange)?;
    let mut cells = Vec::new();
    for ((name, form), text) in fields.iter().zip(values) {
        room.take(size_of::<String>() + name.len())?;
        cells.push((name.clone(), form.cell(text.as_deref(), room)?));
    }
    Ok(Cell::Struct(cells))
}
