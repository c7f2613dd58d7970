//! In which form a file holds its rows, by its ending.

use std::path::Path;

/// The forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line: every ending but those of the others.
    Lines,
    /// An array of objects, or lines.
    Json,
    /// A header and cells of text.
    Csv,
    /// The same, with tabs between the cells.
    Tsv,
    Parquet,
}

impl Form {
    /// The form of the file at `path`.
    pub fn of(path: &Path) -> Self {
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending.map(str::to_ascii_lowercase).as_deref() {
            Some("json") => Self::Json,
            Some("csv") => Self::Csv,
            Some("tsv") => Self::Tsv,
            Some("parquet") => Self::Parquet,
            _ => Self::Lines,
        }
    }
}
