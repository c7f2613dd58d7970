//! Templates: conversations to tokens, each marked as given or learned.

mod base;
mod chatml;
mod jinja;
mod json;
mod pieces;

use super::record::{Content, Conversation, Role, Turn};
use crate::model::tokenizer::Tokenizer;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
pub use pieces::Piece;
use pieces::Pieces;
use serde::Serialize;

/// How a conversation becomes text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// Turns joined by one newline; an assistant turn ends with eos.
    Plain,
    /// Qwen3's own template, thinking off.
    Chatml,
    /// The base's own chat template, tools and reasoning included.
    Base,
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
        if let Some(id) = self.end(tokenizer) {
            tokenizer.end_with(id);
        }
    }

    /// The token that ends a trained answer, the one that a product's readers must know.
    pub fn end(self, tokenizer: &Tokenizer) -> Option<u32> {
        match self {
            Self::Plain => Some(tokenizer.eos()),
            Self::Chatml => tokenizer.id(chatml::IM_END),
            // Where the template cannot be read, the renderer says so.
            Self::Base => base::Base::new(tokenizer).ok().and_then(|base| base.end()),
        }
    }

    /// The template as Jinja, as transformers and llama.cpp read it.
    pub fn jinja(self, tokenizer: &Tokenizer) -> Result<String> {
        let name = |id: u32| {
            let name = tokenizer.name(id);
            let name = name.with_context(|| format!("the tokenizer has no token {id}"))?;
            Ok::<_, anyhow::Error>(serde_json::Value::from(name).to_string())
        };
        let bos = match tokenizer.bos() {
            Some(bos) => format!("{{{{- {} }}}}", name(bos)?),
            None => String::new(),
        };
        Ok(match self {
            Self::Plain => bos + &PLAIN.replace("EOS", &name(tokenizer.eos())?),
            Self::Chatml => {
                // Its own first token is never doubled.
                let own = tokenizer.bos() == tokenizer.id(chatml::IM_START);
                let bos = if own { String::new() } else { bos };
                bos + &chatml::jinja(tokenizer)
            }
            Self::Base => {
                let text = tokenizer.chat().templates.get("default");
                text.context("the base has no chat template")?.clone()
            }
        })
    }
}

const PLAIN: &str = r"{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- message.content + EOS }}
    {%- else %}
        {{- message.content + '\n' }}
    {%- endif %}
{%- endfor %}
";

/// A template together with the tokens of one tokenizer.
pub struct Renderer<'a> {
    tokenizer: &'a Tokenizer,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Plain,
    Chatml(chatml::Markers),
    Base(Box<base::Base<'a>>),
}

impl<'a> Renderer<'a> {
    /// Errors when the base lacks what the template needs.
    pub fn new(template: Template, tokenizer: &'a Tokenizer) -> Result<Self> {
        let kind = match template {
            Template::Plain => Kind::Plain,
            Template::Chatml => Kind::Chatml(chatml::Markers::new(tokenizer)?),
            Template::Base => Kind::Base(Box::new(base::Base::new(tokenizer)?)),
        };
        Ok(Self { tokenizer, kind })
    }

