//! Values of every engine as the scorer compares them: what SQLite has five kinds of.

use super::cell::Cell;
use crate::sql::value::Value;

/// Most significant digits that a double holds, whatever they are.
const DIGITS: usize = 15;

/// A value for comparison. A boolean is 0 or 1. A decimal is a number as far as a double holds its digits, else the text of them, without
/// zeros behind its point. What is no number, and what SQLite has no kind for (a time, a list, a struct), is its text.
pub fn value(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Boolean(boolean) => Value::Integer(boolean.into()),
        Cell::Integer(integer) => Value::Integer(integer),
        Cell::Real(real) if real.is_nan() => Value::Text(b"NaN".to_vec()),
        Cell::Real(real) => Value::Real(real),
        Cell::Decimal(digits) => decimal(&digits),
        Cell::Text(text) => Value::Text(text.into_bytes()),
        Cell::Blob(bytes) => Value::Blob(bytes),
        Cell::Moment { .. } | Cell::List(_) | Cell::Struct(_) => {
            Value::Text(cell.text().unwrap_or_default().into_bytes())
        }
    }
}

fn decimal(digits: &str) -> Value {
    let short = match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    };
    let text = || Value::Text(short.as_bytes().to_vec());
    if !short.contains('.') {
        return short.parse().map_or_else(|_| text(), Value::Integer);
    }
    let significant = short.trim_start_matches(['-', '0', '.']);
    match significant.bytes().filter(u8::is_ascii_digit).count() <= DIGITS {
        true => short.parse().map_or_else(|_| text(), Value::Real),
        false => text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_numbers_as_far_as_a_double_holds_them() {
        for (digits, expected) in [
            ("2", Value::Integer(2)),
            ("2.00", Value::Integer(2)),
            ("-0.50", Value::Real(-0.5)),
            ("1234567890.12345", Value::Real(1234567890.12345)),
            ("0.000000000000001234", Value::Real(1.234e-15)),
            ("100", Value::Integer(100)),
            (
                "12345678901234567890",
                Value::Text(b"12345678901234567890".to_vec()),
            ),
            (
                "1234567890.1234567890",
                Value::Text(b"1234567890.123456789".to_vec()),
            ),
            ("NaN", Value::Text(b"NaN".to_vec())),
        ] {
            assert_eq!(decimal(digits), expected, "{digits}");
        }
    }
}
