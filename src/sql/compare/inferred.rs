//! A column as pandas has it that was written to CSV and read again with `pandas.read_csv` as it is: its kind is inferred
//! from the texts of all its cells.

use crate::sql::python;
use crate::sql::value::Value;
use std::borrow::Cow;

/// Texts that mean that there is no value (pandas' documentation of `na_values`).
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];
const TRUE: [&str; 3] = ["True", "TRUE", "true"];
const FALSE: [&str; 3] = ["False", "FALSE", "false"];
/// Texts of an infinity, without its sign, in lowercase.
const INFINITE: [&str; 2] = ["inf", "infinity"];

/// One cell of an inferred column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    /// No value, which the comparison takes for the number 0.
    Missing,
    Integer(i128),
    Real(f64),
    Boolean(bool),
    Text(Cow<'a, str>),
}

impl Cell<'_> {
    /// What it is as a number; a boolean is 0 or 1.
    pub fn number(&self) -> Option<f64> {
        match self {
            Cell::Missing => Some(0.0),
            Cell::Integer(integer) => Some(*integer as f64),
            Cell::Real(real) => Some(*real),
            Cell::Boolean(boolean) => Some((*boolean).into()),
            Cell::Text(_) => None,
        }
    }

    pub fn is_number(&self) -> bool {
        self.number().is_some()
    }

    /// Python's text of it.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Cell::Missing => "0".into(),
            Cell::Integer(integer) => integer.to_string().into(),
            Cell::Real(real) => python::real(*real).into(),
            Cell::Boolean(true) => "True".into(),
            Cell::Boolean(false) => "False".into(),
            Cell::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// Reads a column: integers, else numbers, else booleans, else texts. A column of integers with a gap is one of reals.
pub(super) fn read<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<Cell<'a>> {
    let texts: Vec<Option<Cow<str>>> = values.map(written).collect();
    let gaps = texts.iter().any(Option::is_none);
    let all = |read: &dyn Fn(&str) -> Option<Cell<'a>>| -> Option<Vec<Cell<'a>>> {
        let cell = |text: &Option<Cow<str>>| match text {
            Some(text) => read(text),
            None => Some(Cell::Missing),
        };
        texts.iter().map(cell).collect()
    };
    let found = match whole(texts.iter().flatten(), gaps) {
        // Where there is none at all, no cell is read.
        Whole::All if gaps => all(&|text| real(text).map(Cell::Real)),
        Whole::All => all(&|text| integer(text)?.map(Cell::Integer)),
        Whole::TooLarge => None,
        Whole::Not => all(&|text| real(text).map(Cell::Real))
            .or_else(|| all(&|text| boolean(text).map(Cell::Boolean))),
    };
    let as_text = |text: Option<Cow<'a, str>>| text.map_or(Cell::Missing, Cell::Text);
    found.unwrap_or_else(|| texts.into_iter().map(as_text).collect())
}

/// The text of a value in a CSV file; `None` where reading it gives no value. A blob is its bytes in hexadecimal, as no text is.
fn written(value: &Value) -> Option<Cow<'_, str>> {
    let text: Cow<str> = match value {
        Value::Null => return None,
        Value::Integer(integer) => integer.to_string().into(),
        Value::Real(real) => python::real(*real).into(),
        Value::Text(bytes) => String::from_utf8_lossy(bytes),
        Value::Blob(bytes) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            format!("x'{}'", digits.collect::<String>()).into()
        }
    };
    (!MISSING.contains(&&*text)).then_some(text)
}

/// Whether texts are integers.
enum Whole {
    All,
    Not,
    /// One is beyond 64 bits, or they need both signs and the 64th bit: then all stay texts.
    TooLarge,
}

