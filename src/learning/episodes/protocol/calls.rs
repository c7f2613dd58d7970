//! Calls as Qwen3 writes them.

use super::setting::{NoCall, Setting};
use crate::learning::episodes::call::{ANSWER, Call};
use serde_json::{Map, Value, json};

const OPEN: &str = "<tool_call>";
/// What ends a turn.
pub const CLOSE: &str = "</tool_call>";

/// What the model is told beside the tools, which its template shows.
pub fn told(setting: &Setting) -> String {
    format!(
        "Answer the question with one query in {}. You may look at the database first. You have {} turns with one call each; {ANSWER} is your answer.",
        setting.dialect.id(),
        setting.turns
    )
}

/// The first call.
pub fn call(said: &str, cut: bool) -> Result<Call, NoCall> {
    let fault = |what: String| Err(NoCall(what));
    let Some((_, rest)) = said.split_once(OPEN) else {
        return fault(format!(
            "No call found: write {OPEN}{{\"name\": NAME, \"arguments\": {{…}}}}{CLOSE}."
        ));
    };
    let end = rest.find(CLOSE);
    if end.is_none() && cut {
        return fault(format!("The turn was cut before {CLOSE}: write less."));
    }
    let inside = rest[..end.unwrap_or(rest.len())].trim();
    let read: Value = match serde_json::from_str(inside) {
        Ok(read) => read,
        Err(error) => return fault(format!("The call is no JSON: {error}.")),
    };
    let Some(name) = read.get("name").and_then(Value::as_str) else {
        return fault("The call has no name.".to_owned());
    };
    let arguments = match read.get("arguments") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(arguments)) => arguments.clone(),
        // Some models write them as JSON in a text.
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(arguments) => arguments,
            Err(error) => return fault(format!("The arguments are no JSON: {error}.")),
        },
        Some(_) => return fault("The arguments are no object.".to_owned()),
    };
    let call = Call::new(name, Value::Object(arguments));
    if call.tool == ANSWER && call.answered().is_none_or(|sql| sql.trim().is_empty()) {
        return fault(format!("{ANSWER} needs the query: {{\"sql\": QUERY}}."));
    }
    Ok(call)
}

/// A call as rows have it.
pub fn written(call: &Call) -> Value {
    json!({"type": "function", "function": {"name": call.tool, "arguments": call.arguments}})
}
