//! `next/` of a run, from what the run rests on.

use super::files::{self, Scored, Sources};
use super::recipe::Facts;
use crate::data::record::Columns;
use crate::recipe::dataset;
use crate::recipe::done::{Done, flags};
use crate::recipe::evidence::Evidence;
use crate::recipe::identity::run_id;
use crate::recipe::lineage;
use crate::recipe::matrix;
use crate::recipe::rows::{self, Scoring};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf, absolute};

/// The folder in the run's folder.
const FOLDER: &str = "next";

/// Writes the files that the run in `folder` leaves for the next one.
pub fn write(evidence: &Evidence, folder: &Path) -> Result<()> {
    let run_id = run_id(folder)?;
    let folder = folder.join(FOLDER);
    let scorings = evidence
        .gates
        .iter()
        .map(|gate| Ok((rows::candidate(gate)?, rows::baseline(gate)?)));
    let scorings: Vec<(Scoring, Option<Scoring>)> = scorings.collect::<Result<_>>()?;
    let pool = evidence.training.as_ref().and_then(training_rows);
    let columns = match (&evidence.training, &pool) {
        (Some(training), Some(pool)) => dataset::columns([training], pool)?,
        _ => Columns::default(),
    };
    let sources = Sources {
        scored: scorings
            .iter()
            .map(|(own, base)| scored(own, base.as_ref()))
            .collect(),
        training: pool.as_deref().map(|pool| (pool, &columns)),
        heldout: &evidence.heldout,
        facts: facts(evidence, run_id, &folder)?,
    };
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot write {}", folder.display()))?;
    files::write(&sources, &folder)?;
    Ok(())
}

fn scored<'a>(candidate: &'a Scoring, baseline: Option<&'a Scoring>) -> Scored<'a> {
    Scored {
        examples: &candidate.examples,
        candidate: &candidate.rows,
        baseline: baseline.map(|baseline| &baseline.rows[..]),
    }
}

/// The rows that a training stage learned from.
fn training_rows(training: &Done) -> Option<PathBuf> {
    training.values("--data").pop().map(PathBuf::from)
}

/// What the next recipe is made of; none where there is no adapter to go on from, or no gate that scored answers.
fn facts(evidence: &Evidence, run_id: String, folder: &Path) -> Result<Option<Facts>> {
    let primary = evidence.primary()?;
    let (Some(training), Some(answers)) = (&evidence.training, &primary.answers) else {
        return Ok(None);
    };
    let asked = answers.values("--data").pop();
    let (Some(pool), Some(asked)) = (training_rows(training), asked) else {
        return Ok(None);
    };
    let beside = |path: &Path| relative(path, folder);
    let base = lineage::base_model(evidence)?.id;
    let gate = |gate: &crate::eval::judge::GateSpec| Ok(toml::Table::try_from(gate)?);
    // The gates that ask the same rows: the others need stages of their own.
    let same = evidence.gates.iter().filter(|gate| {
        let answers = gate.answers.as_ref();
        answers.is_some_and(|answers| answers.values("--data").last() == Some(&asked))
            && gate.candidate.key == primary.candidate.key
    });
    Ok(Some(Facts {
        name: matrix::safe(&evidence.name),
        run_id,
        target: evidence.target.clone(),
        base: match Path::new(&base).exists() {
            true => beside(Path::new(&base))?,
            false => base,
        },
        adapter: beside(training.main()?)?,
        training: beside(&pool)?,
        targeted: String::new(),
        heldout: beside(Path::new(&asked))?,
        db_dir: primary
            .candidate
            .values("--db-dir")
            .pop()
            .map(|dir| beside(Path::new(&dir)))
            .transpose()?,
        modes: primary.candidate.values("--mode"),
        scoring: settings(&primary.candidate.command),
        settings: settings(&training.command),
        answering: settings(&answers.command),
        gates: same.map(|own| gate(&own.gate)).collect::<Result<_>>()?,
    }))
}

/// The flags of a command, by their names, with their values.
fn settings(command: &[String]) -> BTreeMap<String, Value> {
    let mut settings: BTreeMap<String, Value> = BTreeMap::new();
    for (flag, value) in flags(command) {
        let value = match value {
            None => Value::Bool(true),
            // A number stays one; a text that only looks like one is not among these flags.
            Some(text) => serde_json::from_str::<serde_json::Number>(text)
                .map_or_else(|_| text.into(), Value::Number),
        };
        let name = flag.trim_start_matches('-');
        let value = match settings.remove(name) {
            None => value,
            Some(Value::Array(mut all)) => {
                all.push(value);
                Value::Array(all)
            }
            Some(first) => Value::Array(vec![first, value]),
        };
        settings.insert(name.to_owned(), value);
    }
    settings
}

/// `path` as it is seen from `folder`.
fn relative(path: &Path, folder: &Path) -> Result<String> {
    let of = |path: &Path| absolute(path).with_context(|| path.display().to_string());
    let (path, folder) = (of(path)?, of(folder)?);
    let seen = pathdiff::diff_paths(&path, &folder).unwrap_or(path);
    Ok(seen.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn flags_become_settings() {
        let words =
            "factory sft --rank 8 --dora --lr=5e-4 --field prompt=q --field response=a --seed -1";
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let expected = json!({"rank": 8, "dora": true, "lr": 5e-4, "field": ["prompt=q", "response=a"], "seed": -1});
        let found: BTreeMap<String, Value> = serde_json::from_value(expected).unwrap();
        assert_eq!(settings(&words), found);
    }

    #[test]
    fn paths_are_seen_from_the_folder() {
        let seen = relative(Path::new("data/train.jsonl"), Path::new("runs/x/next"));
        assert_eq!(seen.unwrap(), "../../../data/train.jsonl");
    }
}
