//! Result rows as SQLite's text, and their comparison as bags.

use rusqlite::types::ValueRef;

/// One value as SQLite's text of it, in bytes because text may be invalid UTF-8. `None` is NULL, which is not `''`.
pub type Cell = Option<Vec<u8>>;

/// One result row.
pub type Row = Vec<Cell>;

/// Whether both results hold the same rows equally often, in any order.
pub fn same_rows(left: &[Row], right: &[Row]) -> bool {
    let sorted = |rows| {
        let mut rows: Vec<&Row> = Vec::from_iter(rows);
        rows.sort_unstable();
        rows
    };
    left.len() == right.len() && sorted(left) == sorted(right)
}

/// SQLite's text of a value.
pub fn text_of(value: ValueRef) -> Cell {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(integer) => Some(integer.to_string().into_bytes()),
        ValueRef::Real(real) => Some(text_of_real(real).into_bytes()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
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

    fn row(cells: &[ValueRef]) -> Row {
        cells.iter().map(|cell| text_of(*cell)).collect()
    }

    #[test]
    fn order_is_ignored_but_duplicates_count() {
        let [a, b] = [1, 2].map(|n| row(&[ValueRef::Integer(n)]));
        assert!(same_rows(
            &[a.clone(), b.clone(), a.clone()],
            &[b.clone(), a.clone(), a.clone()]
        ));
        assert!(!same_rows(
            &[a.clone(), a.clone(), b.clone()],
            &[a, b.clone(), b]
        ));
    }

    #[test]
    fn null_differs_from_empty_text_and_from_no_row() {
        let (null, empty) = (row(&[ValueRef::Null]), row(&[ValueRef::Text(b"")]));
        assert!(!same_rows(std::slice::from_ref(&null), &[empty]));
        assert!(!same_rows(&[null], &[]));
        assert!(same_rows(&[], &[]));
    }

    #[test]
    fn column_order_and_count_matter() {
        let (one, two) = (ValueRef::Integer(1), ValueRef::Integer(2));
        assert!(!same_rows(&[row(&[one, two])], &[row(&[two, one])]));
        assert!(!same_rows(&[row(&[one])], &[row(&[one, one])]));
    }

    #[test]
    fn cells_compare_as_text() {
        let same = |a, b| text_of(a) == text_of(b);
        assert!(same(ValueRef::Integer(1), ValueRef::Text(b"1")));
        assert!(!same(ValueRef::Integer(1), ValueRef::Real(1.0)));
        assert!(same(ValueRef::Real(0.1 + 0.2), ValueRef::Real(0.3)));
        assert!(same(ValueRef::Blob(b"\xff"), ValueRef::Text(b"\xff")));
    }

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
