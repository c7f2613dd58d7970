//! Questions that are nearly the same text. What many rows have before and behind their questions is left aside first; then two
//! texts are as alike as the share of their three-letter pieces that both have (Jaccard's index).
//!
//! Pairs are found without comparing all with all: where two sets share a part `t` of their members, the `|a| − ⌈t·|a|⌉ + 1`
//! rarest members of each have one in common (prefix filtering; Bayardo, Ma and Srikant 2007).

use super::rows::Ask;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// For each of `heldout` the training question that is most like it, and how alike they are, where that is at least `least`.
pub fn nearest(train: &[&Ask], heldout: &[&Ask], least: f64) -> Vec<Option<(usize, f64)>> {
    let both = || train.iter().chain(heldout);
    let frame = frame(both().copied());
    let grams: Vec<BTreeSet<[char; 3]>> =
        both().map(|ask| pieces(&own(&ask.text, &frame))).collect();
    let ranks = ranks(&grams);
    // In the order of their ranks, rare ones first.
    let sets: Vec<Vec<u32>> = grams.iter().map(|set| ranked(set, &ranks)).collect();
    let (train, heldout) = sets.split_at(train.len());
    let prefix = |set: &[u32]| set.len() - (least * set.len() as f64).ceil() as usize + 1;
    let mut holders: Vec<Vec<usize>> = vec![Vec::new(); ranks.len()];
    for (at, set) in train.iter().enumerate() {
        for gram in set.iter().take(prefix(set)) {
            holders[*gram as usize].push(at);
        }
    }
    let nearest = |set: &Vec<u32>| {
        let rare = set.iter().take(prefix(set));
        let candidates: BTreeSet<usize> = rare
            .flat_map(|gram| &holders[*gram as usize])
            .copied()
            .collect();
        let alike = candidates
            .into_iter()
            .map(|at| (at, likeness(set, &train[at])));
        let near = alike.filter(|(_, alike)| *alike >= least);
        // Of equals the first.
        near.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
    };
    heldout.par_iter().map(nearest).collect()
}

/// Sentences and lines that go with different answers: instructions and schemas, which say nothing of what is asked.
fn frame<'a>(asks: impl Iterator<Item = &'a Ask>) -> HashSet<String> {
    let mut answers: BTreeMap<String, &str> = BTreeMap::new();
    let mut frame = HashSet::new();
    for ask in asks {
        let Some(answer) = ask.answer.as_deref() else {
            continue;
        };
        for sentence in sentences(&ask.text) {
            match answers.get(&sentence) {
                Some(other) if *other != answer => drop(frame.insert(sentence)),
                Some(_) => {}
                None => drop(answers.insert(sentence, answer)),
            }
        }
    }
    frame
}

/// The words of a text outside of the frame; all of them where nothing else is left.
fn own(text: &str, frame: &HashSet<String>) -> String {
    let all: Vec<String> = sentences(text).collect();
    let own: Vec<&str> = all
        .iter()
        .filter(|sentence| !frame.contains(*sentence))
        .map(String::as_str)
        .collect();
    match own.is_empty() {
        true => all.join(" "),
        false => own.join(" "),
    }
}

/// Lines, and within them what ends with a mark; each as its words in lower case.
fn sentences(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(['\n', '.', '?', '!', ':', ';']);
    parts.map(words).filter(|words| !words.is_empty())
}

fn words(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").to_lowercase()
}

/// Every three characters in a row; a space stands before the text and behind it.
fn pieces(text: &str) -> BTreeSet<[char; 3]> {
    let padded = [' '].into_iter().chain(text.chars()).chain([' ']);
    let padded: Vec<char> = padded.collect();
    let three = padded.windows(3);
    three.map(|w| [w[0], w[1], w[2]]).collect()
}

