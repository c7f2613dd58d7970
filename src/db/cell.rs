//! One value of a result, whatever the engine, and its JSON form, in which values cross from a worker process.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::StrDeserializer;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// One value. As JSON: null, true, a number (with a point where it is real), a text and a list stand for themselves; the
/// others are an object of one field: `{"decimal":"1.50"}`, `{"real":"NaN"}` (what JSON has no number for),
/// `{"blob":"base64"}`, `{"date":"2024-02-29"}` (any [`Kind`]), `{"struct":[["name",value]]}`.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Boolean(bool),
    Integer(i64),
    /// Exact digits: DECIMAL and NUMERIC with all digits of their scale, integers beyond `i64`.
    Decimal(String),
    Real(f64),
    /// Also what has no type of its own here: an ENUM, a UUID, bits, JSON.
    Text(String),
    /// Also text that is not UTF-8, which a damaged file may hold.
    Blob(Vec<u8>),
    /// In the engine's own text.
    Moment {
        kind: Kind,
        text: String,
    },
    /// A list or an array; a MAP is a list of structs of `key` and `value`.
    List(Vec<Cell>),
    /// Named fields in their order; a UNION is the one field that it holds.
    Struct(Vec<(String, Cell)>),
}

/// What a moment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
}

impl Cell {
    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> usize {
        let held = match self {
            Cell::Null | Cell::Boolean(_) | Cell::Integer(_) | Cell::Real(_) => 0,
            Cell::Decimal(text) | Cell::Text(text) | Cell::Moment { text, .. } => text.len(),
            Cell::Blob(bytes) => bytes.len(),
            Cell::List(cells) => cells.iter().map(Cell::bytes).sum(),
            Cell::Struct(fields) => fields
                .iter()
                .map(|(name, cell)| size_of::<String>() + name.len() + cell.bytes())
                .sum(),
        };
        size_of::<Self>() + held
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Null => serializer.serialize_unit(),
            Cell::Boolean(boolean) => serializer.serialize_bool(*boolean),
            Cell::Integer(integer) => serializer.serialize_i64(*integer),
            Cell::Real(real) if real.is_finite() => serializer.serialize_f64(*real),
            Cell::Real(real) => tagged(serializer, "real", &real.to_string()),
            Cell::Text(text) => serializer.serialize_str(text),
            Cell::List(cells) => cells.serialize(serializer),
            Cell::Decimal(digits) => tagged(serializer, "decimal", digits),
            Cell::Blob(bytes) => tagged(serializer, "blob", &STANDARD.encode(bytes)),
            Cell::Moment { kind, text } => tagged(serializer, kind, text),
            Cell::Struct(fields) => tagged(serializer, "struct", fields),
        }
    }
}

