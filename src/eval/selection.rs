//! Candidate choices as the first factory has them: a prompt with the queries to choose from as objects, answered by the id or the
//! place of one (`selected_id` or `selected_index`). Ours are in `choices`.

use super::choices::{self, ChoiceReport, ScoredChoice};
use super::score::ScoredRow;
use super::slices::features;
use super::stats;
use crate::data::jsonl;
use crate::data::record::{self, Columns, Conversation, Role};
use crate::sql::normalize::collapse;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

const TASK: &str = "sql_candidate_selection";
/// The source of the reference query.
const GOLD: &str = "gold";

/// One prompt with its candidates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    pub id: String,
    pub task: String,
    pub prompt: String,
    pub question: Option<String>,
    pub domain: Option<String>,
    pub db: Option<String>,
    pub slices: Vec<String>,
    pub choices: Vec<Candidate>,
    /// The place of the reference query among the choices.
    pub answer_index: usize,
    pub answer_id: String,
    pub answer_sql: String,
}

/// One query to choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// `SOURCE:` and the beginning of a hash.
    pub id: String,
    pub source: String,
    pub sql: String,
    pub normalized_sql: String,
    pub is_gold: bool,
}

/// What the scored rows were asked, by their names.
pub type Asked = BTreeMap<String, Prompt>;

/// What a row was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    pub text: String,
    pub domain: Option<String>,
}

/// The selections that scored rows give, and how many rows gave none, by reason.
#[derive(Clone, Debug, Default)]
pub struct Selections {
    pub rows: Vec<Selection>,
    pub dropped: BTreeMap<&'static str, usize>,
}

/// Reads what the rows of a set ask.
pub fn asked(set: &Path) -> Result<Asked> {
    let (lines, conversations) = record::read_prompts(set, &Columns::default())?;
    let mut asked = Asked::new();
    for (index, (line, conversation)) in lines.iter().zip(&conversations).enumerate() {
        let domain = line.fields().get("domain").and_then(Value::as_str);
        let prompt = Prompt {
            text: text(conversation),
            domain: domain.map(str::to_owned),
        };
        asked.insert(choices::named(line.id().as_deref(), index), prompt);
    }
    Ok(asked)
}

fn text(conversation: &Conversation) -> String {
    let turns = conversation.turns.iter();
    let users = turns.filter(|turn| turn.role == Role::User);
    let texts: Vec<_> = users.map(|turn| turn.content.as_str()).collect();
    texts.join("\n\n")
}

/// One selection for each row that some scoring failed: the reference query among at most `most` − 1 different failed queries, each
/// named for the scoring that it is from, in an order that `seed` and the row decide. Errors where rows of one name have other
/// questions or references.
pub fn build(
    scorings: &[(String, Vec<ScoredRow>)],
    asked: &Asked,
    most: usize,
    seed: u64,
) -> Result<Selections> {
    let files: Vec<&[ScoredRow]> = scorings.iter().map(|(_, rows)| &rows[..]).collect();
    let mut selections = Selections::default();
    for (id, rows) in choices::by_name(&files)? {
        let named: Vec<(&str, &ScoredRow)> = rows
            .into_iter()
            .map(|(file, row)| (scorings[file].0.as_str(), row))
            .collect();
        match selection(&id, &named, asked, most, seed) {
            Ok(selection) => selections.rows.push(selection),
            Err(reason) => *selections.dropped.entry(reason).or_insert(0) += 1,
        }
    }
    Ok(selections)
}

