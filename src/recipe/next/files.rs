//! `next/` of a run folder: what its failures become.

use super::recipe::{Facts, next_recipe};
use crate::data::jsonl;
use crate::data::record::Columns;
use crate::eval::choices;
use crate::eval::example::Example;
use crate::eval::labels::labels;
use crate::eval::prefs::preferences;
use crate::eval::score::ScoredRow;
use crate::eval::selection::{self, Asked, Prompt};
use crate::eval::targeted::{self, Request};
use crate::run::files::{json, write_atomic};
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Most candidates of a choice.
const CANDIDATES: usize = 4;
/// Targeted rows for each failed one.
const FOR_EACH: usize = 4;

/// The rows of one scoring, and the same rows of what it is held against.
pub struct Scored<'a> {
    /// What was asked, in the order of `candidate`.
    pub examples: &'a [Example],
    pub candidate: &'a [ScoredRow],
    pub baseline: Option<&'a [ScoredRow]>,
}

/// The run that others come after.
pub struct Sources<'a> {
    /// One a gate; a row that is in several is taken once.
    pub scored: Vec<Scored<'a>>,
    /// What was trained on, and how its columns are called; without it no rows are targeted, and there is no recipe.
    pub training: Option<(&'a Path, &'a Columns)>,
    /// Files of rows that must not be trained on.
    pub heldout: &'a [PathBuf],
    /// What the recipe is made of, but for the targeted rows; none where there is no adapter to go on from.
    pub facts: Option<Facts>,
}

/// Writes what there is into `folder`, and returns the names: `labels.jsonl`, `preferences.jsonl`, `choices.jsonl` (answered by a
/// letter), `selections.jsonl` (answered by an id), `targeted.jsonl` with its manifest, `next.toml`.
pub fn write(sources: &Sources, folder: &Path) -> Result<Vec<String>> {
    let mut written = Vec::new();
    let mut rows = Rows::default();
    sources
        .scored
        .iter()
        .try_for_each(|scored| rows.add(scored))?;
    let mut keep = |name: &str, bytes: Vec<u8>| -> Result<()> {
        if !bytes.is_empty() {
            write_atomic(&folder.join(name), &bytes)?;
            written.push(name.to_owned());
        }
        Ok(())
    };
    keep("labels.jsonl", rows.labels)?;
    keep("preferences.jsonl", rows.preferences)?;
    keep("choices.jsonl", rows.choices)?;
    keep("selections.jsonl", rows.selections)?;
    let failed = rows.scored.iter().filter(|row| !row.passed()).count();
    let (Some((pool, columns)), true) = (sources.training, failed > 0) else {
        return Ok(written);
    };
    let targeted = targeted::choose(&Request {
        rows: &rows.scored,
        asked: &rows.examples,
        heldout: sources.heldout,
        pool,
        columns,
        count: FOR_EACH * failed,
        seed: 0,
    })?;
    if targeted.lines.is_empty() {
        return Ok(written);
    }
    keep("targeted.jsonl", jsonl::to_bytes(&targeted.lines)?)?;
    keep("targeted.manifest.json", json(&targeted.manifest)?)?;
    if let Some(facts) = &sources.facts {
        let facts = Facts {
            targeted: "targeted.jsonl".to_owned(),
            ..facts.clone()
        };
        keep("next.toml", next_recipe(&facts)?.into_bytes())?;
    }
    Ok(written)
}

/// What the rows of all gates become, each row once.
#[derive(Default)]
struct Rows {
    seen: BTreeSet<(Option<String>, Option<String>, String, String)>,
    examples: Vec<Example>,
    scored: Vec<ScoredRow>,
    labels: Vec<u8>,
    preferences: Vec<u8>,
    choices: Vec<u8>,
    selections: Vec<u8>,
}

impl Rows {
    fn add(&mut self, scored: &Scored) -> Result<()> {
        let (mut examples, mut candidate) = (Vec::new(), Vec::new());
        for (example, row) in scored.examples.iter().zip(scored.candidate) {
            let key = (
                row.id.clone(),
                row.question.clone(),
                row.gold_sql.clone(),
                row.predicted_sql.clone(),
            );
            if self.seen.insert(key) {
                examples.push(example.clone());
                candidate.push(row.clone());
            }
        }
        add(&mut self.labels, &labels(&examples, &candidate))?;
        add(
            &mut self.preferences,
            &preferences(&examples, &candidate).pairs,
        )?;
        let mut scorings = vec![("candidate".to_owned(), candidate.clone())];
        if let Some(baseline) = scored.baseline {
            // Its rows are matched by name.
            let names: BTreeSet<String> = candidate.iter().map(choices::name).collect();
            let same = baseline
                .iter()
                .filter(|row| names.contains(&choices::name(row)));
            scorings.push(("baseline".to_owned(), same.cloned().collect()));
        }
        let files: Vec<Vec<ScoredRow>> = scorings.iter().map(|(_, rows)| rows.clone()).collect();
        add(
            &mut self.choices,
            &choices::build(&files, CANDIDATES, 0)?.rows,
        )?;
        let prompt = |example: &Example| {
            let prompt = Prompt {
                text: example.text("prompt")?.to_owned(),
                domain: example.text("domain").map(str::to_owned),
            };
            Some((choices::named(example.text("id"), example.index), prompt))
        };
        let asked: Asked = examples.iter().filter_map(prompt).collect();
        let made = selection::build(&scorings, &asked, CANDIDATES, 0)?;
        add(&mut self.selections, &made.rows)?;
        self.examples.extend(examples);
        self.scored.extend(candidate);
        Ok(())
    }
}

