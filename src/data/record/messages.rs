//! Lists of messages: `{role, content}`, and ShareGPT's `{from, value}`.

use super::row::{Row, THOUGHTS};
use super::{Role, Turn};
use crate::data::jsonl::kind;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Keys that say whether the loss is on a message, as several programs name them.
const WEIGHTS: [&str; 4] = ["weight", "train", "training", "loss"];

/// Keys of a message that would change what it says, and are not read; what to do about each.
const REFUSED: [(&str, &str); 9] = [
    ("function_call", "write it as tool_calls"),
    ("train_detail", "only whole messages are learned or not"),
    ("training_detail", "only whole messages are learned or not"),
    ("prefix", "only whole messages are read"),
    ("image", "only text is read"),
    ("images", "only text is read"),
    ("audio", "only text is read"),
    ("videos", "only text is read"),
    ("refusal", "write it as the content"),
];

/// The turns of a field that is a list of messages.
pub fn turns(row: &Row, field: &'static str, list: &Value) -> Result<Vec<Turn>> {
    let Value::Array(list) = list else {
        let found = match list {
            Value::String(text) if text.trim_start().starts_with('[') => "JSON inside of a string",
            other => kind(other),
        };
        bail!(row.fault(
            field,
            format!("must be a list of {{role, content}}, found {found}")
        ));
    };
    ensure!(!list.is_empty(), row.fault(field, "has no messages"));
    let read = |(i, message)| {
        turn(message).map_err(|e| row.fault(field, format!("in message {i}: {e:#}")))
    };
    list.iter().enumerate().map(read).collect()
}

fn turn(message: &Value) -> Result<Turn> {
    let Value::Object(message) = message else {
        bail!(
            "must be an object {{role, content}}, found {}",
            kind(message)
        );
    };
    for (key, what_to_do) in REFUSED {
        let there = message
            .get(key)
            .is_some_and(|v| !v.is_null() && *v != Value::Bool(false));
        ensure!(!there, "{key} is not read: {what_to_do}");
    }
    let role = match one(message, &["role", "from"])? {
        Some((_, Value::String(role))) => named(role)?,
        Some((key, other)) => bail!("{key} must be a string, found {}", kind(other)),
        None => bail!("has no role"),
    };
    let reasoning = match one(message, &THOUGHTS)? {
        None => None,
        Some((_, Value::String(text))) => Some(text.clone()).filter(|t| !t.trim().is_empty()),
        Some((key, other)) => bail!("{key} must be a string, found {}", kind(other)),
    };
    let tool_calls = tool_calls(message)?;
    let answers = answers(message)?;
    ensure!(
        role == Role::Tool || answers.is_empty(),
        "{} is not read: only what a tool returned has it",
        answers.keys().copied().collect::<Vec<_>>().join(", ")
    );
    let assistant = role == Role::Assistant;
    ensure!(
        assistant || (reasoning.is_none() && tool_calls.is_empty()),
        "only the assistant thinks and calls tools"
    );
    // A call says all; a tool may return nothing.
    let may_be_empty = !tool_calls.is_empty() || role == Role::Tool;
    let content = match one(message, &["content", "value"])? {
        None if !tool_calls.is_empty() => String::new(),
        None if message.get("content").is_some() => bail!("content is null"),
        None => bail!("has no content"),
        Some((_, content)) => text(content)?,
    };
    ensure!(
        may_be_empty || !content.trim().is_empty(),
        "content is empty"
    );
    let learned = learned(message)?;
    ensure!(
        assistant || learned != Some(true),
        "only what the assistant says is learned"
    );
    Ok(Turn {
        learned: learned.unwrap_or(assistant),
        reasoning,
        tool_calls,
        answers,
        ..Turn::new(role, content)
    })
}

/// The one of several keys for the same thing that is there, and not null.
fn one<'a>(
    message: &'a Map<String, Value>,
    keys: &[&'static str],
) -> Result<Option<(&'static str, &'a Value)>> {
    let there = keys
        .iter()
        .filter_map(|key| Some((*key, message.get(*key).filter(|v| !v.is_null())?)));
    let there: Vec<_> = there.collect();
    if let [(a, _), (b, _), ..] = there[..] {
        bail!("has both {a} and {b}: keep one");
    }
    Ok(there.first().copied())
}

fn named(role: &str) -> Result<Role> {
    Ok(match role.to_ascii_lowercase().as_str() {
        "system" => Role::System,
        "user" | "human" => Role::User,
        "assistant" | "gpt" => Role::Assistant,
        "tool" | "observation" => Role::Tool,
        other => {
            let hint = match other {
                "developer" => ": write \"system\"",
                "model" | "bot" | "chatgpt" | "ai" => ": write \"assistant\"",
                "function" | "function_response" | "ipython" => ": write \"tool\"",
                "function_call" | "tool_call" => ": write an assistant message with tool_calls",
                _ => "",
            };
            bail!("role {role:?} is not system, user, assistant or tool{hint}")
        }
    })
}

/// A string, or parts of type text.
fn text(content: &Value) -> Result<String> {
    let parts = match content {
        Value::String(text) => return Ok(text.clone()),
        Value::Array(parts) => parts,
        other => bail!("content must be a string, found {}", kind(other)),
    };
    let text = |part: &Value| match (part["type"].as_str(), part["text"].as_str()) {
        (Some("text"), Some(text)) => Ok(text.to_owned()),
        (Some("text"), None) => bail!("a part of the content has no text"),
        (Some(other), _) => bail!("the content has a part of type {other:?}: only text is read"),
        (None, _) => bail!("a part of the content has no type"),
    };
    parts.iter().map(text).collect()
}

/// Calls as the base's own template reads them, each of which names a function.
fn tool_calls(message: &Map<String, Value>) -> Result<Vec<Value>> {
    let calls = match message.get("tool_calls") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(calls)) => calls,
        Some(other) => bail!("tool_calls must be a list, found {}", kind(other)),
    };
    for call in calls {
        let function = call.get("function").unwrap_or(call);
        let name = function.get("name").and_then(Value::as_str);
        name.context("a tool call has no function name")?;
    }
    Ok(calls.clone())
}

/// Which call a message answers, and whose tool it was.
fn answers(message: &Map<String, Value>) -> Result<BTreeMap<&'static str, String>> {
    let mut answers = BTreeMap::new();
    for key in ["name", "tool_call_id"] {
        match message.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => drop(answers.insert(key, text.clone())),
            Some(other) => bail!("{key} must be a string, found {}", kind(other)),
        }
    }
    Ok(answers)
}

/// What the message says of the loss; all that it says must agree.
fn learned(message: &Map<String, Value>) -> Result<Option<bool>> {
    let mut said = None;
    for key in WEIGHTS {
        let learned = match message.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::Bool(learned)) => *learned,
            Some(value) if value.as_f64() == Some(1.0) => true,
            Some(value) if value.as_f64() == Some(0.0) => false,
            Some(value) => bail!("{key} is {value}: only 0 (no loss) and 1 are read"),
        };
        ensure!(
            said.is_none_or(|before| before == learned),
            "{} do not agree",
            WEIGHTS.join(", ")
        );
        said = Some(learned);
    }
    Ok(said)
}
