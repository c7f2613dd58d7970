//! The rows that a round trains on: right samples as answers, and rows of before with their own.

use super::keep::{Keep, LeftOut, kept};
use crate::data::jsonl::{self, Line};
use crate::data::record::{self, Columns, Record};
use crate::data::set::rank;
use crate::data::template::Renderer;
use crate::eval::choices::named;
use crate::learning::rollouts::{Drawn, Group};
use crate::learning::rows::{Row, Rows};
use crate::training::config::{OnLong, TrainConfig};
use crate::training::sft;
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// How they are chosen.
pub struct Choice<'a> {
    pub keep: Keep,
    /// The part of all rows that are rows of before.
    pub replay: f64,
    pub columns: &'a Columns,
    pub train: &'a TrainConfig,
    pub renderer: &'a Renderer<'a>,
    pub round: usize,
}

/// What was chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// Rows with an answer that is learned.
    pub rows: usize,
    /// Answers that are learned, each a row of its own.
    pub answers: usize,
    /// Right samples that are not learned, by reason.
    pub left_out: LeftOut,
    /// Learned answers whose text becomes other tokens than those that were drawn.
    pub other_tokens: usize,
    /// Rows of before.
    pub replayed: usize,
}

impl Choice<'_> {
    /// The rows (JSONL), the samples before the rows of before; each as its row in the data is written.
    pub fn of(&self, rows: &Rows, groups: &[Group]) -> Result<(Vec<u8>, Chosen)> {
        let (mut lines, mut chosen) = (Vec::new(), Chosen::default());
        for (row, group) in rows.rows.iter().zip(groups) {
            let gold = row.example.text("gold_sql").unwrap_or_default();
            let before = lines.len();
            for one in kept(group, gold, self.keep, &mut chosen.left_out) {
                let number = lines.len() - before + 1;
                lines.extend(self.learned(rows, row, one, number, &mut chosen)?);
            }
            chosen.rows += usize::from(lines.len() > before);
        }
        chosen.answers = lines.len();
        if chosen.answers > 0 {
            let replayed = self.replayed(rows, chosen.answers)?;
            chosen.replayed = replayed.len();
            lines.extend(replayed);
        }
        Ok((jsonl::to_bytes(&lines)?, chosen))
    }

    /// The row with a sample as its answer; `None` where it is longer than rows may be.
    fn learned(
        &self,
        rows: &Rows,
        row: &Row,
        one: &Drawn,
        number: usize,
        chosen: &mut Chosen,
    ) -> Result<Option<Line>> {
        let text = one.sample.text.as_deref().unwrap_or_default();
        let mut line = record::answered(&rows.path, &row.line, self.columns, text)?;
        let name = named(row.line.id().as_deref(), row.example.index);
        line.set("id", format!("{name}-round-{}-{number}", self.round));
        let record = Record {
            place: format!("{}:{}", rows.path.display(), line.number),
            content: record::learned(&rows.path, &line, self.columns)?,
        };
        let examples = sft::examples(&record, self.renderer)?;
        let long = examples.iter().any(|one| one.len() > self.train.max_seq);
        if long && self.train.on_long != OnLong::TruncatePrompt {
            let reason = "longer than --max-seq".to_owned();
            *chosen.left_out.entry(reason).or_default() += 1;
            return Ok(None);
        }
        let learned = examples.last().and_then(|one| one.answers().last());
        chosen.other_tokens += usize::from(learned != Some(&one.sample.tokens));
        Ok(Some(line))
    }

    /// So many rows of before that they are the wanted part beside `answers` others, in the order of the file; fewer where there are no more.
    fn replayed(&self, rows: &Rows, answers: usize) -> Result<Vec<Line>> {
        let wanted = answers as f64 * self.replay / (1.0 - self.replay);
        let (seed, round) = (self.train.seed, self.round.to_string());
        let place = |row: &&Row| row.example.index.to_string();
        let mut some: Vec<&Row> = rows.rows.iter().collect();
        some.sort_by_cached_key(|row| rank(seed, &["replay", &round, &place(row)]));
        some.truncate(wanted.round() as usize);
        some.sort_by_key(|row| row.example.index);
        let own = |row: &Row| match record::learned(&rows.path, &row.line, self.columns) {
            Ok(_) => Ok(row.line.clone()),
            // It has a reference alone.
            Err(_) => {
                let gold = row.example.text("gold_sql").unwrap_or_default();
                record::answered(&rows.path, &row.line, self.columns, gold)
            }
        };
        some.into_iter().map(own).collect()
    }
}
