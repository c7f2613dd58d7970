//! The layouts of rows that other programs have.

use crate::data::record::{Conversation, Meaning, Preference, Role, Turn};
use anyhow::{Result, bail, ensure};
use serde_json::{Map, Value, json};

/// A layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// This program's own.
    Rows,
    Alpaca,
    Sharegpt,
    Messages,
    /// TRL's.
    PromptCompletion,
    /// TRL's, with an explicit prompt.
    Preference,
}

impl Layout {
    pub const ALL: [Self; 6] = [
        Self::Rows,
        Self::Alpaca,
        Self::Sharegpt,
        Self::Messages,
        Self::PromptCompletion,
        Self::Preference,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Alpaca => "alpaca",
            Self::Sharegpt => "sharegpt",
            Self::Messages => "messages",
            Self::PromptCompletion => "prompt-completion",
            Self::Preference => "preference",
        }
    }

    /// Its fields.
    pub fn about(self) -> &'static str {
        match self {
            Self::Rows => {
                "instruction, input where there is one, and response: the rows of this program's own sets"
            }
            Self::Alpaca => "instruction, input and output",
            Self::Sharegpt => "conversations of from and value",
            Self::Messages => "messages of role and content, as TRL and OpenAI have them",
            Self::PromptCompletion => {
                "prompt and completion, as TRL has them: texts, or lists of messages"
            }
            Self::Preference => {
                "prompt, chosen and rejected, as TRL has them: texts, or lists of messages"
            }
        }
    }

    /// The fields of a row that means the same. `input` is what stood apart from the question, where it did.
    ///
    /// Errors say which part of the row the layout has no place for.
    pub fn fields(self, meant: &Meaning, input: Option<&str>) -> Result<Map<String, Value>> {
        let conversation = match (meant, self) {
            (Meaning::Preference(row), Self::Preference) => return preference(row),
            (Meaning::Preference(_), _) => bail!(
                "field \"rejected\" would be lost: --to preference keeps it; --field response=chosen --drop rejected takes the chosen answer alone"
            ),
            (_, Self::Preference) => {
                bail!("there is no answer in \"chosen\" and none in \"rejected\"")
            }
            (Meaning::Text(_), _) => {
                bail!(
                    "field \"text\" is running text, and {} needs a question and an answer",
                    self.name()
                )
            }
            (Meaning::Turns(conversation), _) => conversation,
        };
        let mut fields = Map::new();
        match self {
            Self::Rows | Self::Alpaca => {
                let (system, asked, answer) = self.single(conversation)?;
                if let Some(system) = system {
                    fields.insert("system".to_owned(), system.into());
                }
                let ending = input.map(|input| format!("\n\n{input}"));
                let apart = ending.and_then(|ending| asked.strip_suffix(&ending));
                fields.insert("instruction".to_owned(), apart.unwrap_or(asked).into());
                match (apart.and(input), self) {
                    (Some(input), _) => drop(fields.insert("input".to_owned(), input.into())),
                    (None, Self::Alpaca) => drop(fields.insert("input".to_owned(), "".into())),
                    (None, _) => {}
                }
                let answers = if self == Self::Rows {
                    "response"
                } else {
                    "output"
                };
                if let Some(thoughts) = &answer.reasoning {
                    ensure!(self == Self::Rows, lost("reasoning_content", self));
                    fields.insert("reasoning_content".to_owned(), thoughts.as_str().into());
                }
                fields.insert(answers.to_owned(), answer.content.as_str().into());
            }
            Self::Messages => {
                let turns = conversation.turns.iter().map(|turn| {
                    let mut message = message(turn);
                    if turn.role == Role::Assistant && !turn.learned {
                        message["weight"] = 0.into();
                    }
                    message
                });
                fields.insert("messages".to_owned(), turns.collect());
            }
            Self::Sharegpt => {
                let turns = conversation.turns.iter().map(sharegpt);
                let turns = turns.collect::<Result<Vec<_>>>()?;
                fields.insert("conversations".to_owned(), turns.into());
            }
            Self::PromptCompletion => {
                let turns = &conversation.turns;
                let first = turns
                    .iter()
                    .position(|turn| turn.learned)
                    .unwrap_or(turns.len());
                let (prompt, completion) = turns.split_at(first);
                let assistants = completion
                    .iter()
                    .filter(|turn| turn.role == Role::Assistant);
                ensure!(
                    assistants.into_iter().all(|turn| turn.learned),
                    "an answer that is not learned stands behind one that is: a completion is learned whole (--to messages keeps both)"
                );
                let [prompt, completion] = texts_or_lists([prompt, completion]);
                fields.insert("prompt".to_owned(), prompt);
                fields.insert("completion".to_owned(), completion);
            }
            Self::Preference => {}
        }
        if !conversation.tools.is_empty() {
            ensure!(self != Self::Alpaca, lost("tools", self));
            fields.insert("tools".to_owned(), conversation.tools.clone().into());
        }
        Ok(fields)
    }

    /// The system text, the question and the answer of a conversation that has no more.
    fn single(self, conversation: &Conversation) -> Result<(Option<&str>, &str, &Turn)> {
        let (system, turns) = match &conversation.turns[..] {
            [first, rest @ ..] if first.role == Role::System => (Some(&*first.content), rest),
            turns => (None, turns),
        };
        match turns {
            [asked, answer] if asked.role == Role::User && answer.role == Role::Assistant => {
                ensure!(answer.tool_calls.is_empty(), lost("tool_calls", self));
                Ok((system, &asked.content, answer))
            }
            _ => bail!(
                "has {} messages, and {} holds one question and one answer: --to messages keeps them",
                turns.len(),
                self.name()
            ),
        }
    }
}

