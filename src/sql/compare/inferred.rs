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
    let texts: Vec<Cow<str>> = values.map(written).collect();
    let there = texts
        .iter()
        .map(|text| &**text)
        .filter(|text| !is_missing(text));
    let gaps = there.clone().count() < texts.len();
    let all = |read: &dyn Fn(&str) -> Option<Cell<'a>>| -> Option<Vec<Cell<'a>>> {
        let cell = |text: &Cow<str>| match is_missing(text) {
            true => Some(Cell::Missing),
            false => read(text),
        };
        texts.iter().map(cell).collect()
    };
    let reals = || all(&|text| real(text).map(Cell::Real));
    let found = match whole(there, gaps) {
        Whole::All if gaps => reals(),
        Whole::All => all(&|text| text.trim_ascii().parse().ok().map(Cell::Integer)),
        Whole::Not => reals().or_else(|| all(&|text| boolean(text).map(Cell::Boolean))),
        Whole::TooLarge => None,
        // What is no value elsewhere is a text here too.
        Whole::AtOdds => return texts.into_iter().map(Cell::Text).collect(),
    };
    let as_text = |text: Cow<'a, str>| match is_missing(&text) {
        true => Cell::Missing,
        false => Cell::Text(text),
    };
    found.unwrap_or_else(|| texts.into_iter().map(as_text).collect())
}

fn is_missing(text: &str) -> bool {
    MISSING.contains(&text)
}

/// The text of a value in a CSV file. A blob is its bytes in hexadecimal, as no text is.
fn written(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "".into(),
        Value::Integer(integer) => integer.to_string().into(),
        Value::Real(real) => python::real(*real).into(),
        Value::Text(bytes) => String::from_utf8_lossy(bytes),
        Value::Blob(bytes) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
            format!("x'{}'", digits.collect::<String>()).into()
        }
    }
}

/// Whether texts are integers.
enum Whole {
    All,
    Not,
    /// One is beyond 64 bits: then all stay texts.
    TooLarge,
    /// One needs the 64th bit, and there is a sign or a gap: then all stay texts, and gaps are texts too.
    AtOdds,
}

/// pandas tries signed integers first, and unsigned ones only where one of the former is too large; what it meets first decides.
fn whole<'a>(texts: impl Iterator<Item = &'a str> + Clone, gaps: bool) -> Whole {
    for start in texts.clone().map(start) {
        match start {
            start if !start.is_signed() => return unsigned(texts, gaps),
            start if !start.is_whole => return Whole::Not,
            _ => {}
        }
    }
    Whole::All
}

fn unsigned<'a>(texts: impl Iterator<Item = &'a str>, gaps: bool) -> Whole {
    let (mut below_zero, mut large) = (false, false);
    for start in texts.map(start) {
        match start {
            start if start.negative => below_zero = true,
            Start { size: None, .. } => return Whole::TooLarge,
            start if !start.is_whole => return Whole::Not,
            start => large |= !start.is_signed(),
        }
    }
    match (large, below_zero) {
        (true, true) => Whole::AtOdds,
        (true, false) if gaps => Whole::AtOdds,
        (true, false) => Whole::All,
        (false, _) => Whole::TooLarge,
    }
}

/// The integer that a text begins with.
struct Start {
    negative: bool,
    /// Without its sign; `None` beyond 64 bits.
    size: Option<u64>,
    /// Whether nothing but white space stands around it.
    is_whole: bool,
}

impl Start {
    fn is_signed(&self) -> bool {
        let most = i64::MAX.unsigned_abs() + u64::from(self.negative);
        self.size.is_some_and(|size| size <= most)
    }
}

fn start(text: &str) -> Start {
    let text = text.trim_ascii();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let rest = unsigned.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &unsigned[..unsigned.len() - rest.len()];
    let size = match digits.trim_start_matches('0') {
        "" => Some(0),
        digits => digits.parse().ok(),
    };
    Start {
        negative: text.starts_with('-'),
        size,
        is_whole: rest.is_empty() && !digits.is_empty(),
    }
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
        let large = "9223372036854775808";
        assert_eq!(of_texts([large, "NA"]), [text(large), text("NA")]);
        let beyond = "18446744073709551616";
        assert_eq!(of_texts([beyond, "NA"]), [text(beyond), Missing]);
        // Too large before its point is too large, unless the point comes first.
        let large = "18446744073709551616.0";
        assert_eq!(of_texts([large, "1"]), [text(large), text("1")]);
        assert_eq!(of_texts(["0.5", large]), [Real(0.5), Real(2f64.powi(64))]);
        assert_eq!(of_texts(["9223372036854775808.0"]), [Real(2f64.powi(63))]);
    }

    #[test]
    fn values_are_written_as_pandas_writes_them() {
        let blob = Value::Blob(vec![0, 255]);
        for (value, text) in [
            (Value::Real(1e16), "1e+16"),
            (Value::Real(2.0), "2.0"),
            (blob, "x'00ff'"),
            (Value::Null, ""),
        ] {
            assert_eq!(written(&value), text);
        }
    }
}
