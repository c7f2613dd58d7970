//! Qwen3's own template, thinking off, made of tokens.

use super::pieces::{Pieces, mark, marked};
use crate::data::record::{Conversation, Role};
use crate::model::tokenizer::Tokenizer;
use anyhow::{Context, Result, ensure};

pub const IM_START: &str = "<|im_start|>";
pub const IM_END: &str = "<|im_end|>";
const THINK: &str = "<think>\n\n</think>\n\n";

/// Ids of the tokens that chatml is made of.
pub struct Markers {
    im_start: u32,
    im_end: u32,
    /// Whether the base knows `<think>` and `</think>`.
    think: bool,
}

impl Markers {
    /// Errors when the tokenizer lacks a token that the template needs.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self> {
        let id = |marker: &str| {
            tokenizer.id(marker).with_context(|| {
                format!("--template chatml needs the token {marker}, which the base's tokenizer lacks; use --template plain")
            })
        };
        Ok(Self {
            im_start: id(IM_START)?,
            im_end: id(IM_END)?,
            think: thinks(tokenizer),
        })
    }

    /// Adds the turns. A stranger's text ends no turn; an answer's tokens that are not special are its own.
    pub fn turns(
        &self,
        conversation: &Conversation,
        tokenizer: &Tokenizer,
        pieces: &mut Pieces,
    ) -> Result<()> {
        let turns = &conversation.turns;
        let mark = mark(turns.iter().map(|turn| turn.content.as_str()))?;
        // The template drops the think block of answers that a later question follows.
        let last_question = turns.iter().rposition(|t| t.role == Role::User);
        for (i, turn) in turns.iter().enumerate() {
            let answers = turn.role == Role::Assistant;
            let content = &turn.content;
            if answers {
                let thought =
                    content.contains("</think>") || (self.think && content.contains("<think>"));
                ensure!(
                    !thought,
                    "message {i}: the answer has <think> or </think>; chatml trains with thinking off: leave the block out, or use --template base"
                );
                let current = i + 1 == turns.len() && last_question.is_some_and(|q| q < i);
                self.opening(current, pieces)?;
                let content = match current {
                    true => content.trim_start_matches('\n'),
                    false => content,
                };
                let content = marked(tokenizer, content, true, mark);
                pieces.marked(turn.learned, &content, mark)?;
            } else {
                pieces.push(false, &[self.im_start]);
                let content = marked(tokenizer, content, false, mark);
                pieces.marked(false, &format!("{}\n{content}", turn.role.name()), mark)?;
            }
            pieces.push(turn.learned, &[self.im_end]);
            pieces.text(false, "\n")?;
        }
        Ok(())
    }

    /// What stands before an assistant's answer; the empty think block says that thinking is off.
    pub fn opening(&self, current: bool, pieces: &mut Pieces) -> Result<()> {
        pieces.push(false, &[self.im_start]);
        pieces.text(false, "assistant\n")?;
        if current && self.think {
            pieces.text(false, THINK)?;
        }
        Ok(())
    }
}

fn thinks(tokenizer: &Tokenizer) -> bool {
    tokenizer.id("<think>").is_some() && tokenizer.id("</think>").is_some()
}

/// The same as a Jinja template.
pub fn jinja(tokenizer: &Tokenizer) -> String {
    let think = match thinks(tokenizer) {
        true => r"<think>\n\n</think>\n\n",
        false => "",
    };
    JINJA.replace("THINK", think)
}

const JINJA: &str = r"{%- set ns = namespace(question=-1) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {%- set ns.question = loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' }}
    {%- if message.role == 'assistant' and loop.last and ns.question >= 0 and ns.question < loop.index0 %}
        {{- 'THINK' + message.content.lstrip('\n') }}
    {%- else %}
        {{- message.content }}
    {%- endif %}
    {{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\nTHINK' }}
{%- endif %}
";
