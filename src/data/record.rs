//! What a row means to training and generation.

use super::jsonl::{self, Line};
use anyhow::{Result, bail, ensure};
use serde_json::Value;
use std::path::Path;

/// Field pairs a training row may have: what is given, what is to be said.
const PAIRS: [(&str, &str); 2] = [("instruction", "response"), ("prompt", "completion")];

/// Who speaks in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
    /// What a tool returned.
    Tool,
}

impl Role {
    /// The name in rows and templates.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub role: Role,
    pub content: String,
    /// Whether the loss is on it: on assistant turns, unless the row says otherwise.
    pub learned: bool,
    /// What an assistant thought before `content`; for templates that show it.
    pub reasoning: Option<String>,
    /// The tools that an assistant calls, as the base's own template reads them.
    pub tool_calls: Vec<Value>,
}

impl Turn {
    /// A turn of text alone.
    pub fn new(role: Role, content: String) -> Self {
        Self {
            role,
            content,
            learned: role == Role::Assistant,
            reasoning: None,
            tool_calls: Vec::new(),
        }
    }
}

/// Messages, and what an assistant may call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    pub turns: Vec<Turn>,
    /// The tools on offer, as the base's own template reads them.
    pub tools: Vec<Value>,
}

impl From<Vec<Turn>> for Conversation {
    /// Without tools.
    fn from(turns: Vec<Turn>) -> Self {
        let tools = Vec::new();
        Self { turns, tools }
    }
}

/// What a training row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A conversation; its assistant turns are what is learned.
    Turns(Conversation),
    /// Running text, all of it learned.
    Text(String),
}

/// A training row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `file:line`, for errors.
    pub place: String,
    pub content: Content,
}

/// Reads a training file; every row's format is checked.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    jsonl::read(path)?
        .iter()
        .map(|line| record(path, line))
        .collect()
}

fn record(path: &Path, line: &Line) -> Result<Record> {
    let place = format!("{}:{}", path.display(), line.number);
    // A null is a column of another format that was filled up.
    let has = |field: &str| line.fields.get(field).is_some_and(|v| !v.is_null());
    let content = if let Some((given, said)) = PAIRS.into_iter().find(|(g, s)| has(g) && has(s)) {
        let turn = |role, field| {
            let content = filled(path, line, field)?.to_string();
            Ok::<_, anyhow::Error>(Turn::new(role, content))
        };
        let turns = vec![turn(Role::User, given)?, turn(Role::Assistant, said)?];
        Content::Turns(turns.into())
    } else if has("messages") {
        let turns = messages(path, line)?;
        ensure!(
            turns.iter().any(|t| t.role == Role::Assistant),
            "{place}: field \"messages\" has no assistant turn: nothing to learn from"
        );
        Content::Turns(turns.into())
    } else if has("text") {
        Content::Text(filled(path, line, "text")?.to_string())
    } else {
        let fields: Vec<&str> = line.fields.keys().map(String::as_str).collect();
        let found = if fields.is_empty() {
            "none".to_string()
        } else {
            fields.join(", ")
        };
        bail!(
            "{place}: no known format: expected instruction and response, prompt and completion, messages, or text; found fields: {found}"
        )
    };
    Ok(Record { place, content })
}

/// What generation answers: `prompt`, else `instruction`, else the `messages` before a last assistant turn.
pub fn prompt(path: &Path, line: &Line) -> Result<Conversation> {
    for field in ["prompt", "instruction"] {
        if line.optional_str(path, field)?.is_some() {
            let content = filled(path, line, field)?.to_string();
            return Ok(user(content));
        }
    }
    let place = || format!("{}:{}", path.display(), line.number);
    ensure!(
        line.fields.get("messages").is_some_and(|v| !v.is_null()),
        "{}: field \"prompt\" (or \"instruction\", or \"messages\") is missing",
        place()
    );
    let mut turns = messages(path, line)?;
    if turns.last().is_some_and(|t| t.role == Role::Assistant) {
        turns.pop();
    }
    ensure!(
        !turns.is_empty(),
        "{}: field \"messages\" has nothing to answer",
        place()
    );
    Ok(turns.into())
}

