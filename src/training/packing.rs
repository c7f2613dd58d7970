//! Rows to one batch: what several of them begin with is computed once.

use super::sft::Example;
use crate::model::batch::Batch;
use crate::model::head::Label;

/// Fewest tokens that a shared prefix is worth a segment of its own for.
const MIN_SHARED: usize = 8;

/// Examples as the model takes them.
pub struct Packed {
    pub batch: Batch,
    /// One for each learned token, at the row before it; rows with a common prefix may have labels on the same row of it.
    pub labels: Vec<Label>,
    /// For each segment, the example that it ends, by its place; `None` is a shared prefix.
    pub ends: Vec<Option<usize>>,
}

/// Packs examples into one batch. With `share`, those that begin alike become children of one prefix, grouped so that the most
/// tokens are spared: the same losses and gradients, up to the order of sums.
pub fn pack<'a>(examples: impl IntoIterator<Item = &'a Example>, share: bool) -> Packed {
    let examples: Vec<&Example> = examples.into_iter().collect();
    let mut packed = Packed {
        batch: Batch::default(),
        labels: Vec::new(),
        ends: Vec::new(),
    };
    let groups = match share {
        true => groups(&examples),
        false => (0..examples.len()).map(|i| (vec![i], 0)).collect(),
    };
    for (members, shared) in groups {
        let first = packed.batch.len();
        let parent = (shared > 0).then(|| {
            packed.ends.push(None);
            let prefix = &examples[members[0]].tokens[..shared];
            packed.batch.push_sequence(prefix)
        });
        for member in members {
            let example = examples[member];
            let start = packed.batch.len();
            let own = &example.tokens[shared..];
            match parent {
                Some(parent) => packed.batch.push_child(parent, own),
                None => packed.batch.push_sequence(own),
            };
            packed.ends.push(Some(member));
            let row = |token: usize| match token < shared {
                true => first + token,
                false => start + token - shared,
            };
            let learned = example.learned.iter().cloned().flatten();
            packed.labels.extend(learned.map(|i| Label {
                row: row(i - 1) as u32,
                target: example.tokens[i],
                sequence: member as u32,
            }));
        }
    }
    packed
}

/// Examples that share a prefix and its length, 0 for one alone; ordered by their first member. Sorted by their tokens,
/// examples of a group lie side by side, and the best cuts follow from those of the shorter lists.
fn groups(examples: &[&Example]) -> Vec<(Vec<usize>, usize)> {
    let mut sorted: Vec<usize> = (0..examples.len()).collect();
    sorted.sort_by_key(|&i| (&examples[i].tokens, i));
    let tokens = |at: usize| &examples[sorted[at]].tokens;
    let alike = |at: usize| {
        let (a, b) = (tokens(at), tokens(at + 1));
        // Every row keeps a token of its own.
        let most = a.len().min(b.len()).saturating_sub(1);
        a[..most]
            .iter()
            .zip(&b[..most])
            .take_while(|(a, b)| a == b)
            .count()
    };
    let alike: Vec<usize> = (1..examples.len()).map(|at| alike(at - 1)).collect();
    // best[end] is what the first `end` spare at most, and where the last group of them starts.
    let mut best = vec![(0, 0)];
    for end in 1..=examples.len() {
        let mut found = (best[end - 1].0, end - 1);
        let mut shared = usize::MAX;
        for start in (0..end - 1).rev() {
            shared = shared.min(alike[start]);
            if shared < MIN_SHARED {
                break;
            }
            let spared = best[start].0 + shared * (end - start - 1);
            if spared > found.0 {
                found = (spared, start);
            }
        }
        best.push(found);
    }
    let mut groups = Vec::new();
    let mut end = examples.len();
    while end > 0 {
        let start = best[end].1;
        let mut members = sorted[start..end].to_vec();
        members.sort();
        let shared = alike[start..end - 1].iter().min().copied().unwrap_or(0);
        groups.push((members, shared));
        end = start;
    }
    groups.sort();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_before_what_they_predict() {
        let two_turns = Example {
            tokens: vec![4, 5, 6, 9],
            learned: vec![1..2, 3..4],
        };
        let packed = pack(&[Example::new(&[1, 2], &[3, 9]), two_turns], true);
        assert_eq!(packed.batch.tokens, [1, 2, 3, 9, 4, 5, 6, 9]);
        assert_eq!(seen(&packed), [(1, 3, 0), (2, 9, 0), (4, 5, 1), (6, 9, 1)]);
    }

    fn seen(packed: &Packed) -> Vec<(u32, u32, u32)> {
        let labels = packed.labels.iter();
        labels.map(|l| (l.row, l.target, l.sequence)).collect()
    }

    #[test]
    fn a_common_prefix_is_there_once() {
        let schema: Vec<u32> = (100..110).collect();
        let row = |question: &[u32], answer: &[u32]| {
            Example::new(&[&schema[..], question].concat(), answer)
        };
        // The second stands alone, the third is the prefix and an answer, the last two are the same row.
        let examples = [
            row(&[1], &[2, 9]),
            Example::new(&[7, 8], &[9]),
            row(&[], &[3, 9]),
            row(&[1, 5], &[6, 9]),
            row(&[1, 5], &[6, 9]),
        ];
        let packed = pack(&examples, true);
        let batch = &packed.batch;
        assert_eq!(
            packed.ends,
            [None, Some(0), Some(2), Some(3), Some(4), Some(1)]
        );
        assert_eq!(batch.tokens[..10], schema);
        assert_eq!(
            batch.tokens[10..],
            [1, 2, 9, 3, 9, 1, 5, 6, 9, 1, 5, 6, 9, 7, 8, 9]
        );
        assert_eq!(batch.positions[10..15], [10, 11, 12, 10, 11]);
        // The third row's first answer token is predicted from the prefix's last.
        assert!(seen(&packed).contains(&(9, 3, 2)));
        assert_eq!(packed.labels.len(), 9);
        assert_eq!(pack(&examples, false).batch.len(), 13 + 3 + 12 + 14 + 14);
    }

    #[test]
    fn rows_are_grouped_so_that_the_most_is_spared() {
        let row = |prefix: &[u32], n: usize, own: u32| {
            Example::new(&[prefix, &vec![77; n], &[own]].concat(), &[1])
        };
        // All four begin alike for 10 tokens, two of them for 30.
        let (a, b): (Vec<u32>, Vec<u32>) = ((0..10).collect(), (0..10).chain([50; 20]).collect());
        let examples = [row(&a, 0, 5), row(&b, 3, 6), row(&a, 0, 8), row(&b, 2, 7)];
        let examples: Vec<&Example> = examples.iter().collect();
        // 3 · 10 apart from the others, or 10 + 30.
        assert_eq!(groups(&examples), [(vec![0, 2], 10), (vec![1, 3], 32)]);
        let few = [row(&a[..5], 0, 5), row(&a[..5], 0, 6)];
        assert_eq!(pack(&few, true).ends, [Some(0), Some(1)]);
    }
}
