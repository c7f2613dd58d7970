//! A part of a file's rows, for one of several machines, and the parts put together again.

use super::jsonl::{self, Line};
use anyhow::{Context, Result, ensure};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Most parts.
const MOST: usize = 100_000;
/// Fields that say which row it is, whatever became of it.
const OWN: [&str; 5] = ["id", "prompt", "question", "gold_sql", "db"];

/// The second of four parts is `2/4`. Parts are runs of neighbouring rows, as long as each other but for one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    part: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let parts = parts.and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((part, of)) if part >= 1 && part <= of && of <= MOST => Ok(Self { part, of }),
            _ => Err(format!("give I/N, the I-th of N parts (at most {MOST})")),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl Shard {
    /// The places of its rows among `rows`.
    pub fn range(self, rows: usize) -> Range<usize> {
        let begin = |part: usize| (part as u128 * rows as u128 / self.of as u128) as usize;
        begin(self.part - 1)..begin(self.part)
    }
}

/// The rows of all shards, in their order, as they were written. `asked` is the file that the shards are parts of.
///
/// Errors where they are not all of its rows, each once and in its place. Scored rows name their places, and rows that could not
/// be scored may lack.
pub fn merge(shards: &[PathBuf], asked: &Path) -> Result<Vec<Line>> {
    let asked_rows = jsonl::read(asked)?;
    let mut merged: Vec<Line> = Vec::new();
    let mut next = 0;
    let mut indexed = false;
    for path in shards {
        for line in jsonl::read(path)? {
            let number = line.number;
            let index = line.fields().get("index").filter(|_| scored(&line));
            indexed |= index.is_some();
            let at = index.map_or(Some(next), |index| index.as_u64()?.try_into().ok());
            let known = at
                .filter(|at| *at >= next)
                .and_then(|at| asked_rows.get(at));
            let known = known.with_context(|| {
                format!(
                    "{}:{number}: this row comes twice or too late, or {} does not have it: give each shard once, in their order",
                    path.display(),
                    asked.display()
                )
            })?;
            let differs = OWN.iter().find(|field| {
                let values = [line.fields().get(**field), known.fields().get(**field)];
                matches!(values, [Some(one), Some(other)] if one != other && !one.is_null())
            });
            if let Some(field) = differs {
                anyhow::bail!(
                    "{}:{number}: another {field} than {}:{}: give all shards, in their order",
                    path.display(),
                    asked.display(),
                    known.number
                );
            }
            next = at.unwrap_or(next) + 1;
            merged.push(line);
        }
    }
    ensure!(
        indexed || merged.len() == asked_rows.len(),
        "the shards have {} rows, {} has {}: give all of them",
        merged.len(),
        asked.display(),
        asked_rows.len()
    );
    Ok(merged)
}

/// Whether `eval-sql` wrote it.
fn scored(line: &Line) -> bool {
    line.fields().contains_key("scored_sql")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_part() {
        for (rows, of) in [(0, 3), (2, 3), (10, 3), (2000, 7), (5, 5)] {
            let parts = (1..=of).map(|part| Shard { part, of }.range(rows));
            let all: Vec<usize> = parts.clone().flatten().collect();
            assert_eq!(all, (0..rows).collect::<Vec<_>>());
            let lengths: Vec<usize> = parts.map(|part| part.len()).collect();
            let spread = lengths.iter().max().unwrap() - lengths.iter().min().unwrap();
            assert!(spread <= 1, "{lengths:?}");
        }
        assert_eq!("2/4".parse(), Ok(Shard { part: 2, of: 4 }));
        assert_eq!(Shard { part: 2, of: 4 }.to_string(), "2/4");
        for wrong in ["", "2", "0/4", "5/4", "-1/4", "1/0", "1/100001", "a/b"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn shards_are_merged_in_their_places_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, rows: &[&str]| {
            let path = folder.path().join(name);
            std::fs::write(&path, rows.join("\n")).unwrap();
            path
        };
        let asked = write(
            "asked.jsonl",
            &["{\"id\":\"a\"}", "{\"id\":\"b\"}", "{\"id\":\"c\"}"],
        );
        let first = write("1.jsonl", &["{\"id\":\"a\",\"predicted_sql\":\"1.50\"}"]);
        let second = write("2.jsonl", &["{\"id\":\"b\",\"n\":1.50}", "{\"id\":\"c\"}"]);
        let merged = |shards: &[&PathBuf]| {
            let shards: Vec<PathBuf> = shards.iter().map(|path| (*path).clone()).collect();
            merge(&shards, &asked)
        };
        let rows = merged(&[&first, &second]).unwrap();
        let text = String::from_utf8(jsonl::to_bytes(&rows).unwrap()).unwrap();
        assert_eq!(
            text,
            "{\"id\":\"a\",\"predicted_sql\":\"1.50\"}\n{\"id\":\"b\",\"n\":1.50}\n{\"id\":\"c\"}\n"
        );
        let fault = |shards: &[&PathBuf]| format!("{:#}", merged(shards).unwrap_err());
        assert!(fault(&[&second, &first]).contains("2.jsonl:1: another id than"));
        let missing = fault(&[&first]);
        assert!(missing.starts_with("the shards have 1 rows, "), "{missing}");
        assert!(missing.ends_with("has 3: give all of them"), "{missing}");
        assert!(fault(&[&first, &second, &second]).contains("this row comes twice"));
    }

    #[test]
    fn scored_rows_say_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, rows: &[&str]| {
            let path = folder.path().join(name);
            std::fs::write(&path, rows.join("\n")).unwrap();
            path
        };
        let asked = write("asked.jsonl", &["{}", "{}", "{}"]);
        let row = |index: usize| format!("{{\"index\":{index},\"scored_sql\":\"\",\"id\":null}}");
        let first = write("1.jsonl", &[&row(0)]);
        let second = write("2.jsonl", &[&row(2)]);
        let rows = merge(&[first.clone(), second.clone()], &asked).unwrap();
        assert_eq!(rows.len(), 2);
        let error = merge(&[second, first], &asked).unwrap_err().to_string();
        assert!(
            error.contains("1.jsonl:1: this row comes twice or too late"),
            "{error}"
        );
    }
}
