//! Pairs and judged answers as tokens, in the units that their loss takes.

use crate::answering::trained;
use crate::data::jsonl::Faults;
use crate::data::pairs::Judged;
use crate::data::record::Record;
use crate::data::template::Renderer;
use crate::model::load::Base;
use crate::run::observer::Observer;
use crate::session::config::{PreferenceConfig, PreferenceLoss};
use crate::session::sft::strip_ends;
use crate::training::config::OnLong;
use crate::training::sft::{Example, examples};
use anyhow::{Context, Result, bail, ensure};

/// Rows of two: a pair, the chosen answer first, or an answer and another one behind the same prompt.
pub struct Encoded {
    pub examples: Vec<Example>,
    /// Of each example its row's `file:line`.
    pub places: Vec<String>,
    /// Of each answer that is judged alone, whether it is good.
    pub good: Vec<bool>,
}

/// How rows become tokens.
struct Encoder<'a> {
    renderer: &'a Renderer<'a>,
    most: usize,
    on_long: OnLong,
}

/// What a row is.
enum Row {
    Pair([Example; 2]),
    Answer(Example, bool),
}

impl Encoded {
    pub fn of(
        rows: Vec<Judged>,
        config: &PreferenceConfig,
        base: &Base,
        renderer: &Renderer,
        observer: &dyn Observer,
    ) -> Result<Self> {
        trained::remark(renderer, observer);
        let train = &config.sft.train;
        let encoder = Encoder {
            renderer,
            most: train
                .max_seq
                .min(base.decoder.config.max_position_embeddings),
            on_long: train.on_long,
        };
        let (mut kept, mut places, mut skipped) = (Vec::new(), Vec::new(), 0);
        let mut faults = Faults::default();
        for row in without_ends(rows, base, observer)? {
            match encoder.row(&row) {
                Ok(Some(row_of)) => {
                    kept.push(row_of);
                    places.push(place(&row));
                }
                Ok(None) => skipped += 1,
                Err(fault) => faults.add(fault),
            }
        }
        faults.refuse()?;
        let (from, most) = (config.sft.data.display(), encoder.most);
        ensure!(
            !kept.is_empty(),
            "{from}: all {skipped} rows are longer than {most} tokens"
        );
        if skipped > 0 {
            observer.note(format_args!(
                "{from}: left out {skipped} rows longer than {most} tokens"
            ));
        }
        Ok(match config.loss {
            PreferenceLoss::Pairs(_) => Self::pairs(kept, places),
            PreferenceLoss::Kto(_) => Self::answers(kept, places),
        })
    }

    fn pairs(rows: Vec<Row>, places: Vec<String>) -> Self {
        let pairs = rows.into_iter().filter_map(|row| match row {
            Row::Pair(pair) => Some(pair),
            Row::Answer(..) => None,
        });
        Self {
            examples: pairs.flatten().collect(),
            places: places
                .into_iter()
                .flat_map(|place| [place.clone(), place])
                .collect(),
            good: Vec::new(),
        }
    }

    /// Each answer for itself, beside the nearest one before that answers another prompt.
    fn answers(rows: Vec<Row>, places: Vec<String>) -> Self {
        let (mut answers, mut of_places) = (Vec::new(), Vec::new());
        for (row, place) in rows.into_iter().zip(places) {
            match row {
                Row::Pair([chosen, rejected]) => {
                    answers.extend([(chosen, true), (rejected, false)])
                }
                Row::Answer(answer, good) => answers.push((answer, good)),
            }
            of_places.resize(2 * answers.len(), place);
        }
        let all = answers.len();
        let mut examples = Vec::with_capacity(2 * all);
        for (i, (answer, _)) in answers.iter().enumerate() {
            let before = (1..all).map(|by| &answers[(i + all - by) % all].0);
            let other = before.clone().find(|other| prompt(other) != prompt(answer));
            let other = other.or(before.clone().next()).unwrap_or(answer);
            let mismatched = Example::new(prompt(answer), &other.tokens[prompt(other).len()..]);
            examples.extend([answer.clone(), mismatched]);
        }
        Self {
            examples,
            places: of_places,
            good: answers.into_iter().map(|(_, good)| good).collect(),
        }
    }
}

/// What stands before the answer.
fn prompt(example: &Example) -> &[u32] {
    &example.tokens[..example.learned[0].start]
}

fn place(row: &Judged) -> String {
    match row {
        Judged::Pair(pair) => pair.chosen.place.clone(),
        Judged::Answer(record, _) => record.place.clone(),
    }
}

/// Takes end tokens off the answers, which templates add themselves.
fn without_ends(
    mut rows: Vec<Judged>,
    base: &Base,
    observer: &dyn Observer,
) -> Result<Vec<Judged>> {
    let mut records: Vec<Record> = Vec::new();
    for row in &mut rows {
        match row {
            Judged::Pair(pair) => records.extend([pair.chosen.clone(), pair.rejected.clone()]),
            Judged::Answer(record, _) => records.push(record.clone()),
        }
    }
    strip_ends(&mut records, &base.tokenizer, observer)?;
    let mut records = records.into_iter();
    for row in &mut rows {
        let places = match row {
            Judged::Pair(pair) => vec![&mut pair.chosen, &mut pair.rejected],
            Judged::Answer(record, _) => vec![record],
        };
        for (place, record) in places.into_iter().zip(records.by_ref()) {
            *place = record;
        }
    }
    Ok(rows)
}

impl Encoder<'_> {
    /// `None` leaves a row out.
    fn row(&self, row: &Judged) -> Result<Option<Row>> {
        let place = place(row);
        let row = match row {
            Judged::Answer(record, good) => Row::Answer(self.example(record)?, *good),
            Judged::Pair(pair) => {
                let sides = [self.example(&pair.chosen)?, self.example(&pair.rejected)?];
                let [chosen, rejected] = &sides;
                ensure!(
                    chosen.tokens != rejected.tokens,
                    "{place}: chosen and rejected are the same tokens: there is nothing to prefer"
                );
                ensure!(
                    prompt(chosen) == prompt(rejected),
                    "{place}: the template shows the answers behind different prompts: use another --template"
                );
                Row::Pair(sides)
            }
        };
        let length = match &row {
            Row::Pair([chosen, rejected]) => chosen.len().max(rejected.len()),
            Row::Answer(answer, _) => answer.len(),
        };
        match (length <= self.most, self.on_long) {
            (true, _) => Ok(Some(row)),
            (false, OnLong::Skip) => Ok(None),
            (false, _) => bail!(
                "{place}: the row has {length} tokens, more than {}; raise --max-seq, or use --on-long skip",
                self.most
            ),
        }
    }

    /// The example that ends with the row's last answer.
    fn example(&self, record: &Record) -> Result<Example> {
        let last = examples(record, self.renderer)?.pop();
        last.with_context(|| format!("{}: the row has no token to learn", record.place))
    }
}
