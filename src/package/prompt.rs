//! How the model is asked, for whoever serves it: the form of its prompts, the template around them, the end of its answers.

use super::serving::Serving;
use super::weights::Made;
use crate::data::record;
use anyhow::Result;
use serde::Serialize;

/// `prompt.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Prompt {
    /// What `--template` calls it.
    pub template: String,
    /// The same as Jinja, for transformers and llama.cpp.
    pub jinja: String,
    /// What stands before a question and behind it, without the token with which every text begins.
    pub before: String,
    pub after: String,
    pub form: Form,
    /// Texts that end an answer and are cut from it.
    pub stop: Vec<String>,
    /// The end of a trained answer, and every token that ends one.
    pub end: Option<String>,
    pub ends: Vec<String>,
    pub max_tokens: usize,
    /// 0 is greedy.
    pub temperature: f64,
    pub top_p: f64,
    /// Longest text that the model was made for, in tokens.
    pub positions: usize,
}

/// What all questions of the run have in common.
#[derive(Debug, Clone, Serialize)]
pub struct Form {
    /// How many were looked at.
    pub prompts: usize,
    /// Whole lines with which all begin and end; of one prompt alone nothing is said.
    pub begins: String,
    pub ends: String,
    /// Bytes of the longest.
    pub longest: usize,
}

impl Prompt {
    /// Of what was asked and how.
    pub fn of(serving: &Serving, made: &Made) -> Result<Self> {
        let (_, asked) = record::read_prompts(&serving.data, &serving.config.columns)?;
        let questions = asked.iter().filter_map(|asked| asked.turns.last());
        let questions: Vec<&str> = questions.map(|turn| turn.content.as_str()).collect();
        Ok(Self {
            template: made.template.name(),
            jinja: made.asked.jinja.clone(),
            before: made.asked.before.clone(),
            after: made.asked.after.clone(),
            form: Form::of(&questions),
            stop: serving.config.stop.stop.clone(),
            end: made.asked.end.clone(),
            ends: made.ends.clone(),
            max_tokens: serving.config.stop.max_tokens,
            temperature: serving.sampler.temperature,
            top_p: serving.sampler.top_p,
            positions: made.positions,
        })
    }
}

impl Form {
    fn of(questions: &[&str]) -> Self {
        let mut begins = questions.first().copied().unwrap_or_default();
        let mut ends = begins;
        for question in questions {
            begins = &begins[..common(begins.chars(), question.chars())];
            let tail = common(ends.chars().rev(), question.chars().rev());
            ends = &ends[ends.len() - tail..];
        }
        let (mut begins, mut ends) = match questions.iter().any(|q| *q != questions[0]) {
            true => (begins, ends),
            false => ("", ""),
        };
        begins = &begins[..begins.rfind('\n').map_or(0, |at| at + 1)];
        ends = &ends[ends.find('\n').unwrap_or(ends.len())..];
        Self {
            prompts: questions.len(),
            begins: begins.to_owned(),
            ends: ends.to_owned(),
            longest: questions.iter().map(|q| q.len()).max().unwrap_or_default(),
        }
    }
}

/// Bytes of the characters with which both begin.
fn common(a: impl Iterator<Item = char>, b: impl Iterator<Item = char>) -> usize {
    let same = a.zip(b).take_while(|(a, b)| a == b);
    same.map(|(a, _)| a.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_whole_lines_that_all_have() {
        let form = |questions: &[&str]| {
            let form = Form::of(questions);
            (form.begins, form.ends)
        };
        let both = ("Table é\n".to_owned(), "\nSQL:".to_owned());
        assert_eq!(
            form(&["Table é\nHow many?\nSQL:", "Table é\nHow old?\nSQL:"]),
            both
        );
        assert_eq!(form(&["one\ntext"]), Default::default());
        assert_eq!(form(&["one\ntext", "one\ntext"]), Default::default());
        assert_eq!(form(&[]), Default::default());
    }
}
