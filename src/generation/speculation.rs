//! How far rows guess ahead. A step of few rows waits for memory, so that further rows cost it little: each decoding row may bring
//! guesses at its next tokens, which are checked with it. What is chosen at each place is what would be chosen without them.
//!
//! A guess is made where it pays, by what further rows cost and by how often guesses were right so far. No clock is asked: the same
//! rows make the same guesses.

use super::drafts::{Drafter, Guess, Source};
use crate::model::weight::Held;
use std::collections::BTreeMap;

/// Most rows of a step with guesses: products of more are no longer cheap, and in f32 they sum in another order.
pub const ROWS: usize = 8;

/// What one more row costs, as a share of a step of one row (docs/LOG.md).
pub fn cost(held: Held) -> f64 {
    match held {
        Held::Numbers | Held::Bf16 => 0.35,
        Held::Q8 | Held::Native => 0.15,
    }
}

/// What a row that decodes goes on from.
pub struct Open {
    pub mixture: usize,
    /// Its prompt and its answer so far.
    pub tokens: Vec<u32>,
    /// Of them, the prompt.
    pub prompt: usize,
    /// Most guesses: its longest answer ends there.
    pub room: usize,
}

/// How often a source was right, of what it promised. Old cases fade.
#[derive(Debug, Clone, Copy, Default)]
struct Record {
    promised: f64,
    right: f64,
}

/// Cases that a record begins with, and how many of them are taken to be right: little is risked before something is known.
const PRIOR: Record = Record {
    promised: 4.0,
    right: 2.4,
};
/// What of a record is left after a step.
const FADES: f64 = 0.995;

impl Record {
    /// What its source's promises are to be multiplied by.
    fn trust(&self) -> f64 {
        (self.right + PRIOR.right) / (self.promised + PRIOR.promised)
    }
}

/// What is known of guesses so far.
pub struct Speculation {
    /// Of each mixture the records of its sources.
    records: Vec<[Record; 2]>,
    /// What one more row costs, of a step of one row.
    cost: f64,
}

impl Speculation {
    /// Nothing yet.
    pub fn new(cost: f64) -> Self {
        Self {
            records: Vec::new(),
            cost,
        }
    }

    /// Guesses for rows that decode in one step, by their numbers: those likeliest to be right, as long as they pay.
    ///
    /// `drafters` are those of the mixtures; nothing is to be guessed behind a token that `ends` an answer.
    pub fn guess(
        &mut self,
        drafters: &[Drafter],
        rows: BTreeMap<usize, Open>,
        ends: &dyn Fn(u32) -> bool,
    ) -> BTreeMap<usize, Vec<Guess>> {
        let (numbers, mut rows): (Vec<usize>, Vec<Open>) = rows.into_iter().unzip();
        self.records.resize(drafters.len(), Default::default());
        for record in self.records.iter_mut().flatten() {
            record.promised *= FADES;
            record.right *= FADES;
        }
        let mut guesses: Vec<Vec<Guess>> = rows.iter().map(|_| Vec::new()).collect();
        let next = |row: &Open, likely| {
            let (guess, likely) = self.next(&drafters[row.mixture], row, likely)?;
            (!ends(guess.token)).then_some((guess, likely))
        };
        let mut open: Vec<_> = rows.iter().map(|row| next(row, 1.0)).collect();
        // The step's rows, and the tokens that they are likely to give.
        let (mut count, mut tokens) = (rows.len(), rows.len() as f64);
        while count < ROWS {
            let places = open.iter().enumerate();
            let likeliest =
                places.filter_map(|(at, next)| next.map(|(guess, likely)| (at, guess, likely)));
            // Of the same likelihood the first.
            let Some((at, guess, likely)) = likeliest.rev().max_by(|a, b| a.2.total_cmp(&b.2))
            else {
                break;
            };
            // More tokens for the time.
            let time = 1.0 + self.cost * (count as f64 - 1.0);
            if likely * time <= self.cost * tokens {
                break;
            }
            count += 1;
            tokens += likely;
            guesses[at].push(guess);
            let row = &mut rows[at];
            row.tokens.push(guess.token);
            row.room -= 1;
            open[at] = next(row, likely);
        }
        numbers.into_iter().zip(guesses).collect()
    }

    /// The next guess of a row, and how likely it is right with those before it, which are right with the likelihood `before`.
    fn next(&self, drafter: &Drafter, row: &Open, before: f64) -> Option<(Guess, f64)> {
        if row.room == 0 {
            return None;
        }
        let guess = drafter.guess(&row.tokens, row.prompt)?;
        let trust = self.records[row.mixture][place(guess.source)].trust();
        Some((guess, before * (guess.share * trust).min(1.0)))
    }

