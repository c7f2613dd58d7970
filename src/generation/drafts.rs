//! Guesses at the token that follows, without a model: by what an adapter's training answers say, or else by what the row itself has
//! said before.

use super::tree::common;
use crate::adapters::bank::Mixture;
use crate::adapters::ngrams::{Ngrams, contexts};

/// Where a guess comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Training answers.
    Ngrams,
    /// The row's own prompt and answer.
    Lookup,
}

/// A guess at a row's next token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guess {
    pub token: u32,
    pub source: Source,
    /// How often the source would be right, by its own word.
    pub share: f64,
}

/// Least share of a continuation that is guessed from training answers.
const SHARE: f64 = 0.5;
/// Tokens that must have stood before, for what followed them to be a guess: from, and enough.
const REPEATED: std::ops::RangeInclusive<usize> = 2..=4;
/// How often a lookup is right, about (docs/LOG.md).
const LOOKUP: f64 = 0.4;

/// What guesses for the rows of one mixture: the tables of its adapters, each counting by its weight.
pub struct Drafter<'a>(Vec<(&'a Ngrams, f64)>);

/// Those of `mixtures` of adapters whose tables are `ngrams`.
pub fn drafters<'a>(mixtures: &[Mixture], ngrams: &'a [Option<Ngrams>]) -> Vec<Drafter<'a>> {
    let of = |mixture| Drafter::new(mixture, ngrams);
    mixtures.iter().map(of).collect()
}

impl<'a> Drafter<'a> {
    /// Of a mixture of adapters whose tables are `ngrams`.
    pub fn new(Mixture(parts): &Mixture, ngrams: &'a [Option<Ngrams>]) -> Self {
        let of = |&(member, weight): &(usize, f64)| Some((ngrams.get(member)?.as_ref()?, weight));
        Self(
            parts
                .iter()
                .filter_map(of)
                .filter(|(_, w)| *w > 0.0)
                .collect(),
        )
    }

    /// What may follow `tokens`, of which the first `prompt` are a row's prompt.
    pub fn guess(&self, tokens: &[u32], prompt: usize) -> Option<Guess> {
        self.learned(&tokens[prompt..]).or_else(|| repeated(tokens))
    }

    /// By the longest context that a table has.
    fn learned(&self, answer: &[u32]) -> Option<Guess> {
        if self.0.is_empty() {
            return None;
        }
        let contexts: Vec<u64> = contexts(answer).collect();
        contexts.into_iter().rev().find_map(|context| {
            let tables = self.0.iter();
            let found = tables.filter_map(|(table, weight)| Some((table.next(context)?, *weight)));
            let found: Vec<_> = found.collect();
            let total: f64 = found
                .iter()
                .map(|(e, weight)| weight * f64::from(e.total))
                .sum();
            let guesses = found.iter().map(|(entry, _)| {
                let same = found.iter().filter(|(e, _)| e.next == entry.next);
                let count: f64 = same.map(|(e, weight)| weight * f64::from(e.count)).sum();
                Guess {
                    token: entry.next,
                    source: Source::Ngrams,
                    share: count / total,
                }
            });
            let best =
                guesses.max_by(|a, b| a.share.total_cmp(&b.share).then(b.token.cmp(&a.token)));
            best.filter(|guess| guess.share >= SHARE)
        })
    }
}

/// What followed the last tokens where they stood before, the longest such run, and of those the last one.
fn repeated(tokens: &[u32]) -> Option<Guess> {
    let back = |end: usize| tokens[..end].iter().rev();
    let mut best = (REPEATED.start() - 1, None);
    for end in (1..tokens.len()).rev() {
        let same = back(end).zip(back(tokens.len())).take(*REPEATED.end());
        let same = same.take_while(|(a, b)| a == b).count();
        if same > best.0 {
            best = (same, Some(tokens[end]));
            if same == *REPEATED.end() {
                break;
            }
        }
    }
    let guess = |token| Guess {
        token,
        source: Source::Lookup,
        share: LOOKUP,
    };
    best.1.map(guess)
}

/// The guessed tokens.
pub fn tokens(guesses: &[Guess]) -> Vec<u32> {
    guesses.iter().map(|guess| guess.token).collect()
}

/// How many of `guesses` are what `said` begins with.
pub fn right(guesses: &[Guess], said: &[u32]) -> usize {
    common(&tokens(guesses), said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(answers: &[&[u32]]) -> Option<Ngrams> {
        Some(Ngrams::of(answers.iter().copied()))
    }

    fn said(guess: Option<Guess>) -> Option<(u32, Source)> {
        guess.map(|guess| (guess.token, guess.source))
    }

    #[test]
    fn training_answers_come_before_what_the_row_said() {
        let tables = [table(&[&[1, 2, 3], &[1, 2, 3], &[4, 2, 9]])];
        let drafter = Drafter::new(&Mixture::only(0), &tables);
        let row = [50, 51, 1, 2, 77, 1, 2];
        assert_eq!(said(drafter.guess(&row, 5)), Some((3, Source::Ngrams)));
        assert_eq!(drafter.guess(&row, 5).unwrap().share, 1.0);
        // Nothing was learned about what follows these.
        let row = [50, 51, 52, 53, 60, 50, 51];
        assert_eq!(said(drafter.guess(&row, 5)), Some((52, Source::Lookup)));
        assert_eq!(said(drafter.guess(&row[..6], 5)), None, "one token alone");
        let none = Drafter::new(&Mixture::default(), &tables);
        assert_eq!(said(none.guess(&[1, 2], 0)), None);
    }

    #[test]
    fn the_longest_run_that_stood_before_is_followed_and_of_those_the_last() {
        for (row, expected) in [
            (&[1, 2, 3, 4, 9, 1, 2, 3, 8, 1, 2, 3][..], Some(8)),
            (&[1, 2, 3, 4, 9, 5, 2, 3, 8, 1, 2, 3], Some(4)),
            (&[1, 2, 1, 2, 1, 2], Some(1)),
            (&[1, 3, 5, 2, 3], None),
            (&[], None),
        ] {
            assert_eq!(repeated(row).map(|guess| guess.token), expected, "{row:?}");
        }
    }

    #[test]
    fn the_tables_of_a_mixture_count_by_their_weights() {
        let tables = [
            table(&[&[1, 2], &[1, 2], &[1, 2]]),
            None,
            table(&[&[1, 7], &[1, 7]]),
        ];
        let guess = |parts: &[(usize, f64)]| {
            let mixture = Mixture(parts.to_vec());
            let guess = Drafter::new(&mixture, &tables).guess(&[1], 0);
            guess.map(|guess| (guess.token, (guess.share * 100.0).round()))
        };
        assert_eq!(guess(&[(0, 1.0), (1, 1.0)]), Some((2, 100.0)));
        assert_eq!(guess(&[(0, 1.0), (2, 1.0)]), Some((2, 60.0)));
        assert_eq!(guess(&[(0, 0.25), (2, 0.75)]), Some((7, 67.0)));
        assert_eq!(guess(&[(0, -1.0), (2, 0.5)]), Some((7, 100.0)));
        assert_eq!(guess(&[(0, 0.0), (1, 1.0)]), None);
    }
}