fn tagged<S: Serializer>(
    serializer: S,
    tag: impl Serialize,
    value: &(impl Serialize + ?Sized),
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(&tag, value)?;
    map.end()
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value of a result")
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Cell, E> {
        Ok(Cell::Boolean(boolean))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Cell, E> {
        Ok(Cell::Integer(integer))
    }

    fn visit_u64<E: de::Error>(self, integer: u64) -> Result<Cell, E> {
        i64::try_from(integer)
            .map(Cell::Integer)
            .map_err(|_| E::custom("an integer beyond 64 bits is a decimal"))
    }

    fn visit_f64<E>(self, real: f64) -> Result<Cell, E> {
        Ok(Cell::Real(real))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Cell, E> {
        Ok(Cell::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Cell, A::Error> {
        let mut cells = Vec::new();
        while let Some(cell) = items.next_element()? {
            cells.push(cell);
        }
        Ok(Cell::List(cells))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        let tag: Option<String> = map.next_key()?;
        let tag = tag.ok_or_else(|| de::Error::custom("an empty object"))?;
        let cell = match tag.as_str() {
            "decimal" => Cell::Decimal(map.next_value()?),
            "real" => {
                let text: String = map.next_value()?;
                Cell::Real(text.parse().map_err(de::Error::custom)?)
            }
            "blob" => {
                let text: String = map.next_value()?;
                Cell::Blob(STANDARD.decode(text).map_err(de::Error::custom)?)
            }
            "struct" => Cell::Struct(map.next_value()?),
            kind => Cell::Moment {
                kind: Kind::deserialize(StrDeserializer::<A::Error>::new(kind))?,
                text: map.next_value()?,
            },
        };
        match map.next_key::<de::IgnoredAny>()? {
            None => Ok(cell),
            Some(_) => Err(de::Error::custom("more than one field")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_crosses_as_json_and_comes_back() {
        let moment = |kind, text: &str| Cell::Moment {
            kind,
            text: text.to_owned(),
        };
        let text = |text: &str| Cell::Text(text.to_owned());
        for (cell, json) in [
            (Cell::Null, "null"),
            (Cell::Boolean(true), "true"),
            (Cell::Integer(i64::MIN), "-9223372036854775808"),
            (Cell::Integer(1), "1"),
            (Cell::Real(1.0), "1.0"),
            (Cell::Real(-0.0), "-0.0"),
            (Cell::Real(0.1 + 0.2), "0.30000000000000004"),
            (
                Cell::Real(f64::MIN_POSITIVE / 2.0),
                "1.1125369292536007e-308",
            ),
            (Cell::Real(f64::INFINITY), r#"{"real":"inf"}"#),
            (Cell::Real(f64::NEG_INFINITY), r#"{"real":"-inf"}"#),
            (
                Cell::Decimal("170141183460469231731687303715884105727".to_owned()),
                r#"{"decimal":"170141183460469231731687303715884105727"}"#,
            ),
            (text("a\0\"ü"), r#""a\u0000\"ü""#),
            (Cell::Blob(vec![0, 255]), r#"{"blob":"AP8="}"#),
            (moment(Kind::Date, "infinity"), r#"{"date":"infinity"}"#),
            (moment(Kind::TimestampTz, "x"), r#"{"timestamptz":"x"}"#),
            (
                Cell::List(vec![Cell::Null, Cell::List(vec![])]),
                "[null,[]]",
            ),
            (
                Cell::Struct(vec![
                    ("a".to_owned(), Cell::Integer(1)),
                    ("a".to_owned(), text("x")),
                ]),
                r#"{"struct":[["a",1],["a","x"]]}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&cell).unwrap(), json);
            let back: Cell = serde_json::from_str(json).unwrap();
            assert_eq!(back, cell);
            if let (Cell::Real(a), Cell::Real(b)) = (&back, &cell) {
                assert_eq!(a.to_bits(), b.to_bits());
            }
        }
        let nan = serde_json::to_string(&Cell::Real(f64::NAN)).unwrap();
        assert_eq!(nan, r#"{"real":"NaN"}"#);
        let back: Cell = serde_json::from_str(&nan).unwrap();
        assert!(matches!(back, Cell::Real(real) if real.is_nan()));
    }

    #[test]
    fn what_is_no_value_is_an_error() {
        for json in [
            "18446744073709551615",
            "{}",
            r#"{"decimal":1}"#,
            r#"{"blob":"*"}"#,
            r#"{"real":"x"}"#,
            r#"{"colour":"red"}"#,
            r#"{"date":"x","time":"y"}"#,
        ] {
            assert!(serde_json::from_str::<Cell>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn memory_counts_what_is_held() {
        let cell = size_of::<Cell>();
        assert_eq!(Cell::Null.bytes(), cell);
        let text = Cell::Text("abc".to_owned());
        assert_eq!(text.bytes(), cell + 3);
        let list = Cell::List(vec![text.clone(), Cell::Null]);
        assert_eq!(list.bytes(), 3 * cell + 3);
        let fields = Cell::Struct(vec![("ab".to_owned(), text)]);
        assert_eq!(fields.bytes(), 2 * cell + 3 + 2 + size_of::<String>());
    }
}
