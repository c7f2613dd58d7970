//! How a question is put to a model: a text with places for the parts of it.

use anyhow::{Result, ensure};

/// A text with `{schema}` and `{question}` in it, and perhaps others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt(String);

impl Prompt {
    /// As this program's own sets ask.
    pub const DEFAULT: &str =
        "Write one SQLite query that answers the question.\nSchema: {schema}\nQuestion: {question}";
    /// The same, for questions that come with what one must know.
    pub const WITH_EVIDENCE: &str = "Write one SQLite query that answers the question.\nSchema: {schema}\nEvidence: {evidence}\nQuestion: {question}";

    /// Errors where one of the `needed` places is missing.
    pub fn parse(text: &str, needed: &[&str]) -> Result<Self> {
        for place in needed {
            let place = format!("{{{place}}}");
            ensure!(
                text.contains(&place),
                "the prompt {text:?} has no {place} in it"
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The text as it is.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The text with the parts in their places. What a part says is not looked at for places; a line whose part is empty is left
    /// out.
    pub fn fill(&self, parts: &[(&str, &str)]) -> String {
        let lines = self.0.split('\n').filter_map(|line| line_of(line, parts));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn line_of(line: &str, parts: &[(&str, &str)]) -> Option<String> {
    let (mut filled, mut rest) = (String::new(), line);
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let part = parts.iter().find_map(|(name, part)| {
            let behind = rest.strip_prefix('{')?.strip_prefix(name)?;
            Some((*part, behind.strip_prefix('}')?))
        });
        match part {
            Some(("", _)) => return None,
            Some((part, behind)) => {
                filled.push_str(part);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    Some(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_put_in_once_and_empty_ones_take_their_line_along() {
        let prompt = Prompt::parse(Prompt::WITH_EVIDENCE, &["schema", "question"]).unwrap();
        let fill = |evidence| {
            prompt.fill(&[
                ("schema", "a({question})"),
                ("question", "{schema}?"),
                ("evidence", evidence),
            ])
        };
        assert_eq!(
            fill("x = 1"),
            "Write one SQLite query that answers the question.\nSchema: a({question})\nEvidence: x = 1\nQuestion: {schema}?"
        );
        assert_eq!(
            fill(""),
            "Write one SQLite query that answers the question.\nSchema: a({question})\nQuestion: {schema}?"
        );
        let odd = Prompt::parse("{{x} {schema}{question} {", &[]).unwrap();
        assert_eq!(odd.fill(&[("schema", "s"), ("question", "q")]), "{{x} sq {");
        let error = Prompt::parse("Schema: {schema}", &["schema", "question"]).unwrap_err();
        assert!(error.to_string().contains("has no {question} in it"));
    }
}
