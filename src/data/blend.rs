//! One set of several: rows behind each other, each source as many times as it is to weigh.

use super::jsonl::{self, Line};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Most rows that a blend may have: they are in memory at once.
const MAX_ROWS: usize = 10_000_000;

/// Rows and how often each of them comes.
#[derive(Clone, Debug)]
pub struct Source {
    pub path: PathBuf,
    pub repeat: usize,
}

/// The rows of all sources, in their order; those of a source are repeated as a whole. A row stays as it was written.
///
/// Errors where a source has no rows or bad ones, or the blend would have too many.
pub fn blend(sources: &[Source]) -> Result<Vec<Line>> {
    let mut blend = Vec::new();
    for Source { path, repeat } in sources {
        let rows = jsonl::read(path)?;
        let all = rows.len().checked_mul(*repeat);
        all.and_then(|all| all.checked_add(blend.len()))
            .filter(|all| *all <= MAX_ROWS)
            .with_context(|| {
                format!(
                    "{}: {} rows {repeat} times make the blend longer than {MAX_ROWS} rows",
                    path.display(),
                    rows.len()
                )
            })?;
        for _ in 0..*repeat {
            blend.extend(rows.iter().cloned());
        }
    }
    Ok(blend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_repeated_in_their_order_and_rows_stay_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let source = |name: &str, text: &str, repeat| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Source { path, repeat }
        };
        let one = source("one.jsonl", "{\"prompt\":\"a\", \"n\":1.50}\n", 1);
        let two = source("two.jsonl", "{\"prompt\":\"b\"}\n{\"prompt\":\"c\"}\n", 2);
        let rows = blend(&[one.clone(), two]).unwrap();
        let text = String::from_utf8(jsonl::to_bytes(&rows).unwrap()).unwrap();
        assert_eq!(
            text,
            "{\"prompt\":\"a\",\"n\":1.50}\n{\"prompt\":\"b\"}\n{\"prompt\":\"c\"}\n{\"prompt\":\"b\"}\n{\"prompt\":\"c\"}\n"
        );

        let refused = |source| blend(&[one.clone(), source]).unwrap_err().to_string();
        assert!(refused(source("none.jsonl", "", 1)).contains("none.jsonl"));
        let endless = Source {
            repeat: usize::MAX,
            ..one.clone()
        };
        assert!(refused(endless).contains("make the blend longer than"));
    }
}
