//! Preference pairs: which answers to one prompt are compared, and which pairs differ in nothing but their wrapping.

use super::record::{
    self, Columns, Content, Conversation, Judgement, Preference, Record, Role, Turn,
};
use crate::sql::extract::Extraction;
use crate::sql::normalize::canonical;
use anyhow::{Result, ensure};
use std::path::Path;

/// A pair as it is shown to a template: the same prompt before both answers, and only those learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub chosen: Record,
    pub rejected: Record,
    /// Whether both answers hold the same query.
    pub format_only: bool,
}

impl Pair {
    /// Of two answers to a prompt that a row at `place` asks.
    pub fn new(place: &str, prompt: &Conversation, chosen: &str, rejected: &str) -> Self {
        let [chosen, rejected] =
            [chosen, rejected].map(|text| vec![Turn::new(Role::Assistant, text.to_owned())]);
        Self::of(place, prompt, chosen, rejected)
    }

    fn of(place: &str, prompt: &Conversation, chosen: Vec<Turn>, rejected: Vec<Turn>) -> Self {
        let side = |turns: Vec<Turn>| Record {
            place: place.to_owned(),
            content: Content::Turns(behind(prompt, turns)),
        };
        Self {
            format_only: same_query(&chosen, &rejected),
            chosen: side(chosen),
            rejected: side(rejected),
        }
    }
}

/// A row of a file of pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    Pair(Box<Pair>),
    /// An answer alone, and whether it is good.
    Answer(Record, bool),
}

/// Reads the pairs of a file (`prompt`, `chosen`, `rejected`), and with `labelled` answers too (`prompt`, `completion`, `label`). All rows
/// that are neither are named in one error.
pub fn read(path: &Path, columns: &Columns, labelled: bool) -> Result<Vec<Judged>> {
    record::read_judgements(path, columns, labelled, |place, judgement| {
        let preference = match judgement {
            Judgement::Labelled(content, good) => {
                return Ok(Judged::Answer(Record { place, content }, good));
            }
            Judgement::Preference(preference) => preference,
        };
        for (field, side) in [
            ("chosen", &preference.chosen),
            ("rejected", &preference.rejected),
        ] {
            ensure!(
                side.len() == 1,
                "{place}: {field} has {} messages: a pair compares one answer with another, put what stands before into prompt",
                side.len()
            );
        }
        let Preference {
            prompt,
            chosen,
            rejected,
        } = preference;
        let pair = Pair::of(&place, &prompt, chosen, rejected);
        Ok(Judged::Pair(Box::new(pair)))
    })
}

/// The conversation of a prompt and an answer, of which nothing else is learned.
fn behind(prompt: &Conversation, answer: Vec<Turn>) -> Conversation {
    let mut all = prompt.clone();
    all.turns.extend(answer);
    let before = all.turns.len().saturating_sub(1);
    all.turns[..before]
        .iter_mut()
        .for_each(|turn| turn.learned = false);
    all
}

fn same_query(chosen: &[Turn], rejected: &[Turn]) -> bool {
    let query = |turns: &[Turn]| {
        let answer = turns.last()?;
        let found = Extraction::default().find(&answer.content);
        found.query().map(canonical)
    };
    query(chosen).is_some_and(|one| query(rejected) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_rows(rows: &str) -> Result<Vec<Pair>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("pairs.jsonl");
        std::fs::write(&path, rows)?;
        let rows = read(&path, &Columns::default(), false)?.into_iter();
        let pair = |row| match row {
            Judged::Pair(pair) => *pair,
            Judged::Answer(..) => panic!("no pair"),
        };
        Ok(rows.map(pair).collect())
    }

    #[test]
    fn pairs_that_hold_the_same_query_differ_in_format_alone() {
        let of = |chosen: &str, rejected: &str| {
            let row = serde_json::json!({"prompt": "q", "chosen": chosen, "rejected": rejected});
            read_rows(&row.to_string()).unwrap()[0].format_only
        };
        assert!(of(
            "SELECT a FROM t",
            "Here it is:\n```sql\nSELECT a  FROM t;\n```"
        ));
        assert!(!of("SELECT a FROM t", "SELECT b FROM t"));
        assert!(!of("yes", "no"));
    }

    #[test]
    fn the_prompt_may_stand_in_both_answers() {
        let rows = |asked: &str| {
            format!(
                r#"{{"chosen": [{{"role": "user", "content": "q"}}, {{"role": "assistant", "content": "a"}}],
                "rejected": [{{"role": "user", "content": "{asked}"}}, {{"role": "assistant", "content": "b"}}]}}"#
            )
            .replace('\n', " ")
        };
        let pairs = read_rows(&rows("q")).unwrap();
        let Content::Turns(chosen) = &pairs[0].chosen.content else {
            panic!("{pairs:?}")
        };
        let learned: Vec<bool> = chosen.turns.iter().map(|turn| turn.learned).collect();
        assert_eq!(learned, [false, true]);
        let error = read_rows(&rows("another")).unwrap_err().to_string();
        assert!(
            error.contains("starts with another prompt than chosen"),
            "{error}"
        );
    }

    #[test]
    fn answers_may_be_judged_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.jsonl");
        let of = |rows: &str| {
            std::fs::write(&path, rows).unwrap();
            read(&path, &Columns::default(), true)
        };
        let rows = of(concat!(
            r#"{"prompt": "q", "completion": "a", "label": false}"#,
            "\n",
            r#"{"prompt": "q", "chosen": "a", "rejected": "b"}"#
        ));
        let rows = rows.unwrap();
        assert!(matches!(&rows[0], Judged::Answer(_, false)), "{rows:?}");
        assert!(matches!(&rows[1], Judged::Pair(_)), "{rows:?}");
        let error = of(r#"{"prompt": "q", "completion": "a", "label": "good"}"#).unwrap_err();
        assert!(error.to_string().contains("label"), "{error}");
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        for (row, fault) in [
            (
                r#"{"prompt": "q", "chosen": "a", "rejected": "a"}"#,
                "nothing to prefer",
            ),
            (
                r#"{"prompt": "q", "chosen": "a", "rejected": " "}"#,
                "rejected",
            ),
            (r#"{"prompt": "q", "chosen": "a"}"#, "rejected"),
            (r#"{"chosen": "a", "rejected": "b"}"#, "\"prompt\""),
        ] {
            let error = read_rows(row).unwrap_err().to_string();
            assert!(
                error.contains(fault) && error.contains("pairs.jsonl:1"),
                "{row}: {error}"
            );
        }
    }
}
