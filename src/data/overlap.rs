//! When two rows ask the same: how prompts and answers are compared, and training rows found by what they ask.

use super::jsonl::Line;
use super::record::{Content, Conversation, Role, Turn};
use crate::sql::shape::shape;
use crate::sql::tokens::{Kind, tokens};
use std::collections::{BTreeMap, BTreeSet};

/// A running text overlaps where it has a prompt in it that is at least so long.
const LEAST: usize = 16;
/// Where a held-out row may have its answer.
const ANSWERS: [&str; 4] = ["gold_sql", "response", "completion", "output"];

/// Training rows by what they ask; `P` says which row it is.
#[derive(Default)]
pub struct Trained<P> {
    prompts: BTreeMap<String, (P, BTreeSet<String>)>,
    texts: Vec<(P, String)>,
    /// The running texts that have a word, by their places.
    words: BTreeMap<String, Vec<usize>>,
}

/// A training row that asks something.
pub struct Match<'a, P> {
    /// The first such row.
    pub place: &'a P,
    /// What is answered to it anywhere; none where a running text has the prompt in it.
    pub answers: Option<&'a BTreeSet<String>>,
}

impl<P: Clone> Trained<P> {
    /// Adds a row; returns the prompt and the answer of each turn that an assistant has in it.
    pub fn add(&mut self, place: &P, content: &Content) -> Vec<(String, String)> {
        let turns = match content {
            Content::Text(text) => {
                let text = squeezed(text).to_lowercase();
                for word in text.split(' ').collect::<BTreeSet<_>>() {
                    let texts = self.words.entry(word.to_owned()).or_default();
                    texts.push(self.texts.len());
                }
                self.texts.push((place.clone(), text));
                return Vec::new();
            }
            Content::Turns(conversation) => &conversation.turns,
        };
        let mut pairs = Vec::new();
        for (before, turn) in answered(turns) {
            let (prompt, answer) = (said(before), squeezed(&turn.content));
            let known = self
                .prompts
                .entry(prompt.clone())
                .or_insert_with(|| (place.clone(), BTreeSet::new()));
            known.1.insert(answer.clone());
            pairs.push((prompt, answer));
        }
        pairs
    }

    /// The first row with a prompt, as [`said`] has it, else the first running text with the prompt in it.
    pub fn find(&self, prompt: &str) -> Option<Match<'_, P>> {
        if let Some((place, answers)) = self.prompts.get(prompt) {
            let answers = Some(answers);
            return Some(Match { place, answers });
        }
        let place = (prompt.len() >= LEAST).then(|| self.within(prompt))??;
        let answers = None;
        Some(Match { place, answers })
    }

    /// The first running text that has the prompt in it. Only those are looked through that have all its words but the first and
    /// the last, which may be parts of longer ones.
    fn within(&self, prompt: &str) -> Option<&P> {
        let words: Vec<&str> = prompt.split_whitespace().collect();
        let whole = words.get(1..words.len().saturating_sub(1));
        let lists = whole.unwrap_or_default().iter();
        let lists: Vec<&Vec<usize>> = lists
            .map(|word| self.words.get(*word))
            .collect::<Option<_>>()?;
        let all: Vec<usize> = (0..self.texts.len()).collect();
        let fewest = lists.iter().min_by_key(|list| list.len());
        let texts = fewest.map_or(&all, |list| *list).iter();
        let has = |at: &usize| lists.iter().all(|list| list.binary_search(at).is_ok());
        let mut found = texts.filter(|at| has(at)).map(|at| &self.texts[*at]);
        Some(&found.find(|(_, text)| text.contains(prompt))?.0)
    }
}

/// Each turn of an assistant, with the turns before it.
pub fn answered(turns: &[Turn]) -> impl Iterator<Item = (&[Turn], &Turn)> {
    let all = turns.iter().enumerate();
    let own = all.filter(|(_, turn)| turn.role == Role::Assistant);
    own.map(|(at, turn)| (&turns[..at], turn))
}

/// What is asked, as it is compared: white space counts as one space, letter case and a system text not at all.
pub fn said(turns: &[Turn]) -> String {
    let said = turns.iter().filter(|turn| turn.role != Role::System);
    let texts: Vec<_> = said.map(|turn| squeezed(&turn.content)).collect();
    texts.join("\n").to_lowercase()
}

/// What a row asks, as it is compared.
pub fn prompt_of(asked: &Conversation) -> String {
    said(&asked.turns)
}

/// A held-out row's answer.
pub fn answer_of(line: &Line) -> Option<&str> {
    ANSWERS
        .iter()
        .find_map(|field| line.fields().get(*field)?.as_str())
}

/// One space for white space.
pub fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A query with its names but without its literals.
pub fn without_literals(sql: &str) -> String {
    let words = tokens(sql);
    let names = words
        .iter()
        .filter(|word| matches!(word.kind, Kind::Word | Kind::Quoted));
    let names: Vec<_> = names.map(|word| word.text.to_lowercase()).collect();
    format!("{}\n{}", shape(sql), names.join(" "))
}
