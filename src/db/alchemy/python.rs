//! Values as Python prints those that its database drivers make of them.

use super::moments;
use crate::db::cell::Cell;
use serde_json::Value;

/// A value of a column of type `declared`, as `str` writes it; NULL as that word.
pub fn shown(cell: &Cell, declared: &str) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        // psycopg2 reads JSON.
        Cell::Text(text) if matches!(declared, "json" | "jsonb") => {
            match serde_json::from_str::<Value>(text) {
                Ok(Value::String(text)) => text,
                Ok(Value::Null) => "NULL".to_owned(),
                Ok(value) => json(&value),
                Err(_) => text.clone(),
            }
        }
        Cell::Text(text) => text.clone(),
        Cell::Moment { kind, text } => moments::shown(*kind, text),
        cell => literal(cell, declared),
    }
}

/// A value as `repr` writes it, which is how it stands in a list.
fn literal(cell: &Cell, declared: &str) -> String {
    match cell {
        Cell::Null => "None".to_owned(),
        Cell::Boolean(true) => "True".to_owned(),
        Cell::Boolean(false) => "False".to_owned(),
        Cell::Integer(integer) => integer.to_string(),
        Cell::Real(real) if declared.starts_with("numeric") => match real.is_nan() {
            true => "NaN".to_owned(),
            false => if *real > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        },
        // It was read from the digits that tell numbers of four bytes apart.
        Cell::Real(real) if declared == "real" => {
            let digits = (*real as f32).to_string();
            float(digits.parse().unwrap_or(*real))
        }
        Cell::Real(real) => float(*real),
        Cell::Decimal(digits) => decimal(digits),
        Cell::Text(text) | Cell::Moment { text, .. } => quoted(text),
        Cell::Blob(bytes) => blob(bytes),
        Cell::List(cells) => {
            let of = declared.trim_end_matches("[]");
            let cells: Vec<String> = cells
                .iter()
                .map(|cell| match cell {
                    Cell::Decimal(_) => format!("Decimal('{}')", literal(cell, of)),
                    cell => literal(cell, of),
                })
                .collect();
            format!("[{}]", cells.join(", "))
        }
        Cell::Struct(fields) => {
            let field =
                |(name, cell): &(String, Cell)| format!("{}: {}", quoted(name), literal(cell, ""));
            let fields: Vec<String> = fields.iter().map(field).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

/// JSON that was read, as `repr` writes it.
pub fn json(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(real) => float(real),
            None => number.to_string(),
        },
        Value::String(text) => quoted(text),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(json).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{}: {}", quoted(name), json(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

/// A float: its shortest digits, with an exponent below 1e-4 and from 1e16.
fn float(real: f64) -> String {
    if real.is_nan() {
        return "nan".to_owned();
    }
    if real.is_infinite() {
        return if real > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{real:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    match exponent {
        -4..=15 => {
            let plain = real.to_string();
            match plain.contains('.') {
                true => plain,
                false => format!("{plain}.0"),
            }
        }
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
    }
}

/// A Decimal of these digits: with an exponent where it has more than six zeros behind the point before its first digit.
fn decimal(digits: &str) -> String {
    let (sign, number) = match digits.strip_prefix('-') {
        Some(number) => ("-", number),
        None => ("", digits),
    };
    let Some((_, fraction)) = number.split_once('.') else {
        return digits.to_owned();
    };
    let significant = number.replace('.', "");
    let significant = match significant.trim_start_matches('0') {
        "" => "0",
        some => some,
    };
    let adjusted = significant.len() as i64 - 1 - fraction.len() as i64;
    if adjusted >= -6 {
        return digits.to_owned();
    }
    let (first, rest) = significant.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{rest}E{adjusted}")
}

/// A text in quotes: in single ones, unless it has such and no double ones.
fn quoted(text: &str) -> String {
    let quote = match text.contains('\'') && !text.contains('"') {
        true => '"',
        false => '\'',
    };
    let mut written = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '\\' => written.push_str("\\\\"),
            c if c == quote => written.extend(['\\', c]),
            c if c.is_control() => written.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => written.push(c),
        }
    }
    written.push(quote);
    written
}

fn blob(bytes: &[u8]) -> String {
    let quote = match bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        true => '"',
        false => '\'',
    };
    let mut written = format!("b{quote}");
    for &byte in bytes {
        match byte {
            b'\n' => written.push_str("\\n"),
            b'\r' => written.push_str("\\r"),
            b'\t' => written.push_str("\\t"),
            b'\\' => written.push_str("\\\\"),
            byte if char::from(byte) == quote => written.extend(['\\', quote]),
            b' '..=b'~' => written.push(byte.into()),
            byte => written.push_str(&format!("\\x{byte:02x}")),
        }
    }
    written.push(quote);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_python_writes_them() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let digits = |digits: &str| Cell::Decimal(digits.to_owned());
        for (cell, declared, expected) in [
            (Cell::Null, "", "NULL"),
            (Cell::Boolean(true), "boolean", "True"),
            (Cell::Integer(-7), "", "-7"),
            (Cell::Real(1.0), "", "1.0"),
            (Cell::Real(-0.0), "", "-0.0"),
            (Cell::Real(0.1), "", "0.1"),
            (Cell::Real(1e15), "", "1000000000000000.0"),
            (Cell::Real(1e16), "", "1e+16"),
            (Cell::Real(1.5e300), "", "1.5e+300"),
            (Cell::Real(0.0001), "", "0.0001"),
            (Cell::Real(0.00001), "", "1e-05"),
            (Cell::Real(f64::INFINITY), "", "inf"),
            (Cell::Real(f64::NAN), "double precision", "nan"),
            (Cell::Real(f64::NAN), "numeric", "NaN"),
            (Cell::Real(f64::from(0.1_f32)), "real", "0.1"),
            (digits("1.50"), "numeric(10,2)", "1.50"),
            (digits("0.000001"), "numeric", "0.000001"),
            (digits("-0.0000001"), "numeric", "-1E-7"),
            (digits("0.00000012"), "numeric", "1.2E-7"),
            (digits("0.0000000"), "numeric", "0E-7"),
            (text("it's"), "", "it's"),
            (
                Cell::Blob(b"a'\0\xff\\".to_vec()),
                "",
                "b\"a'\\x00\\xff\\\\\"",
            ),
            (
                text(r#"{"a": [1, 2.0, null, true, "it's"]}"#),
                "jsonb",
                r#"{'a': [1, 2.0, None, True, "it's"]}"#,
            ),
            (text(r#""plain""#), "json", "plain"),
            (
                Cell::List(vec![text("a\n'\""), Cell::Null, digits("1.5")]),
                "",
                "['a\\n\\'\"', None, Decimal('1.5')]",
            ),
        ] {
            assert_eq!(shown(&cell, declared), expected, "{cell:?}");
        }
    }
}
