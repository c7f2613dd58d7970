//! Qwen3's own template, thinking off, made of tokens.
//!
//! It differs where tools answer: every answer behind the last question has the empty think block, not the last one alone, so that a conversation
//! with tools goes on from the very tokens that its prompts had.

mod tools;

use super::pieces::{Pieces, mark, marked};
use crate::data::record::{Conversation, Role, Turn};
use crate::model::tokenizer::Tokenizer;
use anyhow::{Context, Result, anyhow, ensure};

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
        let Conversation { turns, tools } = conversation;
        let more = tools::texts(tools, turns)?;
        let texts = turns.iter().map(|turn| turn.content.as_str());
        let mark = mark(texts.chain(more.iter().map(String::as_str)))?;
        let stranger = |turn: &Turn| marked(tokenizer, &turn.content, false, mark);
        let mut turns = &turns[..];
        if !tools.is_empty() {
            let system = turns
                .split_first()
                .filter(|(turn, _)| turn.role == Role::System);
            turns = system.map_or(turns, |(_, rest)| rest);
            let system = system.map(|(turn, _)| stranger(turn));
            let text = tools::offered(system, tools, tokenizer, mark)?;
            self.given(Role::System, &text, mark, pieces)?;
        }
        // The template drops the think block of answers that a later question follows.
        let last_question = turns.iter().rposition(|t| t.role == Role::User);
        let with_tools = turns.iter().any(|turn| turn.role == Role::Tool);
        for (i, turn) in turns.iter().enumerate() {
            match turn.role {
                Role::Assistant => {
                    let last = with_tools || i + 1 == turns.len();
                    let current = last && last_question.is_some_and(|q| q < i);
                    let message = i + conversation.turns.len() - turns.len();
                    self.answer(turn, current, tokenizer, mark, pieces)
                        .map_err(|error| anyhow!("message {message}: {error}"))?;
                }
                // With those behind the first of them it is one turn.
                Role::Tool if i > 0 && turns[i - 1].role == Role::Tool => {}
                Role::Tool => {
                    let tool = |turn: &&Turn| turn.role == Role::Tool;
                    let all = turns[i..].iter().take_while(tool);
                    let text = tools::heard(&all.map(stranger).collect::<Vec<_>>());
                    self.given(Role::User, &text, mark, pieces)?;
                }
                role => self.given(role, &stranger(turn), mark, pieces)?,
            }
        }
        Ok(())
    }

    fn answer(
        &self,
        turn: &Turn,
        current: bool,
        tokenizer: &Tokenizer,
        mark: char,
        pieces: &mut Pieces,
    ) -> Result<()> {
        let content = &turn.content;
        let thought = content.contains("</think>") || (self.think && content.contains("<think>"));
        ensure!(
            !thought,
            "the answer has <think> or </think>; chatml trains with thinking off: leave the block out, or use --template base"
        );
        self.opening(current, pieces)?;
        let content = match current {
            true => content.trim_start_matches('\n'),
            false => content,
        };
        let content = marked(tokenizer, content, true, mark);
        let content = tools::called(content, turn, tokenizer, mark)?;
        pieces.marked(turn.learned, &content, mark)?;
        self.end(turn.learned, pieces)
    }

    /// A turn that is not the assistant's, its text to be cut at `mark`.
    fn given(&self, role: Role, text: &str, mark: char, pieces: &mut Pieces) -> Result<()> {
        pieces.push(false, &[self.im_start]);
        pieces.marked(false, &format!("{}\n{text}", role.name()), mark)?;
        self.end(false, pieces)
    }

    /// The end of a turn.
    fn end(&self, learned: bool, pieces: &mut Pieces) -> Result<()> {
        pieces.push(learned, &[self.im_end]);
        pieces.text(false, "\n")
    }

    /// What stands between an answer that was drawn, which is in `pieces`, and the next: its end where it has none, `turns` and what opens the
    /// next one.
    pub fn behind(
        &self,
        ended: bool,
        turns: Vec<Turn>,
        tokenizer: &Tokenizer,
        pieces: &mut Pieces,
    ) -> Result<()> {
        match ended {
            true => pieces.text(false, "\n")?,
            false => self.end(false, pieces)?,
        }
        self.turns(&turns.into(), tokenizer, pieces)?;
        self.opening(true, pieces)
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
    JINJA
        .replace("{{ OFFER }}", &tools::jinja_offer())
        .replace("{{ CALL }}", tools::JINJA_CALL)
        .replace("{{ HEAR }}", tools::JINJA_HEAR)
        .replace("THINK", think)
}

const JINJA: &str = r"{%- set ns = namespace(question=-1, tools=false) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {%- set ns.question = loop.index0 %}
    {%- elif message.role == 'tool' %}
        {%- set ns.tools = true %}
    {%- endif %}
{%- endfor %}
{{ OFFER }}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{ HEAR }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}
        {%- if (loop.last or ns.tools) and ns.question >= 0 and ns.question < loop.index0 %}
            {{- 'THINK' + message.content.lstrip('\n') }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{ CALL }}
        {{- '<|im_end|>\n' }}
    {%- elif not (tools and loop.first and message.role == 'system') %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\nTHINK' }}
{%- endif %}
";
