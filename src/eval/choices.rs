//! Candidate choice: a question with the right query among wrong ones that a model really wrote, to be answered by a letter.

use super::score::ScoredRow;
use super::stats::{self, Share};
use crate::data::jsonl::{self, Line};
use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// Most candidates: the letters.
pub const MAX_CANDIDATES: usize = 26;

/// One question with its candidates; also a training row, by its `prompt` and `response`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub id: String,
    pub db: Option<String>,
    pub question: String,
    /// In the order of their letters.
    pub candidates: Vec<String>,
    pub prompt: String,
    /// The letter of the reference query.
    pub response: String,
}

/// The choices that scored rows give, and how many rows gave none, by reason.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    pub rows: Vec<Choice>,
    pub dropped: BTreeMap<&'static str, usize>,
}

/// One choice for each row that some file failed: the reference query among at most `most` − 1 different failed queries of all
/// files, in an order that `seed` and the row decide. Errors where rows of one name have other questions or references.
pub fn build(files: &[Vec<ScoredRow>], most: usize, seed: u64) -> Result<Choices> {
    let files: Vec<&[ScoredRow]> = files.iter().map(Vec::as_slice).collect();
    let mut choices = Choices::default();
    for (_, rows) in by_name(&files)? {
        let rows: Vec<&ScoredRow> = rows.into_iter().map(|(_, row)| row).collect();
        match choice(&rows, most, seed) {
            Ok(choice) => choices.rows.push(choice),
            Err(reason) => *choices.dropped.entry(reason).or_insert(0) += 1,
        }
    }
    Ok(choices)
}

/// A row's name with what several files say of it, each by its place.
type ByName<'a> = Vec<(String, Vec<(usize, &'a ScoredRow)>)>;

/// Every row as the files scored it, in the order in which each first occurs. Errors where rows of one name are not the same.
pub(super) fn by_name<'a>(files: &[&'a [ScoredRow]]) -> Result<ByName<'a>> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut found: ByName = Vec::new();
    for (file, rows) in files.iter().enumerate() {
        for row in *rows {
            let name = name(row);
            let at = *places.entry(name.clone()).or_insert(found.len());
            if at == found.len() {
                found.push((name, vec![(file, row)]));
                continue;
            }
            let first = found[at].1[0].1;
            ensure!(
                (&first.gold_sql, &first.question) == (&row.gold_sql, &row.question),
                "row {name} has another gold_sql or question in one of the files: give scorings of the same rows"
            );
            found[at].1.push((file, row));
        }
    }
    Ok(found)
}

/// What a scored row is called: its id, or its place.
pub fn name(row: &ScoredRow) -> String {
    named(row.id.as_deref(), row.index)
}

/// What a row is called: its id, or its place.
pub fn named(id: Option<&str>, index: usize) -> String {
    id.map_or_else(|| format!("row-{index}"), str::to_owned)
}

/// `rows` are one row as several files scored it, at least one.
fn choice(rows: &[&ScoredRow], most: usize, seed: u64) -> Result<Choice, &'static str> {
    let row = rows[0];
    let question = row.question.clone().ok_or("without question")?;
    if row.gold_sql.is_empty() {
        return Err("without gold_sql");
    }
    if rows.iter().any(|row| row.scores.gold_error.is_some()) {
        return Err("gold_sql fails");
    }
    let gold = one_line(&row.gold_sql);
    let mut candidates: Vec<String> = Vec::new();
    for row in rows
        .iter()
        .filter(|row| !row.passed() && !row.scored_sql.is_empty())
    {
        let sql = one_line(&row.scored_sql);
        if sql != gold && !candidates.contains(&sql) {
            candidates.push(sql);
        }
    }
    candidates.truncate(most - 1);
    if candidates.is_empty() {
        return Err("without a wrong query");
    }
    candidates.push(gold.clone());
    let id = name(row);
    // A hash, which no version of a random number generator changes.
    candidates.sort_by_cached_key(|sql| Sha256::digest(format!("{seed}\n{id}\n{sql}")));
    let letter = |at: usize| char::from(b'A' + at as u8);
    let answer = candidates.iter().position(|sql| *sql == gold).unwrap_or(0);
    let listed = candidates.iter().enumerate();
    let listed: Vec<_> = listed
        .map(|(at, sql)| format!("{}. {sql}", letter(at)))
        .collect();
    Ok(Choice {
        id,
        db: row.db.clone(),
        prompt: format!(
            "{question}\n\nWhich query answers this?\n{}\nAnswer with one letter.",
            listed.join("\n")
        ),
        question,
        candidates,
        response: letter(answer).to_string(),
    })
}

