//! A base's chat template, rendered as transformers renders it. The template is a stranger's: its steps and
//! what it writes are bounded.

use super::json;
use crate::data::record::{Role, Turn};
use crate::model::tokenizer::Chat;
use anyhow::{Result, anyhow, ensure};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value};
use regex::Regex;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Most bytes of a template, most steps it takes, and most bytes it writes.
const LONGEST: usize = 1 << 20;
const STEPS: u64 = 2_000_000;
const MOST: usize = 8 << 20;
/// Most characters of its errors that are shown.
const SAID: usize = 500;

/// A base's templates, compiled.
pub struct Jinja {
    environment: Environment<'static>,
    texts: BTreeMap<String, String>,
    tokens: BTreeMap<String, String>,
}

/// What a template is asked for.
pub struct Asked<'a> {
    pub turns: &'a [Turn],
    pub tools: &'a [serde_json::Value],
    /// Whether an answer is to follow.
    pub generation: bool,
}

impl Jinja {
    /// Errors where the base has no template, or one that cannot be read.
    pub fn new(chat: &Chat) -> Result<Self> {
        ensure!(
            !chat.templates.is_empty(),
            "--template base: the base has no chat template; use --template plain or chatml"
        );
        let mut environment = Environment::new();
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(syntax.build()?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_fuel(Some(STEPS));
        environment.set_formatter(python);
        environment.add_filter("tojson", |value: &Value, options: Kwargs| {
            json::tojson(value, options)
        });
        environment.add_function("raise_exception", |message: String| {
            Err::<String, _>(Error::new(ErrorKind::InvalidOperation, message))
        });
        // transformers marks the answers with it; here the prompt of generation does.
        let generation = Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}")?;
        for (name, text) in &chat.templates {
            ensure!(
                text.len() <= LONGEST,
                "the base's chat template has {} bytes, too many",
                text.len()
            );
            let text = generation.replace_all(text, |tag: &regex::Captures| {
                let block = tag.get(2).map_or("if true", |_| "endif");
                format!("{{%{} {block} {}%}}", &tag[1], &tag[3])
            });
            environment
                .add_template_owned(name.clone(), text.into_owned())
                .map_err(|e| one_line(&e))?;
        }
        Ok(Self {
            environment,
            texts: chat.templates.clone(),
            tokens: chat.tokens.clone(),
        })
    }

    /// The template for rows with or without tools, as transformers chooses it.
    fn name(&self, tools: bool) -> Result<&str> {
        let has = |name: &&str| self.texts.contains_key(*name);
        let wanted = tools.then_some("tool_use").into_iter().chain(["default"]);
        wanted.into_iter().find(has).ok_or_else(|| {
            let names: Vec<&str> = self.texts.keys().map(String::as_str).collect();
            anyhow!(
                "the base has chat templates for {} only, none of them the default",
                names.join(", ")
            )
        })
    }

    /// Whether the template that serves rows with or without `tools` speaks of `word`.
    pub fn mentions(&self, tools: bool, word: &str) -> Result<bool> {
        Ok(self.texts[self.name(tools)?].contains(word))
    }

    /// The text of a conversation.
    pub fn render(&self, asked: &Asked) -> Result<String> {
        let name = self.name(!asked.tools.is_empty())?;
        let template = self.environment.get_template(name);
        let template = template.map_err(|e| one_line(&e))?;
        let messages: Vec<Value> = asked.turns.iter().map(message).collect();
        let tools: Vec<Value> = asked.tools.iter().map(json::value).collect();
        let tokens = self.tokens.iter();
        let mut context: BTreeMap<&str, Value> = tokens
            .map(|(name, text)| (name.as_str(), Value::from(text)))
            .collect();
        context.insert("messages", messages.into());
        context.insert("documents", Value::from(()));
        context.insert("add_generation_prompt", asked.generation.into());
        context.insert(
            "tools",
            match tools.is_empty() {
                true => Value::from(()),
                false => tools.into(),
            },
        );
        let mut written = Bounded(Vec::new());
        template
            .render_captured_to(Value::from_pairs(context), &mut written)
            .map_err(|e| one_line(&e))?;
        Ok(String::from_utf8(written.0)?)
    }
}

/// A turn as templates read it.
fn message(turn: &Turn) -> Value {
    let mut fields = vec![
        ("role", Value::from(turn.role.name())),
        ("content", Value::from(&turn.content)),
    ];
    if let Some(reasoning) = &turn.reasoning {
        // Both names are in use.
        fields.push(("reasoning_content", Value::from(reasoning)));
        fields.push(("thinking", Value::from(reasoning)));
    }
    if turn.role == Role::Assistant && !turn.tool_calls.is_empty() {
        let calls: Vec<Value> = turn.tool_calls.iter().map(json::value).collect();
        fields.push(("tool_calls", calls.into()));
    }
    let answers = turn.answers.iter();
    fields.extend(answers.map(|(key, text)| (*key, Value::from(text))));
    Value::from_pairs(fields)
}

/// Writes a value as Python's `str` does; lists and mappings, whose forms differ, are refused.
fn python(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    let text = match value.kind() {
        ValueKind::Undefined => return Ok(()),
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => match value.is_true() {
            true => "True".to_owned(),
            false => "False".to_owned(),
        },
        ValueKind::Number => json::number(value),
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        other => {
            let message = format!("it writes a {other} without tojson, which is not supported");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
    };
    out.write_str(&text).map_err(Error::from)
}

/// Takes so many bytes and no more.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error of the template as one line.
fn one_line(error: &Error) -> anyhow::Error {
    let line = error
        .line()
        .map_or(String::new(), |line| format!(" (line {line})"));
    let said = match error.kind() {
        ErrorKind::OutOfFuel => format!("it takes more than {STEPS} steps"),
        ErrorKind::WriteFailure => format!("it writes more than {MOST} bytes"),
        _ => {
            let text = error
                .detail()
                .map_or(error.kind().to_string(), str::to_owned);
            // The date would make other tokens of the same rows tomorrow.
            let date = text.contains("strftime_now").then_some(
                ": it asks for today's date, which would make other tokens of the same rows tomorrow",
            );
            text + date.unwrap_or_default()
        }
    };
    let said: Vec<&str> = said.split_whitespace().collect();
    let said: String = said.join(" ").chars().take(SAID).collect();
    anyhow!("the base's chat template{line}: {said}")
}