/// The place of each piece when they are sorted by how many texts have it.
fn ranks(sets: &[BTreeSet<[char; 3]>]) -> HashMap<[char; 3], u32> {
    let mut counts: HashMap<[char; 3], usize> = HashMap::new();
    for gram in sets.iter().flatten() {
        *counts.entry(*gram).or_default() += 1;
    }
    let mut order: Vec<_> = counts.into_iter().map(|(gram, n)| (n, gram)).collect();
    order.sort_unstable();
    let ranked = order.into_iter().zip(0..);
    ranked.map(|((_, gram), rank)| (gram, rank)).collect()
}

fn ranked(set: &BTreeSet<[char; 3]>, ranks: &HashMap<[char; 3], u32>) -> Vec<u32> {
    let mut ranked: Vec<u32> = set.iter().map(|gram| ranks[gram]).collect();
    ranked.sort_unstable();
    ranked
}

/// |a ∩ b| / |a ∪ b| of two sorted sets.
fn likeness(a: &[u32], b: &[u32]) -> f64 {
    let (mut i, mut j, mut shared) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, shared) = (i + 1, j + 1, shared + 1),
        }
    }
    shared as f64 / (a.len() + b.len() - shared).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str, answer: &str) -> Ask {
        Ask {
            prompt: String::new(),
            given: String::new(),
            text: text.to_owned(),
            answer: Some(answer.to_owned()),
            query: None,
        }
    }

    #[test]
    fn what_goes_with_different_answers_does_not_make_questions_alike() {
        let frame = "Answer in one line. Tables: trees(id, kind, height), pickers(id, name, age).";
        let train = [
            ask(
                &format!("{frame} Question: How tall is the oldest oak?"),
                "a",
            ),
            ask(&format!("{frame}\nQuestion: Who picks pears?"), "b"),
            ask("Answer in one line.", "c"),
        ];
        let heldout = [
            ask(&format!("{frame} Question: who picks a pear"), "x"),
            ask(&format!("{frame} Question: Which of them are red?"), "y"),
            ask("Answer in one line", "z"),
            ask("", "w"),
        ];
        let (train, heldout) = (train.each_ref(), heldout.each_ref());
        let found = nearest(&train, &heldout, 0.6);
        let rows: Vec<_> = found.iter().map(|near| near.map(|(at, _)| at)).collect();
        // A text that is all frame is compared whole.
        assert_eq!(rows, [Some(1), None, Some(2), None]);
        assert_eq!(found[2].map(|(_, alike)| alike), Some(1.0));
    }

    #[test]
    fn rare_pieces_find_all_that_a_comparison_of_all_with_all_finds() {
        let mut state = 1u64;
        let mut text = || {
            let mut word = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                ["ab", "abc", "cab", "bb", "ca"][(state >> 33) as usize % 5]
            };
            let words: Vec<_> = (0..5).map(|_| word()).collect();
            words.join(" ")
        };
        let all: Vec<Ask> = (0..120).map(|n| ask(&text(), &n.to_string())).collect();
        let all: Vec<&Ask> = all.iter().collect();
        let (train, heldout) = all.split_at(90);
        let sets = |asks: &[&Ask]| -> Vec<BTreeSet<[char; 3]>> {
            asks.iter().map(|ask| pieces(&words(&ask.text))).collect()
        };
        for least in [0.5, 0.8, 1.0] {
            let best = |set: &BTreeSet<[char; 3]>| {
                let alike = sets(train).into_iter().map(|own| {
                    let shared = own.intersection(set).count();
                    shared as f64 / (own.len() + set.len() - shared) as f64
                });
                alike
                    .filter(|alike| *alike >= least)
                    .fold(None, |best: Option<f64>, alike| {
                        Some(best.map_or(alike, |best| best.max(alike)))
                    })
            };
            let expected: Vec<_> = sets(heldout).iter().map(best).collect();
            let found = nearest(train, heldout, least);
            let found: Vec<_> = found
                .iter()
                .map(|near| near.map(|(_, alike)| alike))
                .collect();
            assert_eq!(found, expected, "{least}");
            assert!(
                least == 1.0 || expected.iter().flatten().count() > 3,
                "{least}"
            );
        }
    }
}