pub(super) fn one_line(sql: &str) -> String {
    let sql = sql.trim().trim_end_matches(';');
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A scored choice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoredChoice {
    pub index: usize,
    pub id: String,
    pub reply: String,
    /// The letter found in the reply.
    pub choice: Option<String>,
    pub answer: String,
    pub choice_match: bool,
}

/// Rows and their sums.
#[derive(Clone, Debug, Serialize)]
pub struct ChoiceReport {
    pub accuracy: Share,
    /// What guessing would reach.
    pub chance: f64,
    /// Replies without a letter of a candidate.
    pub no_choice: usize,
    #[serde(skip)]
    pub rows: Vec<ScoredChoice>,
}

/// Scores a file of choices whose replies stand in `field`.
pub fn score(path: &Path, field: &str) -> Result<ChoiceReport> {
    let lines = jsonl::read(path)?;
    let mut rows = Vec::new();
    let mut chance = 0.0;
    for (index, line) in lines.into_iter().enumerate() {
        let reply = line.str(path, field)?.to_owned();
        let choice = checked(line, path)?;
        chance += 1.0 / choice.candidates.len() as f64;
        let found = letter_in(&reply, choice.candidates.len()).map(String::from);
        rows.push(ScoredChoice {
            index,
            id: choice.id,
            choice_match: found.as_ref() == Some(&choice.response),
            choice: found,
            answer: choice.response,
            reply,
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

fn checked(line: Line, path: &Path) -> Result<Choice> {
    let place = format!("{}:{}", path.display(), line.number);
    let choice: Choice = match serde_json::from_value(line.into_fields().into()) {
        Ok(choice) => choice,
        Err(error) => bail!("{place}: {error} (rows of `factory data choices` are expected)"),
    };
    let count = choice.candidates.len();
    let fine = (2..=MAX_CANDIDATES).contains(&count);
    ensure!(
        fine,
        "{place}: {count} candidates, expected 2 to {MAX_CANDIDATES}"
    );
    let known = letter_in(&choice.response, count).map(String::from);
    ensure!(
        known.as_ref() == Some(&choice.response),
        "{place}: response {:?} is the letter of no candidate",
        choice.response
    );
    Ok(choice)
}

/// The first letter of a candidate that stands alone. A small one counts only as the whole reply: `a` is also a word.
fn letter_in(reply: &str, count: usize) -> Option<char> {
    let is_candidate = |c: char| c.is_ascii_uppercase() && usize::from(c as u8 - b'A') < count;
    let words: Vec<&str> = reply
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .collect();
    let single = |word: &str| -> Option<char> {
        let mut chars = word.chars();
        chars.next().filter(|_| chars.next().is_none())
    };
    if let [only] = words[..] {
        return single(only)
            .map(|c| c.to_ascii_uppercase())
            .filter(|c| is_candidate(*c));
    }
    words
        .into_iter()
        .filter_map(single)
        .find(|c| is_candidate(*c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::scored;
    use serde_json::json;
    use std::collections::BTreeSet;

    fn row(id: &str, predicted: &str) -> ScoredRow {
        let fields = json!({"id": id, "db": "x.db", "question": "Which?", "gold_sql": "select a from t;", "predicted_sql": predicted});
        scored(
            "CREATE TABLE t(a); INSERT INTO t VALUES (1);",
            fields,
            &["factory"],
        )
        .1
    }

    #[test]
    fn the_reference_stands_among_different_wrong_queries() {
        let files = [
            vec![row("x", "select 2"), row("y", "select a from t")],
            vec![row("x", "select  2;"), row("y", "select 3")],
            vec![row("x", "select 4"), row("y", "No.")],
        ];
        let choices = build(&files, 4, 0).unwrap();
        let [x, y] = &choices.rows[..] else {
            panic!("{choices:?}")
        };
        let sorted: BTreeSet<_> = x.candidates.iter().map(String::as_str).collect();
        assert_eq!(sorted, ["select 2", "select 4", "select a from t"].into());
        let at = usize::from(x.response.as_bytes()[0] - b'A');
        assert_eq!(x.candidates[at], "select a from t");
        assert!(
            x.prompt
                .starts_with("Which?\n\nWhich query answers this?\nA. ")
        );
        assert_eq!(y.candidates.len(), 2);
        assert_eq!(build(&files, 2, 0).unwrap().rows[0].candidates.len(), 2);
        assert_eq!(build(&files, 4, 0).unwrap().rows, choices.rows);
        assert_eq!(
            build(&files[..1], 4, 0).unwrap().dropped,
            [("without a wrong query", 1)].into()
        );
    }

    #[test]
    fn a_letter_is_found_where_it_stands_alone() {
        for (reply, expected) in [
            ("B", Some('B')),
            (" (b).\n", Some('B')),
            ("Answer: C", Some('C')),
            ("It is a B.", Some('B')),
            ("a guess", None),
            ("D", None),
            ("SELECT", None),
            ("", None),
        ] {
            assert_eq!(letter_in(reply, 3), expected, "{reply}");
        }
    }

    #[test]
    fn replies_are_scored_and_bad_rows_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.jsonl");
        let line = |reply: &str, response: &str| {
            json!({"id": "x", "db": null, "question": "Q", "candidates": ["1", "2"], "prompt": "P", "response": response, "predicted_sql": reply}).to_string()
        };
        std::fs::write(
            &path,
            [line("B", "B"), line("B", "A"), line("?", "A")].join("\n"),
        )
        .unwrap();
        let report = score(&path, "predicted_sql").unwrap();
        assert_eq!(
            (report.accuracy.passed, report.accuracy.n, report.no_choice),
            (1, 3, 1)
        );
        assert_eq!(report.chance, 0.5);
        let error = |text: &str| {
            std::fs::write(&path, text).unwrap();
            score(&path, "predicted_sql").unwrap_err().to_string()
        };
        assert!(
            error(&line("B", "C"))
                .contains("c.jsonl:1: response \"C\" is the letter of no candidate")
        );
        assert!(error("{\"predicted_sql\": \"A\"}").contains("c.jsonl:1: missing field"));
    }
}