    /// What makes tokens of texts.
    pub fn tokenizer(&self) -> &'a Tokenizer {
        self.tokenizer
    }

    /// The examples of a training row, nearly always one. Learned are assistant turns and their end markers, as
    /// far as the row says so, or all of a text.
    pub fn examples(&self, content: &Content) -> Result<Vec<Vec<Piece>>> {
        let conversation = match content {
            Content::Text(text) => {
                let mut pieces = Pieces::begun(self.tokenizer);
                pieces.answer(true, text, self.tokenizer.eos())?;
                return Ok(vec![pieces.row()]);
            }
            Content::Turns(conversation) => conversation,
        };
        match &self.kind {
            Kind::Base(base) => base.examples(conversation),
            _ => Ok(vec![self.turns(conversation)?.row()]),
        }
    }

    /// The tokens before the answer to `conversation`.
    pub fn prompt(&self, conversation: &Conversation) -> Result<Vec<u32>> {
        if let Kind::Base(base) = &self.kind {
            return base.prompt(conversation);
        }
        let mut pieces = self.turns(conversation)?;
        if let Kind::Chatml(markers) = &self.kind {
            markers.opening(true, &mut pieces)?;
        }
        Ok(pieces.prompt())
    }

    /// The tokens between an answer that was drawn and the next one: its end where it has none, `turns`, and what opens the next. Behind all that
    /// was there they are what [`Self::prompt`] gives for the whole. Errors for the base's own template, which may show what was said before
    /// otherwise.
    pub fn behind(&self, answer: &[u32], turns: Vec<Turn>) -> Result<Vec<u32>> {
        let ended = answer
            .last()
            .is_some_and(|last| self.tokenizer.is_eos(*last));
        let mut pieces = Pieces::new(self.tokenizer);
        pieces.push(false, answer);
        match &self.kind {
            Kind::Base(_) => bail!(
                "--template base may show earlier turns otherwise than they were drawn: use plain or chatml"
            ),
            Kind::Chatml(markers) => markers.behind(ended, turns, self.tokenizer, &mut pieces)?,
            Kind::Plain => {
                if !ended {
                    pieces.push(false, &[self.tokenizer.eos()]);
                }
                self.plain(&turns.into(), &mut pieces)?;
            }
        }
        Ok(pieces.tokens().split_off(answer.len()))
    }

    /// The base's own chat template, where that is the template.
    pub fn chat_template(&self) -> Option<&str> {
        let Kind::Base(_) = self.kind else {
            return None;
        };
        let text = self.tokenizer.chat().templates.get("default")?;
        Some(text)
    }

    /// What a user may want to know: that the base's own template begins otherwise than chatml.
    pub fn remark(&self) -> Option<String> {
        let Kind::Chatml(_) = self.kind else {
            return None;
        };
        let beginning = base::Base::new(self.tokenizer).ok()?.beginning()?;
        let own = format!("{}user\n", chatml::IM_START);
        let more = beginning.strip_suffix(&own).unwrap_or(&beginning);
        (!more.is_empty()).then(|| {
            let shown: String = more.chars().take(120).collect();
            format!("chatml does not add what the base's own chat template puts before a first question without a system message, {shown:?}; --template base does")
        })
    }

    /// The turns of a template that knows text alone.
    fn turns(&self, conversation: &Conversation) -> Result<Pieces<'a>> {
        let mut pieces = Pieces::begun(self.tokenizer);
        if let Kind::Chatml(markers) = &self.kind {
            text_alone(conversation, true)?;
            markers.turns(conversation, self.tokenizer, &mut pieces)?;
            return Ok(pieces);
        }
        self.plain(conversation, &mut pieces)?;
        Ok(pieces)
    }

    fn plain(&self, conversation: &Conversation, pieces: &mut Pieces) -> Result<()> {
        text_alone(conversation, false)?;
        for turn in &conversation.turns {
            match turn.role {
                Role::Assistant => {
                    pieces.answer(turn.learned, &turn.content, self.tokenizer.eos())?;
                }
                _ => pieces.text(false, &format!("{}\n", turn.content))?,
            }
        }
        Ok(())
    }
}

/// Refuses what only a base's own template has a place for, and without `tools` what chatml has one for too.
fn text_alone(conversation: &Conversation, tools: bool) -> Result<()> {
    const BASE: &str = "only the base's own chat template has a place for it: use --template base";
    const CHATML: &str = "this template has no place for it: use --template chatml or base";
    ensure!(tools || conversation.tools.is_empty(), "tools: {CHATML}");
    for (i, turn) in conversation.turns.iter().enumerate() {
        ensure!(
            tools || turn.role != Role::Tool,
            "message {i}: a tool's turn: {CHATML}"
        );
        ensure!(
            tools || turn.tool_calls.is_empty(),
            "message {i}: tool_calls: {CHATML}"
        );
        ensure!(turn.reasoning.is_none(), "message {i}: reasoning: {BASE}");
    }
    Ok(())
}
