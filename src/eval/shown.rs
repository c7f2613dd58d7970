//! A result as a scored row shows it. However much a query returns, a row shows little of it, and so does a run of all its rows.

use crate::sql::value::{Row, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most rows of a result that are shown.
const ROWS: usize = 20;
/// Most cells of a row.
const CELLS: usize = 50;
/// Most characters of a cell.
const CHARS: usize = 200;
/// Most bytes of a result.
const BYTES: usize = 16 << 10;
/// Most bytes of all results of a run.
const RUN_BYTES: usize = 64 << 20;

/// Most bytes of each result where `rows` rows are scored, each with two: fewer where there are more than 2,048 rows. It
/// depends on nothing but their number, so that what a row shows is the same whichever row is scored first.
pub fn most_bytes(rows: usize) -> usize {
    BYTES.min(RUN_BYTES / (2 * rows.max(1)))
}

/// Rows of cells as text, null for NULL. Held as the JSON that they become: lists of lists of strings take ten times the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(Box<str>);

/// Rows of cells.
type Cells = Vec<Vec<Option<String>>>;

impl Shown {
    /// The first rows of a result in at most `most` bytes, and whether these were too few.
    pub fn of(rows: &[Row], most: usize) -> (Self, bool) {
        let mut text = String::from("[");
        // Brackets are kept room for.
        let most = most.max(4) - 2;
        let mut cut = false;
        'rows: for row in rows.iter().take(ROWS) {
            let before = text.len();
            text += if before > 1 { ",[" } else { "[" };
            let start = text.len();
            for value in row.iter().take(CELLS) {
                let comma = if text.len() > start { "," } else { "" };
                let cell = cell(value);
                if text.len() + comma.len() + cell.len() > most {
                    cut = true;
                    match text.len() > start {
                        true => text.push(']'),
                        false => text.truncate(before),
                    }
                    break 'rows;
                }
                text += comma;
                text += &cell;
            }
            text.push(']');
        }
        text.push(']');
        (Self(text.into()), cut)
    }

    /// As they are shown.
    pub fn rows(&self) -> Cells {
        // It was written here.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

/// A cell as JSON.
fn cell(value: &Value) -> String {
    let Some(bytes) = value.text() else {
        return "null".to_owned();
    };
    let text = String::from_utf8_lossy(&bytes);
    let text = match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    };
    serde_json::Value::String(text).to_string()
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rows().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rows = Cells::deserialize(deserializer)?;
        let text = serde_json::to_string(&rows).map_err(serde::de::Error::custom)?;
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: usize, cells: usize, text: &str) -> Vec<Row> {
        vec![vec![Value::Text(text.as_bytes().to_vec()); cells]; rows]
    }

    #[test]
    fn rows_cells_and_characters_are_capped() {
        let (shown, cut) = Shown::of(&table(30, 1, &"é".repeat(300)), usize::MAX);
        let rows = shown.rows();
        assert_eq!((rows.len(), cut), (ROWS, false));
        assert_eq!(rows[0][0], Some(format!("{}…", "é".repeat(CHARS))));
        assert_eq!(
            Shown::of(&table(1, 90, "x"), usize::MAX).0.rows()[0].len(),
            CELLS
        );
    }

    #[test]
    fn bytes_are_bounded_and_it_is_said() {
        for text in ["x", "\u{1f600}\u{1f600}", "\"\\\n\u{1}"] {
            let rows = table(20, 50, text);
            for most in [0, 3, 4, 20, 100, 1_000] {
                let (shown, cut) = Shown::of(&rows, most);
                assert!(shown.0.len() <= most.max(2), "{most}: {}", shown.0);
                assert!(cut);
                let again: Cells = serde_json::from_str(&shown.0).unwrap();
                assert!(again.iter().all(|row| !row.is_empty()));
            }
        }
        let (shown, cut) = Shown::of(&[vec![Value::Null, Value::Integer(1)], vec![]], 16);
        assert_eq!((&*shown.0, cut), (r#"[[null,"1"],[]]"#, false));
        let json = serde_json::to_string(&shown).unwrap();
        assert_eq!(json, &*shown.0);
        assert_eq!(serde_json::from_str::<Shown>(&json).unwrap(), shown);
        assert_eq!(Shown::of(&[], 100).0.0.as_ref(), "[]");
    }

    #[test]
    fn a_run_of_many_rows_shows_less_of_each() {
        assert_eq!(most_bytes(0), BYTES);
        assert_eq!(most_bytes(400), BYTES);
        for rows in [2_049, 10_000, 1_000_000, 100_000_000] {
            assert!(2 * rows * most_bytes(rows) <= RUN_BYTES, "{rows}");
        }
    }
}
