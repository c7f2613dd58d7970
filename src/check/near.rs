//! Questions that are nearly the same text. What many rows have before and behind their questions is left aside first; then two
//! texts are as alike as the share of their three-letter pieces that both have (Jaccard's index); of long texts, their
//! three-word pieces.
//!
//! Pairs are found without comparing all with all: where two sets share a part `t` of their members, the `|a| − ⌈t·|a|⌉ + 1`
//! rarest members of each have one in common (prefix filtering; Bayardo, Ma and Srikant 2007).

use super::rows::Ask;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Texts of fewer words are compared by letters, longer ones by words: nearly all long texts have the same three letters somewhere.
const LONG: usize = 64;

/// For each of `heldout` the training question that is most like it, and how alike they are, where that is at least `least`.
pub fn nearest(train: &[&Ask], heldout: &[&Ask], least: f64) -> Vec<Option<(usize, f64)>> {
    let both = || train.iter().chain(heldout);
    let frame = frame(both().copied());
    let own: Vec<String> = both().map(|ask| own(&ask.text, &frame)).collect();
    // Two texts that are near each other have nearly as many words, so that both are on one side of some border between the two.
    let border = (LONG as f64 / least).ceil() as usize;
    let by_letters = join(&own, train.len(), least, |text, words| {
        (words <= border).then(|| letters(text))
    });
    let by_words = join(&own, train.len(), least, |text, words| {
        (words >= LONG).then(|| word_pieces(text))
    });
    let pairs = by_letters.into_iter().zip(by_words);
    pairs
        .map(|(one, other)| best([one, other].into_iter().flatten()))
        .collect()
}

/// The nearest of some; of equals the first.
fn best(near: impl Iterator<Item = (usize, f64)>) -> Option<(usize, f64)> {
    near.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
}

/// The same by the pieces that `pieces` makes of a text with so many words; it leaves out those without any. The first `count`
/// texts are the training's.
fn join(
    texts: &[String],
    count: usize,
    least: f64,
    pieces: impl Fn(&str, usize) -> Option<Pieces> + Sync,
) -> Vec<Option<(usize, f64)>> {
    let all = texts.par_iter();
    let pieces = all.map(|text| pieces(text, text.split(' ').count()).unwrap_or_default());
    let pieces: Vec<Pieces> = pieces.collect();
    let ranks = ranks(&pieces);
    // In the order of their ranks, rare ones first.
    let sets: Vec<Vec<u32>> = pieces.iter().map(|set| ranked(set, &ranks)).collect();
    let (train, heldout) = sets.split_at(count);
    let prefix = |set: &[u32]| set.len() - (least * set.len() as f64).ceil() as usize + 1;
    let mut holders: Vec<Vec<usize>> = vec![Vec::new(); ranks.len()];
    for (at, set) in train.iter().enumerate() {
        for piece in set.iter().take(prefix(set)) {
            holders[*piece as usize].push(at);
        }
    }
    let nearest = |set: &Vec<u32>| {
        let rare = set.iter().take(prefix(set));
        let candidates: BTreeSet<usize> = rare
            .flat_map(|piece| &holders[*piece as usize])
            .copied()
            .collect();
        let alike = candidates
            .into_iter()
            .map(|at| (at, likeness(set, &train[at])));
        best(alike.filter(|(_, alike)| *alike >= least))
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

/// The pieces of a text, each as its hash.
type Pieces = BTreeSet<u64>;

/// Every three characters in a row; a space stands before the text and behind it.
fn letters(text: &str) -> Pieces {
    let padded = [' '].into_iter().chain(text.chars()).chain([' ']);
    let padded: Vec<char> = padded.collect();
    padded.windows(3).map(hash).collect()
}

/// Every three words in a row.
fn word_pieces(text: &str) -> Pieces {
    let words: Vec<&str> = text.split(' ').collect();
    words.windows(3).map(hash).collect()
}

fn hash(piece: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    piece.hash(&mut hasher);
    hasher.finish()
}

/// The place of each piece when they are sorted by how many texts have it.
fn ranks(sets: &[Pieces]) -> HashMap<u64, u32> {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for piece in sets.iter().flatten() {
        *counts.entry(*piece).or_default() += 1;
    }
    let mut order: Vec<_> = counts.into_iter().map(|(piece, n)| (n, piece)).collect();
    order.sort_unstable();
    let ranked = order.into_iter().zip(0..);
    ranked.map(|((_, piece), rank)| (piece, rank)).collect()
}

fn ranked(set: &Pieces, ranks: &HashMap<u64, u32>) -> Vec<u32> {
    let mut ranked: Vec<u32> = set.iter().map(|piece| ranks[piece]).collect();
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
    fn long_texts_are_compared_by_their_words() {
        let text = |count: usize, odd: &str| {
            let words: Vec<String> = (0..count).map(|n| format!("word{n}")).collect();
            words.join(" ") + " " + odd
        };
        let train = [ask(&text(400, "end"), "a"), ask(&text(70, "end"), "b")];
        let heldout = [
            ask(&text(400, "other"), "x"),
            ask(&text(62, "end"), "y"),
            ask(&text(200, "end"), "z"),
        ];
        let found = nearest(&train.each_ref(), &heldout.each_ref(), 0.8);
        let rows: Vec<_> = found.iter().map(|near| near.map(|(at, _)| at)).collect();
        assert_eq!(rows, [Some(0), Some(1), None]);
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
        let sets = |asks: &[&Ask]| -> Vec<Pieces> {
            asks.iter().map(|ask| letters(&words(&ask.text))).collect()
        };
        for least in [0.5, 0.8, 1.0] {
            let best = |set: &Pieces| {
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
