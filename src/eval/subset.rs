//! The rows of a set that have certain fields, and what a scoring found of those.

use super::score::ScoredRow;
use crate::data::jsonl;
use anyhow::{Result, bail, ensure};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// Fields and the texts that they must have.
pub type Only = BTreeMap<String, String>;

/// Whether a row has every field as it must be.
pub fn has(only: &Only, row: &Map<String, Value>) -> bool {
    let is = |(field, text): (&String, &String)| {
        row.get(field).and_then(Value::as_str) == Some(text.as_str())
    };
    only.iter().all(is)
}

/// The scored rows whose row of `set`, the one of the same id, or in the same place where it has none, is as `only` wants.
///
/// Errors where a scored row is none of the set's, or none is left.
pub fn of(rows: Vec<ScoredRow>, set: &Path, only: &Only) -> Result<Vec<ScoredRow>> {
    if only.is_empty() {
        return Ok(rows);
    }
    let (mut by_id, mut by_place) = (BTreeMap::new(), Vec::new());
    jsonl::for_each(set, |_, line| {
        // A row that cannot be read was not scored either.
        let Ok(line) = line else {
            by_place.push(false);
            return Ok(());
        };
        let kept = has(only, line.fields());
        by_place.push(kept);
        by_id.extend(line.id().map(|id| (id, kept)));
        Ok(())
    })?;
    let mut left = Vec::new();
    for row in rows {
        let kept = match &row.id {
            Some(id) => by_id.get(id),
            None => by_place.get(row.index),
        };
        match (kept, &row.id) {
            (Some(true), _) => left.push(row),
            (Some(false), _) => {}
            (None, Some(id)) => bail!("{}: no row has the id {id:?}", set.display()),
            (None, None) => bail!("{}: there is no row {}", set.display(), row.index + 1),
        }
    }
    ensure!(
        !left.is_empty(),
        "{}: no row is as `where` wants",
        set.display()
    );
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::row;

    #[test]
    fn rows_are_found_by_id_or_by_place() {
        let folder = tempfile::tempdir().unwrap();
        let set = folder.path().join("set.jsonl");
        let text = "{\"id\":\"x\",\"kind\":\"a\"}\n{\"id\":7,\"kind\":\"b\"}\n{\"id\":\"z\",\"kind\":\"a\"}\n";
        std::fs::write(&set, text).unwrap();
        let kind = |kind: &str| Only::from([("kind".to_owned(), kind.to_owned())]);
        let scored = || vec![row("z", true), row("7", false), row("x", false)];
        let ids = |rows: Vec<ScoredRow>| -> Vec<_> {
            rows.into_iter().filter_map(|row| row.id).collect()
        };
        assert_eq!(ids(of(scored(), &set, &kind("a")).unwrap()), ["z", "x"]);
        assert_eq!(ids(of(scored(), &set, &kind("b")).unwrap()), ["7"]);
        assert_eq!(of(scored(), &set, &Only::new()).unwrap().len(), 3);
        let mut unnamed = row("x", true);
        (unnamed.id, unnamed.index) = (None, 1);
        let placed = of(vec![unnamed.clone()], &set, &kind("b")).unwrap();
        assert_eq!(placed.len(), 1);
        let error = |rows, only: Only| of(rows, &set, &only).unwrap_err().to_string();
        assert!(error(scored(), kind("c")).contains("no row is as `where` wants"));
        assert!(error(vec![row("w", true)], kind("a")).contains("no row has the id \"w\""));
        unnamed.index = 3;
        assert!(error(vec![unnamed], kind("a")).contains("there is no row 4"));
    }
}
