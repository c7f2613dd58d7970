//! What training and held-out data share: rows with the same prompt, and answers that differ only in their literals.

use crate::data::overlap::{
    Match, Trained, answer_of, answered, prompt_of, squeezed, without_literals,
};
use crate::data::record::{self, Columns, Content, Record};
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Most pairs that an error names.
const NAMED: usize = 5;
/// A file of rows and how its columns are called.
pub struct Rows {
    pub path: PathBuf,
    pub columns: Columns,
}

/// What two sets share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// The `file:line` of a training row and of a held-out row with the same prompt, one a held-out row.
    pub pairs: Vec<(String, String)>,
    /// How many of them have the same answer too.
    pub answers: usize,
    /// Training rows that are there before, and held-out rows.
    pub repeated: [usize; 2],
    /// Held-out rows whose answer is one of training but for its literals.
    pub literals: usize,
    pub heldout_rows: usize,
}

/// Compares the files, as [`said`](crate::data::overlap::said) says.
pub fn find(train: &[Rows], heldout: &[Rows]) -> Result<Overlap> {
    let mut overlap = Overlap::default();
    let (mut trained, mut forms, mut seen) = (Trained::default(), BTreeSet::new(), BTreeSet::new());
    for rows in train {
        for Record { place, content } in record::read(&rows.path, &rows.columns)? {
            if let Content::Turns(conversation) = &content {
                let answers = answered(&conversation.turns);
                forms.extend(answers.map(|(_, turn)| without_literals(&turn.content)));
            }
            for pair in trained.add(&place, &content) {
                overlap.repeated[0] += usize::from(!seen.insert(pair));
            }
        }
    }
    seen.clear();
    for rows in heldout {
        let (lines, asked) = record::read_prompts(&rows.path, &rows.columns)?;
        overlap.heldout_rows += lines.len();
        for (line, asked) in lines.iter().zip(&asked) {
            let (prompt, answer) = (prompt_of(asked), answer_of(line).map(squeezed));
            let near =
                answer_of(line).is_some_and(|answer| forms.contains(&without_literals(answer)));
            overlap.literals += usize::from(near);
            if let Some(Match { place, answers }) = trained.find(&prompt) {
                let own = format!("{}:{}", rows.path.display(), line.number);
                overlap.pairs.push((place.clone(), own));
                let same = answer.as_ref().zip(answers);
                overlap.answers += usize::from(same.is_some_and(|(own, all)| all.contains(own)));
            }
            let row = (prompt, answer.unwrap_or_default());
            overlap.repeated[1] += usize::from(!seen.insert(row));
        }
    }
    Ok(overlap)
}

impl Overlap {
    /// Errors where rows are in both, naming some.
    pub fn refuse(&self) -> Result<()> {
        if self.pairs.is_empty() {
            return Ok(());
        }
        let named = self.pairs.iter().take(NAMED);
        let named: Vec<_> = named
            .map(|(train, heldout)| format!("{train} and {heldout}"))
            .collect();
        let more = match self.pairs.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        bail!(
            "{} held-out rows have the prompt of a training row: {}{more}; take them out of one of the two, or set allow_overlap",
            self.pairs.len(),
            named.join(", ")
        )
    }

    /// In words.
    pub fn note(&self) -> String {
        format!(
            "{} of {} held-out rows have the prompt of a training row, {} of these its answer too",
            self.pairs.len(),
            self.heldout_rows,
            self.answers
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn overlap(train: &str, heldout: &str) -> (Overlap, String) {
        let folder = tempfile::tempdir().unwrap();
        let rows = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            let columns = Columns::default();
            [Rows { path, columns }]
        };
        let found = find(&rows("t.jsonl", train), &rows("h.jsonl", heldout)).unwrap();
        let error = found
            .refuse()
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default();
        (
            found,
            error.replace(&format!("{}/", folder.path().display()), ""),
        )
    }

    #[test]
    fn the_same_prompt_is_seen_in_every_format() {
        let train = r#"{"instruction":"How many\n pens?","response":"SELECT count(*) FROM pens"}
{"instruction":"Name","input":"the ink","output":"SELECT 1"}
{"messages":[{"role":"system","content":"Be short."},{"role":"user","content":"Which is red?"},{"role":"assistant","content":"SELECT 2"}]}
{"text":"Question: what is the oldest of them? Answer: SELECT 3"}
{"instruction":"How many pens?","response":"SELECT  count(*) FROM pens"}
"#;
        let heldout = r#"{"prompt":"How many pens?","gold_sql":"SELECT count(*)  FROM pens"}
{"prompt":"Which is red?","gold_sql":"SELECT 7"}
{"prompt":"what is the oldest of them?"}
{"prompt":"Something else?","gold_sql":"SELECT 9"}
{"prompt":"Name\n\nthe ink"}
{"prompt":"Something else?","gold_sql":"SELECT 9"}
"#;
        let (found, error) = overlap(train, heldout);
        let lines: Vec<_> = found
            .pairs
            .iter()
            .map(|(t, h)| (&t[t.len() - 1..], &h[h.len() - 1..]))
            .collect();
        assert_eq!(lines, [("1", "1"), ("3", "2"), ("4", "3"), ("2", "5")]);
        assert_eq!(
            (found.answers, found.repeated, found.literals),
            (1, [1, 1], 4)
        );
        assert!(
            error.starts_with(
                "4 held-out rows have the prompt of a training row: t.jsonl:1 and h.jsonl:1, "
            ),
            "{error}"
        );
        assert!(error.ends_with("or set allow_overlap"), "{error}");
    }

    #[test]
    fn other_prompts_are_none_and_other_names_are_more_than_literals() {
        let train = r#"{"prompt":"a","completion":"SELECT a FROM t WHERE b = 1"}"#;
        let heldout = r#"{"prompt":"b","gold_sql":"SELECT a FROM t WHERE c = 1"}
{"prompt":"c","gold_sql":"select a from t where b = 22"}"#;
        let (found, error) = overlap(train, heldout);
        assert_eq!((found.pairs.len(), found.literals, &error[..]), (0, 1, ""));
    }
}