fn selection(
    id: &str,
    rows: &[(&str, &ScoredRow)],
    asked: &Asked,
    most: usize,
    seed: u64,
) -> Result<Selection, &'static str> {
    let prompt = asked.get(id).ok_or("without a prompt in the set")?;
    if rows.iter().any(|(_, row)| row.scores.gold_error.is_some()) {
        return Err("gold_sql fails");
    }
    let row = rows[0].1;
    let gold = candidate(GOLD, &row.gold_sql);
    let mut found: Vec<Candidate> = Vec::new();
    for (source, row) in rows {
        // One that passes is right too.
        if !row.passed() && !row.scored_sql.is_empty() {
            let wrong = candidate(source, &row.scored_sql);
            let known = |other: &Candidate| other.normalized_sql == wrong.normalized_sql;
            if !known(&gold) && !found.iter().any(known) {
                found.push(wrong);
            }
        }
    }
    found.truncate(most - 1);
    if found.is_empty() {
        return Err("without a wrong query");
    }
    let answer_id = gold.id.clone();
    found.push(gold);
    // A hash, which no version of a random number generator changes.
    found.sort_by_cached_key(|c| Sha256::digest(format!("{seed}\n{id}\n{}", c.normalized_sql)));
    let domain = prompt
        .domain
        .iter()
        .map(|domain| format!("domain:{domain}"));
    Ok(Selection {
        id: id.to_owned(),
        task: TASK.to_owned(),
        prompt: prompt.text.clone(),
        question: row.question.clone(),
        domain: prompt.domain.clone(),
        db: row.db.clone(),
        slices: domain
            .chain(features(&row.gold_sql).map(str::to_owned))
            .collect(),
        answer_index: found.iter().position(|c| c.id == answer_id).unwrap_or(0),
        choices: found,
        answer_id,
        answer_sql: row.gold_sql.clone(),
    })
}

fn candidate(source: &str, sql: &str) -> Candidate {
    let normalized_sql = collapse(choices::one_line(sql).as_str());
    let hash = crate::run::words::hex(&Sha256::digest(format!("{source}\n{normalized_sql}")));
    Candidate {
        id: format!("{source}:{}", &hash[..10]),
        source: source.to_owned(),
        sql: sql.trim().to_owned(),
        normalized_sql,
        is_gold: source == GOLD,
    }
}

/// Scores answers to selections, by their ids. A row that none answers is wrong.
pub fn score(selections: &Path, answers: &Path) -> Result<ChoiceReport> {
    let mut selected: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for line in jsonl::read(answers)? {
        let id = line.id().with_context(|| {
            let (path, number) = (answers.display(), line.number);
            format!("{path}:{number}: a row without id")
        })?;
        if selected.insert(id.clone(), line.into_fields()).is_some() {
            bail!("{}: two rows have the id {id:?}", answers.display());
        }
    }
    let mut rows = Vec::new();
    let mut chance = 0.0;
    for (index, line) in jsonl::read(selections)?.into_iter().enumerate() {
        let selection = checked(line, selections)?;
        chance += 1.0 / selection.choices.len() as f64;
        let row = selected.get(&selection.id);
        let choice = row.and_then(|row| choice(row, &selection));
        rows.push(ScoredChoice {
            index,
            reply: choice.clone().unwrap_or_default(),
            choice_match: choice.as_ref() == Some(&selection.answer_id),
            choice,
            id: selection.id,
            answer: selection.answer_id,
        });
    }
    let passed = rows.iter().filter(|row| row.choice_match).count();
    Ok(ChoiceReport {
        accuracy: stats::share(passed, rows.len()),
        chance: chance / rows.len() as f64,
        no_choice: rows.iter().filter(|row| row.choice.is_none()).count(),
        rows,
    })
}

fn checked(line: jsonl::Line, path: &Path) -> Result<Selection> {
    let place = format!("{}:{}", path.display(), line.number);
    let selection: Selection = match serde_json::from_value(line.into_fields().into()) {
        Ok(selection) => selection,
        Err(error) => bail!(
            "{place}: {error} (rows of `factory data choices --format selection` are expected)"
        ),
    };
    let answer = selection.choices.get(selection.answer_index);
    ensure!(
        answer.is_some_and(|answer| answer.id == selection.answer_id),
        "{place}: answer_index and answer_id are not of one choice"
    );
    Ok(selection)
}

