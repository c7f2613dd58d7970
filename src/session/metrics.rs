//! A run's metrics as a table.

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;

/// The table's file.
pub const CSV: &str = "metrics.csv";

/// The metrics at `path` (JSONL) as CSV: a column for each number that any step has, in the order in which they first come.
pub fn csv(path: &Path) -> Result<Vec<u8>> {
    let name = || path.display().to_string();
    let text = fs::read_to_string(path).with_context(name)?;
    let lines: Result<Vec<Map<String, Value>>, _> =
        text.lines().map(serde_json::from_str).collect();
    let lines = lines.with_context(name)?;
    let mut columns: Vec<&str> = Vec::new();
    for column in lines.iter().flat_map(Map::keys) {
        if !columns.contains(&column.as_str()) {
            columns.push(column);
        }
    }
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(&columns)?;
    for line in &lines {
        let cell = |column: &&str| line.get(*column).map(Value::to_string).unwrap_or_default();
        table.write_record(columns.iter().map(cell))?;
    }
    table.into_inner().context("writing the table of metrics")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_only_some_steps_have_is_a_column_of_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(
            &path,
            "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"reward\":1.0,\"loss\":0.25}\n",
        )
        .unwrap();
        let table = String::from_utf8(csv(&path).unwrap()).unwrap();
        assert_eq!(table, "step,loss,reward\n1,0.5,\n2,0.25,1.0\n");
    }
}
