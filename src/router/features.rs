//! What a content router sees in a text: its words and signs, and which follow each other.

use std::collections::BTreeSet;

/// Most words and signs of a text that are looked at.
const MAX_WORDS: usize = 2_000;
/// Longest word that is kept apart from others.
const MAX_LETTERS: usize = 24;

/// The words and signs of a text, lowercased, and the pairs of neighbours, each once. Numbers are all the same.
pub fn features(text: &str) -> BTreeSet<String> {
    let mut features = BTreeSet::new();
    let mut last: Option<String> = None;
    for word in words(text) {
        if let Some(last) = last {
            features.insert(format!("{last} {word}"));
        }
        features.insert(word.clone());
        last = Some(word);
    }
    features
}

fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut push = |word: &mut String| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
        words.len() < MAX_WORDS
    };
    for c in text.chars() {
        if c.is_alphabetic() || c == '_' {
            if word.chars().count() < MAX_LETTERS {
                word.extend(c.to_lowercase());
            }
        } else if c.is_ascii_digit() {
            if !word.ends_with('0') {
                word.push('0');
            }
        } else {
            if !push(&mut word) {
                return words;
            }
            if !c.is_whitespace() {
                word.push(c);
                push(&mut word);
            } else if c == '\n' {
                word.push('\n');
                push(&mut word);
            }
        }
    }
    push(&mut word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_signs_lines_and_neighbours() {
        let found = features("Schema: t1(id)\nWho?");
        for expected in ["schema", ":", "t0", "(", "\n", "\n who", "who ?", ": t0"] {
            assert!(found.contains(expected), "{expected:?} of {found:?}");
        }
        assert!(!found.contains("id who"));
        assert_eq!(features("a 12 3456"), features("A 9 1"));
    }

    #[test]
    fn long_texts_are_bounded() {
        assert!(features(&"ab ".repeat(1_000_000)).len() <= 2);
        let many: String = (0..30_000)
            .map(|i| format!("{} ", "abcdefghij".repeat(i % 97)))
            .collect();
        assert!(features(&many).len() <= 2 * MAX_WORDS);
    }
}