/// The id of what a row selects, if that is one of the choices.
fn choice(row: &Map<String, Value>, selection: &Selection) -> Option<String> {
    let ids = ["selected_id", "predicted_choice_id"];
    let places = ["selected_index", "predicted_choice"];
    let by_id = ids.iter().find_map(|field| row.get(*field)?.as_str());
    let by_place = || {
        let place = places.iter().find_map(|field| row.get(*field)?.as_u64())?;
        selection.choices.get(usize::try_from(place).ok()?)
    };
    let found = match by_id {
        Some(id) => selection.choices.iter().find(|choice| choice.id == id),
        None => by_place(),
    };
    found.map(|choice| choice.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scored(id: &str, predicted: &str, passed: bool) -> ScoredRow {
        serde_json::from_value(json!({
            "index": 0, "id": id, "db": "hives", "question": "Which bees?", "predicted_sql": predicted, "scored_sql": predicted,
            "gold_sql": "select name from bees where old = 1;", "exec_match": passed, "predicted_error": null,
            "gold_error": null, "predicted_rows": null, "gold_rows": null,
            "failure_type": (!passed).then_some("sql_wrong_result"), "elapsed_ms": 0,
        }))
        .unwrap()
    }

    fn made() -> Selections {
        let one = vec![
            scored("a", "select name from bees", false),
            scored("b", "select 1", true),
            scored("c", "select 2", false),
        ];
        let two = vec![
            scored("a", "SELECT name  FROM bees;", false),
            scored("b", "select 3", false),
            scored("c", "SELECT name FROM bees WHERE old = 1", false),
        ];
        let prompt = |text: &str| Prompt {
            text: text.to_owned(),
            domain: Some("farm".to_owned()),
        };
        let asked = ["a", "b"]
            .map(|id| (id.to_owned(), prompt(&format!("{id}?"))))
            .into();
        let scorings = [("one".to_owned(), one), ("two".to_owned(), two)];
        build(&scorings, &asked, 4, 0).unwrap()
    }

    #[test]
    fn wrong_queries_are_named_for_where_they_are_from() {
        let found = made();
        assert_eq!(found.dropped, [("without a prompt in the set", 1)].into());
        let [a, b] = &found.rows[..] else {
            panic!("{found:?}")
        };
        let sources = |s: &Selection| {
            let mut sources: Vec<_> = s.choices.iter().map(|c| c.source.clone()).collect();
            sources.sort();
            sources
        };
        assert_eq!(sources(a), ["gold", "one"]);
        assert_eq!(sources(b), ["gold", "two"]);
        assert_eq!((&*a.prompt, &*a.task), ("a?", "sql_candidate_selection"));
        assert_eq!(a.slices, ["domain:farm", "single_table", "filter"]);
        let answer = &a.choices[a.answer_index];
        assert!(answer.is_gold && answer.id == a.answer_id);
        assert_eq!(answer.normalized_sql, "select name from bees where old = 1");
        assert!(a.answer_id.starts_with("gold:") && a.answer_id.len() == 15);
        assert_eq!(made().rows, found.rows);
    }

    #[test]
    fn answers_are_ids_or_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let rows = made().rows;
        std::fs::write(path("choices.jsonl"), jsonl::to_bytes(&rows).unwrap()).unwrap();
        let of = |answers: [Value; 2]| {
            let text = answers.map(|answer| answer.to_string()).join("\n");
            std::fs::write(path("answers.jsonl"), text).unwrap();
            score(&path("choices.jsonl"), &path("answers.jsonl"))
        };
        let right = of([
            json!({"id": "a", "selected_id": rows[0].answer_id}),
            json!({"id": "b", "selected_index": rows[1].answer_index}),
        ]);
        let right = right.unwrap();
        assert_eq!(
            (right.accuracy.passed, right.no_choice, right.chance),
            (2, 0, 0.5)
        );
        let wrong = of([
            json!({"id": "a", "predicted_choice": 1 - rows[0].answer_index}),
            json!({"id": "b", "predicted_choice_id": "two:none"}),
        ]);
        let wrong = wrong.unwrap();
        assert_eq!((wrong.accuracy.passed, wrong.no_choice), (0, 1));
        let twice = of([json!({"id": "a"}), json!({"id": "a"})]);
        assert!(
            twice
                .unwrap_err()
                .to_string()
                .contains("two rows have the id \"a\"")
        );
        let unnamed = of([json!({}), json!({})]).unwrap_err().to_string();
        assert!(
            unnamed.contains("answers.jsonl:1: a row without id"),
            "{unnamed}"
        );
        let mut off = rows[0].clone();
        off.answer_index = 9;
        std::fs::write(path("choices.jsonl"), jsonl::to_bytes([&off]).unwrap()).unwrap();
        let error = of([json!({"id": "a"}), json!({"id": "b"})])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("choices.jsonl:1: answer_index and answer_id"),
            "{error}"
        );
    }
}