fn whole<'a>(texts: impl Iterator<Item = &'a Cow<'a, str>>, gaps: bool) -> Whole {
    let (mut least, mut most) = (0, 0);
    for text in texts {
        match integer(text) {
            None => return Whole::Not,
            Some(None) => return Whole::TooLarge,
            Some(Some(integer)) => (least, most) = (integer.min(least), integer.max(most)),
        }
    }
    let unsigned = most > i64::MAX.into();
    let fits = least >= i64::MIN.into() && most <= u64::MAX.into();
    match fits && !(unsigned && (least < 0 || gaps)) {
        true => Whole::All,
        false => Whole::TooLarge,
    }
}

/// An integer with white space around it, or `Some(None)` where it has more digits than fit; `None` of another text.
fn integer(text: &str) -> Option<Option<i128>> {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is.then(|| text.parse().ok())
}

fn real(text: &str) -> Option<f64> {
    let text = text.trim_ascii();
    let real: f64 = text.parse().ok()?;
    let unsigned = text.trim_start_matches(['-', '+']).to_ascii_lowercase();
    (real.is_finite() || INFINITE.contains(&&*unsigned)).then_some(real)
}

fn boolean(text: &str) -> Option<bool> {
    let is = TRUE.contains(&text);
    (is || FALSE.contains(&text)).then_some(is)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Cell::{Boolean, Integer, Missing, Real, Text};

    fn of_texts<const N: usize>(texts: [&'static str; N]) -> Vec<Cell<'static>> {
        let values = texts.map(|text| Value::Text(text.as_bytes().to_vec()));
        let owned = |cell: Cell| match cell {
            Text(text) => Text(text.into_owned().into()),
            Missing => Missing,
            Integer(integer) => Integer(integer),
            Real(real) => Real(real),
            Boolean(boolean) => Boolean(boolean),
        };
        read(values.iter()).into_iter().map(owned).collect()
    }

    /// What `pandas.read_csv` makes of these columns (`scripts/check_spider2.py` compares many more).
    #[test]
    fn a_columns_kind_is_that_of_all_its_cells() {
        let text = |text: &'static str| Text(text.into());
        assert_eq!(of_texts(["007", " 5 "]), [Integer(7), Integer(5)]);
        assert_eq!(of_texts(["7", ""]), [Real(7.0), Missing]);
        assert_eq!(
            of_texts(["7", "1e3", ".5"]),
            [Real(7.0), Real(1000.0), Real(0.5)]
        );
        assert_eq!(of_texts(["7", "x", "NA"]), [text("7"), text("x"), Missing]);
        assert_eq!(of_texts(["True", "false"]), [Boolean(true), Boolean(false)]);
        assert_eq!(of_texts(["True", "None"]), [Boolean(true), Missing]);
        assert_eq!(of_texts(["True", "1"]), [text("True"), text("1")]);
        assert_eq!(of_texts(["", "null"]), [Missing, Missing]);
        assert_eq!(
            of_texts(["-inf", "1"]),
            [Real(f64::NEG_INFINITY), Real(1.0)]
        );
        assert_eq!(of_texts(["NAN", "1"]), [text("NAN"), text("1")]);
        let most = i128::from(u64::MAX);
        assert_eq!(of_texts(["18446744073709551615"]), [Integer(most)]);
        assert_eq!(
            of_texts(["18446744073709551615", "-1"]),
            [text("18446744073709551615"), text("-1")]
        );
        assert_eq!(
            of_texts(["18446744073709551616"]),
            [text("18446744073709551616")]
        );
    }

    #[test]
    fn values_are_written_as_pandas_writes_them() {
        let text = |value: &Value| written(value).map(Cow::into_owned);
        assert_eq!(text(&Value::Real(1e16)).as_deref(), Some("1e+16"));
        assert_eq!(text(&Value::Real(2.0)).as_deref(), Some("2.0"));
        assert_eq!(text(&Value::Blob(vec![0, 255])).as_deref(), Some("x'00ff'"));
        assert_eq!(text(&Value::Text(Vec::new())), None);
    }
}
