//! Secrets and personal data in texts, by obvious patterns.

mod patterns;

use patterns::PATTERNS;
use regex::{Regex, RegexSet};
use std::ops::Range;
use std::sync::LazyLock;

/// What should not be in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Keys and passwords.
    Secret,
    /// Addresses and numbers of people.
    Personal,
}

/// Something private in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Private {
    pub kind: Kind,
    /// Such as `e-mail address`.
    pub name: &'static str,
    /// Where it stands, in bytes.
    pub range: Range<usize>,
}

/// The patterns, compiled; all of them at once say whether to look for each.
static COMPILED: LazyLock<(RegexSet, Vec<Regex>)> = LazyLock::new(|| {
    let texts = PATTERNS.map(|pattern| pattern.regex);
    fn fixed(error: regex::Error) -> ! {
        unreachable!("the patterns are fixed: {error}")
    }
    let set = RegexSet::new(texts).unwrap_or_else(|error| fixed(error));
    let each = texts.map(|text| Regex::new(text).unwrap_or_else(|error| fixed(error)));
    (set, each.into())
});

/// What is private in a text.
pub fn find(text: &str) -> Vec<Private> {
    let (set, each) = &*COMPILED;
    let mut found: Vec<Private> = Vec::new();
    for at in set.matches(text) {
        let pattern = &PATTERNS[at];
        for captures in each[at].captures_iter(text) {
            let Some(hit) = captures.get(1).or_else(|| captures.get(0)) else {
                continue;
            };
            let range = hit.range();
            // A key that is assigned is one find, under its own name.
            let inside =
                |other: &Private| range.start < other.range.end && other.range.start < range.end;
            if found.iter().any(inside) || !(pattern.check)(hit.as_str()) {
                continue;
            }
            found.push(Private {
                kind: pattern.kind,
                name: pattern.name,
                range,
            });
        }
    }
    found
}
