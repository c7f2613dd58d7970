//! What is made of corrections: rows to learn and pairs.

use super::given::Correction;
use crate::data::jsonl::Line;
use crate::data::overlap::prompt_of;
use crate::data::record::{Conversation, Role, Turn};
use crate::eval::choices::named;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Fields that say what a row is about, and go with it.
const KEPT: [&str; 3] = ["domain", "curriculum", "db"];

type Fields = Map<String, Value>;

/// The training rows, one a prompt, and the pairs, one a reply; a reply that says nothing is no answer to reject.
pub fn of(corrections: &[Correction]) -> (Vec<Fields>, Vec<Fields>) {
    let mut prompts = BTreeSet::new();
    let (mut rows, mut pairs) = (Vec::new(), Vec::new());
    for own in corrections {
        if prompts.insert(prompt_of(&own.asked)) {
            rows.push(row(own));
        }
        if !own.reply.trim().is_empty() {
            pairs.push(pair(own));
        }
    }
    (rows, pairs)
}

fn name(line: &Line) -> String {
    named(line.id().as_deref(), line.number)
}

fn row(own: &Correction) -> Fields {
    let mut row = Fields::new();
    row.insert(
        "id".to_owned(),
        format!("{}-corrected", name(&own.line)).into(),
    );
    for field in KEPT {
        if let Some(value @ Value::String(_)) = own.line.fields().get(field) {
            row.insert(field.to_owned(), value.clone());
        }
    }
    match question(&own.asked) {
        Some((system, question)) => {
            if let Some(system) = system {
                row.insert("system".to_owned(), system.into());
            }
            row.insert("instruction".to_owned(), question.into());
            row.insert("response".to_owned(), own.right.clone().into());
        }
        None => {
            tools(&own.asked, &mut row);
            row.insert("prompt".to_owned(), messages(&own.asked.turns));
            row.insert("completion".to_owned(), answer(&own.right));
        }
    }
    row
}

fn pair(own: &Correction) -> Fields {
    let mut pair = Fields::new();
    let mut add = |key: &str, value: Value| drop(pair.insert(key.to_owned(), value));
    let id = format!("{}-corrected-pref", name(&own.line));
    add("id", id.into());
    if let Some(domain @ Value::String(_)) = own.line.fields().get("domain") {
        add("domain", domain.clone());
    }
    add("failure_type", own.failure.clone().into());
    match question(&own.asked) {
        Some((None, question)) => {
            add("prompt", question.into());
            add("chosen", own.right.clone().into());
            add("rejected", own.reply.trim().into());
        }
        _ => {
            add("prompt", messages(&own.asked.turns));
            add("chosen", answer(&own.right));
            add("rejected", answer(own.reply.trim()));
            tools(&own.asked, &mut pair);
        }
    }
    pair
}

/// The system text and the question of a conversation that has nothing else.
fn question(asked: &Conversation) -> Option<(Option<&str>, &str)> {
    match (&asked.turns[..], asked.tools.is_empty()) {
        ([only], true) if only.role == Role::User => Some((None, &only.content)),
        ([system, user], true) if system.role == Role::System && user.role == Role::User => {
            Some((Some(&system.content), &user.content))
        }
        _ => None,
    }
}

fn tools(asked: &Conversation, row: &mut Fields) {
    if !asked.tools.is_empty() {
        row.insert("tools".to_owned(), asked.tools.clone().into());
    }
}

fn answer(text: &str) -> Value {
    json!([{"role": Role::Assistant.name(), "content": text}])
}

/// Turns as messages, with all that they say.
fn messages(turns: &[Turn]) -> Value {
    let message = |turn: &Turn| {
        let mut message = Fields::new();
        message.insert("role".to_owned(), turn.role.name().into());
        message.insert("content".to_owned(), turn.content.clone().into());
        if let Some(reasoning) = &turn.reasoning {
            message.insert("reasoning_content".to_owned(), reasoning.clone().into());
        }
        if !turn.tool_calls.is_empty() {
            message.insert("tool_calls".to_owned(), turn.tool_calls.clone().into());
        }
        for (key, value) in &turn.answers {
            message.insert((*key).to_owned(), value.clone().into());
        }
        Value::Object(message)
    };
    turns.iter().map(message).collect()
}
