//! Templates: conversations to tokens, each marked as given or learned.

use super::record::{Content, Conversation, Role};
use crate::model::tokenizer::Tokenizer;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::Serialize;

/// How a conversation becomes text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// Turns joined by one newline; an assistant turn ends with eos.
    Plain,
    /// Qwen3's own template, thinking off.
    Chatml,
}

impl Template {
    /// What `--template` calls it.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or(String::new(), |value| value.get_name().to_owned())
    }

    /// Lets generation end where the template's answers do; a base made for another template, or for
    /// none, has its own end alone.
    pub fn prepare(self, tokenizer: &mut Tokenizer) {
        if let (Self::Chatml, Some(id)) = (self, tokenizer.id(IM_END)) {
            tokenizer.end_with(id);
        }
    }
}

const IM_START: &str = "<|im_start|>";
const IM_END: &str = "<|im_end|>";

/// A run of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub tokens: Vec<u32>,
    /// Whether the loss is on it.
    pub learned: bool,
}

/// A template together with the marker tokens of one tokenizer.
pub struct Renderer<'a> {
    tokenizer: &'a Tokenizer,
    chatml: Option<Markers>,
}

/// Ids of the tokens that chatml is made of.
struct Markers {
    im_start: u32,
    im_end: u32,
    /// `<think>` and `</think>`, which only models that can think know.
    think: Option<[u32; 2]>,
}

impl<'a> Renderer<'a> {
    /// Errors when the tokenizer lacks a token that the template needs.
    pub fn new(template: Template, tokenizer: &'a Tokenizer) -> Result<Self> {
        let chatml = match template {
            Template::Plain => None,
            Template::Chatml => {
                let id = |marker: &str| {
                    tokenizer.id(marker).with_context(|| {
                        format!("--template chatml needs the token {marker}, which the base's tokenizer lacks; use --template plain")
                    })
                };
                Some(Markers {
                    im_start: id(IM_START)?,
                    im_end: id(IM_END)?,
                    think: tokenizer
                        .id("<think>")
                        .zip(tokenizer.id("</think>"))
                        .map(|(open, close)| [open, close]),
                })
            }
        };
        Ok(Self { tokenizer, chatml })
    }

    /// A training row. Learned are every assistant turn and its end marker, or all of a text.
    pub fn row(&self, content: &Content) -> Result<Vec<Piece>> {
        let mut pieces = Pieces::default();
        match content {
            Content::Text(text) => {
                pieces.push(true, self.tokenizer.encode(text)?);
                pieces.push(true, vec![self.tokenizer.eos()]);
            }
            Content::Turns(conversation) => self.turns(conversation, &mut pieces)?,
        }
        // What follows the last answer teaches nothing.
        if pieces.0.last().is_some_and(|p| !p.learned) {
            pieces.0.pop();
        }
        Ok(pieces.0)
    }

    /// The tokens before the answer to `conversation`.
    pub fn prompt(&self, conversation: &Conversation) -> Result<Vec<u32>> {
        let mut pieces = Pieces::default();
        self.turns(conversation, &mut pieces)?;
        if let Some(m) = &self.chatml {
            self.opening(m, true, &mut pieces)?;
        }
        Ok(pieces.0.into_iter().flat_map(|p| p.tokens).collect())
    }

    fn turns(&self, conversation: &Conversation, pieces: &mut Pieces) -> Result<()> {
        let turns = &conversation.turns;
        // Qwen3's template drops the think block of answers that a later question follows.
        let last_question = turns.iter().rposition(|t| t.role == Role::User);
        for (i, turn) in turns.iter().enumerate() {
            let learned = turn.role == Role::Assistant;
            match &self.chatml {
                None if learned => {
                    pieces.push(true, self.tokenizer.encode(&turn.content)?);
                    pieces.push(true, vec![self.tokenizer.eos()]);
                }
                None => pieces.push(
                    false,
                    self.tokenizer.encode(&format!("{}\n", turn.content))?,
                ),
                Some(m) if learned => {
                    let content = &turn.content;
                    ensure!(
                        !content.contains("</think>"),
                        "message {i}: the answer has a </think>; chatml trains with thinking off: leave the block out"
                    );
                    let current = i + 1 == turns.len() && last_question.is_some_and(|q| q < i);
                    self.opening(m, current, pieces)?;
                    let content = match current {
                        true => content.trim_start_matches('\n'),
                        false => content,
                    };
                    pieces.push(true, self.tokenizer.encode_text(content)?);
                    pieces.push(true, vec![m.im_end]);
                    pieces.push(false, self.tokenizer.encode("\n")?);
                }
                Some(m) => {
                    pieces.push(false, vec![m.im_start]);
                    let text = format!("{}\n{}", turn.role.name(), turn.content);
                    pieces.push(false, self.tokenizer.encode_text(&text)?);
                    pieces.push(false, vec![m.im_end]);
                    pieces.push(false, self.tokenizer.encode("\n")?);
                }
            }
        }
        Ok(())
    }

    /// What stands before an assistant's answer; the empty think block says that thinking is off.
    fn opening(&self, m: &Markers, current: bool, pieces: &mut Pieces) -> Result<()> {
        pieces.push(false, vec![m.im_start]);
        pieces.push(false, self.tokenizer.encode("assistant\n")?);
        if let (true, Some([open, close])) = (current, m.think) {
            let blank = self.tokenizer.encode("\n\n")?;
            pieces.push(false, [&[open], &blank[..], &[close], &blank[..]].concat());
        }
        Ok(())
    }
}

/// Pieces under construction: neighbours of one kind are joined.
#[derive(Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    fn push(&mut self, learned: bool, tokens: Vec<u32>) {
        match self.0.last_mut() {
            Some(last) if last.learned == learned => last.tokens.extend(tokens),
            _ => self.0.push(Piece { tokens, learned }),
        }
    }
}
