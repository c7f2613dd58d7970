//! The base's own chat template. Learned is what an assistant's turn adds to the prompt that generation would
//! give it.

use super::jinja::{Asked, Jinja};
use super::pieces::{Piece, Pieces, mark, marked};
use crate::data::record::{Conversation, Role, Turn};
use crate::model::tokenizer::Tokenizer;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

/// The template of one tokenizer.
pub struct Base<'a> {
    tokenizer: &'a Tokenizer,
    jinja: Jinja,
}

impl<'a> Base<'a> {
    /// Errors where the base has no template, or one that cannot be read.
    pub fn new(tokenizer: &'a Tokenizer) -> Result<Self> {
        let jinja = Jinja::new(tokenizer.chat())?;
        Ok(Self { tokenizer, jinja })
    }

    /// The examples of a conversation: one, and another wherever the template shows earlier turns otherwise than
    /// they were learned.
    pub fn examples(&self, conversation: &Conversation) -> Result<Vec<Vec<Piece>>> {
        let marked = self.mark(conversation)?;
        let mut examples: Vec<Pieces> = Vec::new();
        for (i, turn) in conversation.turns.iter().enumerate() {
            if !turn.learned {
                continue;
            }
            let prompt = marked.text(self, i, true)?;
            let full = marked.text(self, i + 1, false)?;
            let answer = full.strip_prefix(&prompt).with_context(|| {
                format!("message {i}: the base's chat template shows this answer otherwise than behind the prompt of generation, so it cannot be learned; use another --template")
            })?;
            let given = marked.tokens(self, &prompt)?;
            let learned = self.answer(&given, answer, marked.mark, i)?;
            let so_far = examples.last().map(Pieces::tokens);
            let so_far = so_far.filter(|so_far| given.starts_with(so_far));
            match (so_far, examples.last_mut()) {
                (Some(so_far), Some(example)) => {
                    example.push(false, &given[so_far.len()..]);
                    example.push(true, &learned);
                }
                _ => {
                    let mut example = Pieces::new(self.tokenizer);
                    example.push(false, &given);
                    example.push(true, &learned);
                    examples.push(example);
                }
            }
        }
        Ok(examples.into_iter().map(Pieces::row).collect())
    }

    /// The tokens before the answer to `conversation`.
    pub fn prompt(&self, conversation: &Conversation) -> Result<Vec<u32>> {
        let marked = self.mark(conversation)?;
        let text = marked.text(self, conversation.turns.len(), true)?;
        marked.tokens(self, &text)
    }

    /// The token that ends the template's answers, if it is always the same.
    pub fn end(&self) -> Option<u32> {
        let turn = |role, text: &str| Turn::new(role, text.to_owned());
        let turns = vec![turn(Role::User, "a"), turn(Role::Assistant, "b")];
        let asked = |turns, generation| Asked {
            turns,
            tools: &[],
            generation,
        };
        let prompt = self.jinja.render(&asked(&turns[..1], true)).ok()?;
        let full = self.jinja.render(&asked(&turns, false)).ok()?;
        let answer = full.strip_prefix(&prompt)?;
        let end = answer.rsplit_once('b')?.1;
        let ids = self.tokenizer.encode(end).ok()?;
        ids.into_iter().find(|id| self.tokenizer.is_added(*id))
    }

    /// What stands before the first question.
    pub fn beginning(&self) -> Option<String> {
        let question = "What is asked?";
        let turns = [Turn::new(Role::User, question.into())];
        let asked = Asked {
            turns: &turns,
            tools: &[],
            generation: true,
        };
        let text = self.jinja.render(&asked).ok()?;
        Some(text.split_once(question)?.0.to_owned())
    }

    /// The learned tokens of an answer that goes on from `given`: up to its end, which is in them.
    fn answer(&self, given: &[u32], answer: &str, mark: char, turn: usize) -> Result<Vec<u32>> {
        let mut pieces = Pieces::new(self.tokenizer);
        pieces.push(false, given);
        pieces.marked(true, answer, mark)?;
        let tokens = pieces.tokens().split_off(given.len());
        let end = tokens.iter().rposition(|id| self.tokenizer.is_eos(*id));
        let end = end.with_context(|| {
            format!("message {turn}: the base's chat template ends this answer with no token that ends generation; use another --template")
        })?;
        Ok(tokens[..=end].to_vec())
    }

