//! Values of a result, as SQLite has them, and SQLite's text of them.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Result, ToSql};
use std::borrow::Cow;

/// One value. Text is bytes because SQLite's may be invalid UTF-8.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

/// One result row.
pub type Row = Vec<Value>;

impl Value {
    /// SQLite's text of the value in bytes; `None` is NULL, which is not `''`.
    pub fn text(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Value::Null => None,
            Value::Integer(integer) => Some(integer.to_string().into_bytes().into()),
            Value::Real(real) => Some(text_of_real(*real).into_bytes().into()),
            Value::Text(bytes) | Value::Blob(bytes) => Some(bytes.into()),
        }
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> usize {
        let held = match self {
            Value::Text(bytes) | Value::Blob(bytes) => bytes.len(),
            _ => 0,
        };
        size_of::<Self>() + held
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(integer) => ValueRef::Integer(*integer),
            Value::Real(real) => ValueRef::Real(*real),
            Value::Text(text) => ValueRef::Text(text),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef) -> Self {
        match value {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(integer) => Value::Integer(integer),
            ValueRef::Real(real) => Value::Real(real),
            ValueRef::Text(bytes) => Value::Text(bytes.to_vec()),
            ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        }
    }
}

/// C's `%.15g` with a decimal point always there: SQLite's own form until 3.52, and fixed here because it changed since.
fn text_of_real(real: f64) -> String {
    if real.is_infinite() {
        return if real > 0.0 { "Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{:.14e}", real.abs());
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific; // NaN, which SQLite turns into NULL before anyone sees it.
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    let digits = digits.trim_end_matches('0');
    let sign = if real < 0.0 { "-" } else { "" };
    let (whole, fraction) = match exponent {
        0..15 => {
            let padded = format!("{digits:0<width$}", width = exponent as usize + 1);
            let (whole, fraction) = padded.split_at(exponent as usize + 1);
            (whole.to_owned(), fraction.to_owned())
        }
        -4..0 => {
            let zeros = "0".repeat(-exponent as usize - 1);
            ("0".to_owned(), zeros + digits)
        }
        _ => {
            let (whole, fraction) = digits.split_at(1);
            let fraction = if fraction.is_empty() { "0" } else { fraction };
            return format!("{sign}{whole}.{fraction}e{exponent:+03}");
        }
    };
    let fraction = if fraction.is_empty() { "0" } else { &fraction };
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reals_have_fifteen_digits_and_a_point() {
        for (real, text) in [
            (0.0, "0.0"),
            (-0.0, "0.0"),
            (3.0, "3.0"),
            (-80.5, "-80.5"),
            (1.0 / 3.0, "0.333333333333333"),
            (2.0 / 3.0 * 100.0, "66.6666666666667"),
            (0.0001, "0.0001"),
            (0.00001234, "1.234e-05"),
            (123456789012345.0, "123456789012345.0"),
            (1e14, "100000000000000.0"),
            (1e15, "1.0e+15"),
            (-2.5e300, "-2.5e+300"),
            (f64::INFINITY, "Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(text_of_real(real), text);
        }
    }
}