    /// Takes note of a row's guesses, of which the first `right` were right, and the next one, if there is one, was not.
    pub fn learn(&mut self, mixture: usize, guesses: &[Guess], right: usize) {
        let records = &mut self.records[mixture];
        for (i, guess) in guesses.iter().enumerate().take(right + 1) {
            let record = &mut records[place(guess.source)];
            record.promised += guess.share;
            record.right += if i < right { 1.0 } else { 0.0 };
        }
    }
}

fn place(source: Source) -> usize {
    match source {
        Source::Ngrams => 0,
        Source::Lookup => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::bank::Mixture;
    use crate::adapters::ngrams::Ngrams;
    use crate::generation::drafts;

    const END: u32 = 0;

    fn tables() -> [Option<Ngrams>; 1] {
        let answers: [&[u32]; 3] = [&[1, 2, 3, 4, 5, 6, 7, 8, 9, END], &[20, 21], &[20, 22]];
        [Some(Ngrams::of(answers.into_iter()))]
    }

    fn open(answer: &[u32], room: usize) -> Open {
        Open {
            mixture: 0,
            tokens: answer.to_vec(),
            prompt: 0,
            room,
        }
    }

    fn guess(speculation: &mut Speculation, rows: Vec<Open>) -> Vec<Vec<Guess>> {
        let rows = rows.into_iter().enumerate().collect();
        let tables = tables();
        let drafters = drafts::drafters(&[Mixture::only(0)], &tables);
        let guesses = speculation.guess(&drafters, rows, &|token| token == END);
        guesses.into_values().collect()
    }

    #[test]
    fn rows_guess_as_far_as_they_may() {
        let mut free = Speculation::new(0.0);
        let mut guess = |rows: Vec<Open>| -> Vec<Vec<u32>> {
            guess(&mut free, rows)
                .iter()
                .map(|row| drafts::tokens(row))
                .collect()
        };
        // Eight rows in all; not beyond the longest answer, and not behind an end.
        assert_eq!(guess(vec![open(&[1], 50)]), [[2, 3, 4, 5, 6, 7, 8]]);
        assert_eq!(guess(vec![open(&[1], 2)]), [[2, 3]]);
        assert_eq!(guess(vec![open(&[1, 2, 3, 4, 5, 6, 7, 8], 9)]), [[9]]);
        // A sure guess of one row before an unsure one of another.
        let both = guess(vec![open(&[20], 9), open(&[1], 4)]);
        assert_eq!(both, [vec![21], vec![2, 3, 4, 5]]);
        let eight = (0..8).map(|_| open(&[1], 50)).collect();
        assert_eq!(guess(eight), vec![Vec::<u32>::new(); 8]);
    }

    #[test]
    fn guesses_that_cost_more_than_they_give_are_not_made() {
        let guesses = |cost: f64, rows: usize| -> usize {
            let rows = (0..rows).map(|_| open(&[1], 50)).collect();
            let guesses = guess(&mut Speculation::new(cost), rows);
            guesses.iter().map(Vec::len).sum()
        };
        assert_eq!(guesses(0.01, 1), 7);
        let some = guesses(0.1, 1);
        assert!((1..7).contains(&some), "{some}");
        assert_eq!(guesses(0.9, 1), 0);
        // Of more rows there is less to gain.
        assert!(guesses(0.5, 1) > 0);
        assert_eq!(guesses(0.5, 4), 0);
    }

    #[test]
    fn a_source_that_is_wrong_is_left_and_tried_again_later() {
        let mut speculation = Speculation::new(0.1);
        let mut made = Vec::new();
        for _ in 0..400 {
            let guesses = guess(&mut speculation, vec![open(&[1], 50)]).remove(0);
            speculation.learn(0, &guesses, 0);
            made.push(guesses.len());
        }
        let rows: usize = made.iter().sum();
        // A tenth of a step each.
        assert!(made[0] > 2 && rows < 80, "{rows}: {made:?}");
        let pause = made.iter().position(|n| *n == 0).unwrap();
        assert!(made[pause..].iter().any(|n| *n > 0), "{made:?}");
        // And believed where it is right.
        for _ in 0..200 {
            let guesses = guess(&mut speculation, vec![open(&[1], 50)]).remove(0);
            speculation.learn(0, &guesses, guesses.len());
        }
        assert!(guess(&mut speculation, vec![open(&[1], 50)])[0].len() >= 5);
    }
}