/// A conversation of one user turn.
pub fn user(content: String) -> Conversation {
    vec![Turn::new(Role::User, content)].into()
}

/// A text field that must not be blank.
fn filled<'a>(path: &Path, line: &'a Line, field: &str) -> Result<&'a str> {
    let text = line.str(path, field)?;
    ensure!(
        !text.trim().is_empty(),
        "{}:{}: field \"{field}\" is empty",
        path.display(),
        line.number
    );
    Ok(text)
}

/// The `messages` field: a list of `{role, content}`.
fn messages(path: &Path, line: &Line) -> Result<Vec<Turn>> {
    let place = format!("{}:{}: field \"messages\"", path.display(), line.number);
    let Some(Value::Array(list)) = line.fields.get("messages") else {
        bail!("{place} must be a list of {{role, content}}")
    };
    let turn = |(i, message): (usize, &Value)| {
        let text = |key: &str| message.get(key).and_then(Value::as_str);
        let role = match text("role") {
            Some("system") => Role::System,
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some(other) => {
                bail!("{place}: message {i}: role {other:?} is not system, user or assistant")
            }
            None => bail!("{place}: message {i} has no role"),
        };
        ensure!(
            message.get("tool_calls").is_none_or(Value::is_null),
            "{place}: message {i}: tool_calls is not supported"
        );
        match text("content") {
            Some(content) if !content.trim().is_empty() => Ok(Turn::new(role, content.to_string())),
            Some(_) => bail!("{place}: message {i}: content is empty"),
            None => bail!("{place}: message {i}: content must be a string"),
        }
    };
    list.iter().enumerate().map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> Line {
        Line {
            number: 3,
            fields: serde_json::from_str(json).unwrap(),
        }
    }

    fn parse(json: &str) -> Result<Record> {
        record(Path::new("t.jsonl"), &line(json))
    }

    fn turns(list: &[(Role, &str)]) -> Vec<Turn> {
        let turn = |(role, content): &(Role, &str)| Turn::new(*role, content.to_string());
        list.iter().map(turn).collect()
    }

    #[test]
    fn every_format_is_read() {
        let pair = turns(&[(Role::User, "q"), (Role::Assistant, "a")]);
        for json in [
            r#"{"instruction":"q","response":"a"}"#,
            r#"{"id":1,"prompt":"q","completion":"a","text":null}"#,
            r#"{"prompt":null,"completion":null,"instruction":"q","response":"a"}"#,
            r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#,
        ] {
            let r = parse(json).unwrap();
            assert_eq!(r.content, Content::Turns(pair.clone().into()));
            assert_eq!(r.place, "t.jsonl:3");
        }
        let text = parse(r#"{"text":"once"}"#).unwrap();
        assert_eq!(text.content, Content::Text("once".into()));
    }

    #[test]
    fn errors_name_place_and_field() {
        for (json, expected) in [
            (r#"{"question":"q"}"#, "t.jsonl:3: no known format"),
            (r#"{"prompt":"q","completion":7}"#, "\"completion\""),
            (
                r#"{"prompt":"q","completion":" "}"#,
                "\"completion\" is empty",
            ),
            (r#"{"text":""}"#, "\"text\" is empty"),
            (r#"{"messages":"q"}"#, "\"messages\" must be a list"),
            (
                r#"{"messages":[{"role":"user","content":"q"}]}"#,
                "no assistant turn",
            ),
            (
                r#"{"messages":[{"role":"tool","content":"q"}]}"#,
                "message 0: role \"tool\"",
            ),
            (
                r#"{"messages":[{"role":"user","content":["q"]}]}"#,
                "message 0: content must be a string",
            ),
        ] {
            let error = parse(json).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_last_assistant_turn_is_the_answer_not_the_prompt() {
        let json = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},
            {"role":"assistant","content":"a"}]}"#;
        let got = prompt(Path::new("t.jsonl"), &line(json)).unwrap();
        assert_eq!(got, turns(&[(Role::System, "s"), (Role::User, "q")]).into());
        let missing = prompt(Path::new("t.jsonl"), &line(r#"{"text":"x"}"#)).unwrap_err();
        assert!(missing.to_string().contains("t.jsonl:3: field \"prompt\""));
    }
}
