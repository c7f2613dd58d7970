//! An episode that was played.

use super::call::{Call, Outcome};
use crate::training::sft::Example;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// An episode: its tokens, who wrote them, and what was called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// All of them: the prompt, what the model drew, what was put behind it.
    pub tokens: Vec<u32>,
    /// The tokens that the model drew, a run a turn: they alone carry a loss.
    pub written: Vec<Range<usize>>,
    /// Of each of those tokens, one turn's behind the other's, how likely the model had it (natural logarithm, as the sampler tells it); empty where
    /// nobody asked.
    pub logprobs: Vec<f32>,
    /// Its turns, as many as `written` has runs.
    pub turns: Vec<Turn>,
    pub end: End,
}

/// A turn of the model's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// What it said, special tokens left out.
    pub said: String,
    /// What it called; `None` where that is not understood.
    pub call: Option<Call>,
    pub outcome: Outcome,
    /// Whether it had called the very same before.
    pub repeated: bool,
    /// What it was told, as it was put behind its turn; `None` where the episode ended with it.
    pub observed: Option<String>,
}

/// How an episode ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// With an answer.
    Answered,
    /// All turns were taken without one.
    Turns,
    /// The model holds no further turn.
    Full,
    /// The model's logits were no numbers.
    Error,
}

impl End {
    /// As summaries and pages say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Turns => "no turns left",
            Self::Full => "context full",
            Self::Error => "no numbers",
        }
    }
}

impl Episode {
    /// The query that it answers with.
    pub fn answer(&self) -> Option<&str> {
        let last = self.turns.last()?.call.as_ref()?;
        last.answered()
    }

    /// As it is learned from: the loss on what the model drew alone.
    pub fn example(&self) -> Example {
        Example {
            tokens: self.tokens.clone(),
            learned: self.written.clone(),
        }
    }

    /// The tables whose definitions it had looked up before turn `turn`, as it wrote them.
    pub fn looked_up(&self, turn: usize) -> Vec<&str> {
        let before = self.turns.iter().take(turn);
        let fine = before.filter(|turn| turn.outcome == Outcome::Ok);
        let calls = fine.filter_map(|turn| turn.call.as_ref());
        calls.flat_map(Call::tables).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::{DEFINITIONS, EXECUTE};
    use super::*;
    use serde_json::json;

    fn turn(call: Call, outcome: Outcome) -> Turn {
        Turn {
            said: String::new(),
            call: Some(call),
            outcome,
            repeated: false,
            observed: None,
        }
    }

    #[test]
    fn what_was_looked_up_before_a_turn_is_known() {
        let look = |names: &[&str]| Call::new(DEFINITIONS, json!({ "table_names": names }));
        let run = Call::new(EXECUTE, json!({"query": "SELECT 1"}));
        let episode = Episode {
            tokens: vec![1, 2, 3, 4, 5],
            written: vec![1..2, 3..5],
            logprobs: vec![-1.0; 3],
            turns: vec![
                turn(look(&["boats", "crews"]), Outcome::Ok),
                turn(look(&["ships"]), Outcome::UnknownTable),
                turn(run, Outcome::Ok),
                turn(Call::answer("SELECT 2"), Outcome::Ok),
            ],
            end: End::Answered,
        };
        assert!(episode.looked_up(0).is_empty());
        assert_eq!(episode.looked_up(2), ["boats", "crews"]);
        assert_eq!(episode.answer(), Some("SELECT 2"));
        assert_eq!(episode.example().labels(), episode.logprobs.len());
    }
}