fn lost(field: &str, layout: Layout) -> String {
    format!(
        "field {field:?} would be lost in {}: --to messages keeps it",
        layout.name()
    )
}

fn preference(row: &Preference) -> Result<Map<String, Value>> {
    let Preference {
        prompt,
        chosen,
        rejected,
    } = row;
    let [asked, chosen, rejected] = texts_or_lists([&prompt.turns, chosen, rejected]);
    let mut fields = Map::new();
    fields.insert("prompt".to_owned(), asked);
    fields.insert("chosen".to_owned(), chosen);
    fields.insert("rejected".to_owned(), rejected);
    if !prompt.tools.is_empty() {
        fields.insert("tools".to_owned(), prompt.tools.clone().into());
    }
    Ok(fields)
}

/// Parts of a conversation, the first of which asks: texts where each is one plain message, else lists of messages.
fn texts_or_lists<const N: usize>(parts: [&[Turn]; N]) -> [Value; N] {
    let plain = |turn: &Turn| *turn == Turn::new(turn.role, turn.content.clone());
    let mut at = 0..;
    let texts = parts.iter().all(|part| {
        let role = if at.next() == Some(0) {
            Role::User
        } else {
            Role::Assistant
        };
        matches!(part, [only] if only.role == role && plain(only))
    });
    match texts {
        true => parts.map(|part| part[0].content.as_str().into()),
        // What is learned follows from the part.
        false => parts.map(|turns| turns.iter().map(message).collect()),
    }
}

fn message(turn: &Turn) -> Value {
    let mut message = Map::new();
    message.insert("role".to_owned(), turn.role.name().into());
    message.insert("content".to_owned(), turn.content.as_str().into());
    if let Some(thoughts) = &turn.reasoning {
        message.insert("reasoning_content".to_owned(), thoughts.as_str().into());
    }
    if !turn.tool_calls.is_empty() {
        message.insert("tool_calls".to_owned(), turn.tool_calls.clone().into());
    }
    for (key, text) in &turn.answers {
        message.insert((*key).to_owned(), text.as_str().into());
    }
    message.into()
}

fn sharegpt(turn: &Turn) -> Result<Value> {
    let mut keys = turn.answers.keys().copied();
    let has = [
        turn.reasoning.as_ref().map(|_| "reasoning_content"),
        turn.tool_calls.first().map(|_| "tool_calls"),
        keys.next(),
        (turn.role == Role::Assistant && !turn.learned).then_some("weight"),
    ];
    if let Some(field) = has.into_iter().flatten().next() {
        bail!(lost(field, Layout::Sharegpt));
    }
    let from = match turn.role {
        Role::System => "system",
        Role::User => "human",
        Role::Assistant => "gpt",
        Role::Tool => "observation",
    };
    Ok(json!({"from": from, "value": turn.content}))
}