fn add<T: Serialize>(bytes: &mut Vec<u8>, rows: &[T]) -> Result<()> {
    bytes.extend(jsonl::to_bytes(rows)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::standard::Standard;
    use serde_json::{Value, json};

    fn scored(id: usize, predicted: &str, passed: bool) -> (Example, ScoredRow) {
        let gold = format!("select count(*) from hives where age = {id}");
        let fields = json!({"id": format!("h{id}"), "prompt": format!("Count hives of age {id}"), "domain": "farm"});
        let example = Example {
            index: id,
            line: id + 1,
            fields: fields.as_object().unwrap().clone(),
            standard: Standard::default(),
        };
        let row = json!({
            "index": id, "id": format!("h{id}"), "db": "farm", "question": format!("How many are {id}?"),
            "predicted_sql": predicted, "scored_sql": predicted, "gold_sql": gold, "exec_match": passed,
            "predicted_error": null, "gold_error": null, "predicted_rows": null, "gold_rows": null,
            "failure_type": (!passed).then_some("sql_wrong_filter"), "elapsed_ms": 0,
        });
        (example, serde_json::from_value(row).unwrap())
    }

    fn facts() -> Facts {
        Facts {
            name: "hives".to_owned(),
            base: "base".to_owned(),
            adapter: "../adapter".to_owned(),
            training: "../train.jsonl".to_owned(),
            heldout: "../dev.jsonl".to_owned(),
            ..Facts::default()
        }
    }

    fn read(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn failures_become_files_and_each_row_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let pool = folder.path().join("train.jsonl");
        let taught = |i: usize| {
            let sql = format!("select count(*) from bees where age = {i};");
            json!({"instruction": format!("Count bees of age {i}"), "response": sql}).to_string()
        };
        let rows: Vec<String> = (0..9).map(taught).collect();
        std::fs::write(&pool, rows.join("\n")).unwrap();
        let (examples, candidate): (Vec<_>, Vec<_>) =
            [scored(0, "select 1", true), scored(1, "select 2", false)]
                .into_iter()
                .unzip();
        let baseline = [scored(1, "select 3", false).1];
        let gate = |baseline| Scored {
            examples: &examples,
            candidate: &candidate,
            baseline,
        };
        let columns = Columns::default();
        let sources = Sources {
            scored: vec![gate(Some(&baseline[..])), gate(None)],
            training: Some((&pool, &columns)),
            heldout: &[],
            facts: Some(facts()),
        };
        let out = folder.path().join("next");
        let written = write(&sources, &out).unwrap();
        assert_eq!(
            written,
            [
                "labels.jsonl",
                "preferences.jsonl",
                "choices.jsonl",
                "selections.jsonl",
                "targeted.jsonl",
                "targeted.manifest.json",
                "next.toml"
            ]
        );
        let file = |name: &str| read(&out.join(name));
        assert_eq!(file("labels.jsonl").len(), 1);
        assert_eq!(
            file("preferences.jsonl")[0]["prompt"],
            "Count hives of age 1"
        );
        assert_eq!(
            file("choices.jsonl")[0]["candidates"]
                .as_array()
                .unwrap()
                .len(),
            3
        );
        assert_eq!(file("selections.jsonl")[0]["slices"][0], "domain:farm");
        assert_eq!(file("targeted.jsonl").len(), FOR_EACH);
        let recipe = std::fs::read_to_string(out.join("next.toml")).unwrap();
        assert!(recipe.contains("\"targeted.jsonl\""), "{recipe}");
    }

    #[test]
    fn what_there_is_not_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let (example, row) = scored(0, "select 1", true);
        let of = |row: &ScoredRow, training| {
            let sources = Sources {
                scored: vec![Scored {
                    examples: std::slice::from_ref(&example),
                    candidate: std::slice::from_ref(row),
                    baseline: None,
                }],
                training,
                heldout: &[],
                facts: None,
            };
            write(&sources, folder.path()).unwrap()
        };
        assert!(of(&row, None).is_empty());
        let failed = scored(0, "select 1", false).1;
        let columns = Columns::default();
        let pool = folder.path().join("pool.jsonl");
        std::fs::write(&pool, "{\"prompt\":\"p\",\"response\":\"Good day.\"}").unwrap();
        let all = [
            "labels.jsonl",
            "preferences.jsonl",
            "choices.jsonl",
            "selections.jsonl",
        ];
        assert_eq!(of(&failed, Some((&pool, &columns))), all);
    }
}