    /// The conversation with its added tokens' names marked, which the template then writes as any text.
    fn mark(&self, conversation: &Conversation) -> Result<Marked> {
        let Conversation { turns, tools } = conversation;
        self.check(conversation)?;
        let mut texts: Vec<&str> = Vec::new();
        for turn in turns {
            texts.push(&turn.content);
            texts.extend(turn.reasoning.as_deref());
            turn.tool_calls
                .iter()
                .for_each(|call| strings(call, &mut texts));
            texts.extend(turn.answers.values().map(String::as_str));
        }
        tools.iter().for_each(|tool| strings(tool, &mut texts));
        let mark = mark(texts.into_iter())?;
        let stranger = |text: &str| marked(self.tokenizer, text, false, mark);
        let own = |text: &str| marked(self.tokenizer, text, true, mark);
        let turns = turns.iter().map(|turn| Turn {
            content: match turn.role {
                Role::Assistant => own(&turn.content),
                _ => stranger(&turn.content),
            },
            reasoning: turn.reasoning.as_deref().map(own),
            tool_calls: turn.tool_calls.iter().map(|c| mapped(c, &own)).collect(),
            answers: (turn.answers.iter())
                .map(|(key, text)| (*key, stranger(text)))
                .collect(),
            ..turn.clone()
        });
        let marked = Marked {
            mark,
            turns: turns.collect(),
            tools: tools.iter().map(|tool| mapped(tool, &stranger)).collect(),
        };
        self.check_shown(&marked)?;
        Ok(marked)
    }

    /// Refuses a conversation of which the template leaves out a turn, but for an assistant's: these are learned
    /// or thoughts.
    fn check_shown(&self, conversation: &Marked) -> Result<()> {
        let Marked { mark, turns, tools } = conversation;
        let tag = |i: usize| format!("{mark}{i}{mark}");
        let mut tagged = turns.clone();
        let others = |turn: &Turn| turn.role != Role::Assistant;
        for (i, turn) in tagged.iter_mut().enumerate().filter(|(_, t)| others(t)) {
            turn.content += &tag(i);
        }
        let text = self.jinja.render(&Asked {
            turns: &tagged,
            tools,
            generation: turns.last().is_none_or(others),
        })?;
        for (i, turn) in turns.iter().enumerate().filter(|(_, t)| others(t)) {
            ensure!(
                text.contains(&tag(i)),
                "message {i}: the base's chat template leaves out what the {} says",
                turn.role.name()
            );
        }
        Ok(())
    }

    /// Refuses what the template has no place for, which it would drop in silence.
    fn check(&self, conversation: &Conversation) -> Result<()> {
        let Conversation { turns, tools } = conversation;
        let mentions = |words: &[&str]| {
            let mut found = words
                .iter()
                .map(|word| self.jinja.mentions(!tools.is_empty(), word));
            found.try_fold(false, |any, found| Ok::<_, anyhow::Error>(any | found?))
        };
        ensure!(
            tools.is_empty() || mentions(&["tools"])?,
            "tools: the base's chat template has no place for them"
        );
        for (i, turn) in turns.iter().enumerate() {
            ensure!(
                turn.reasoning.is_none() || mentions(&["reasoning_content", "thinking"])?,
                "message {i}: reasoning: the base's chat template has no place for it"
            );
            ensure!(
                turn.tool_calls.is_empty() || mentions(&["tool_calls"])?,
                "message {i}: tool_calls: the base's chat template has no place for them"
            );
        }
        Ok(())
    }
}

/// A conversation whose texts are marked where they must be cut.
struct Marked {
    mark: char,
    turns: Vec<Turn>,
    tools: Vec<Value>,
}

impl Marked {
    /// The first `turns` turns as the template shows them.
    fn text(&self, base: &Base, turns: usize, generation: bool) -> Result<String> {
        let turns = &self.turns[..turns];
        let asked = Asked {
            turns,
            tools: &self.tools,
            generation,
        };
        base.jinja.render(&asked)
    }

    /// The tokens of a whole text.
    fn tokens(&self, base: &Base, text: &str) -> Result<Vec<u32>> {
        let mut pieces = Pieces::new(base.tokenizer);
        pieces.marked(false, text, self.mark)?;
        let tokens = pieces.tokens();
        match tokens.is_empty() {
            true => Err(anyhow!("the base's chat template writes nothing")),
            false => Ok(tokens),
        }
    }
}

/// The texts in a JSON value, names included.
fn strings<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            into.push(name);
            strings(field, into);
        }),
        _ => {}
    }
}

/// A JSON value with other texts.
fn mapped(value: &Value, text: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(string) => text(string).into(),
        Value::Array(items) => items.iter().map(|item| mapped(item, text)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            fields
                .map(|(name, field)| (text(name), mapped(field, text)))
                .collect()
        }
        other => other.clone(),
    }
}
