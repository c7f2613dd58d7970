//! Calls in tags, for bases that know no tools.

use super::setting::{NoCall, Setting};
use crate::learning::episodes::call::{
    ALL_TABLES, ANSWER, Call, DEFINITIONS, EXECUTE, FILTER_TABLES,
};
use serde_json::{Value, json};

const ALL: &str = "<tables/>";
/// What opens and what closes a call that says something.
const PAIRS: [(&str, &str); 4] = [
    ("<tables>", "</tables>"),
    ("<schema>", "</schema>"),
    ("<sql>", "</sql>"),
    ("<solution>", "</solution>"),
];

/// What ends a turn.
pub const STOPS: [&str; 5] = [ALL, "</tables>", "</schema>", "</sql>", "</solution>"];

/// What the model is told.
pub fn told(setting: &Setting) -> String {
    format!(
        "Answer the question with one query in {}. You may look at the database first. You have {} turns, each of them one of these and nothing behind it:\n\
         <tables/> names the tables, <tables>WORD</tables> those with WORD in their names.\n\
         <schema>NAME, NAME</schema> shows columns and keys of tables.\n\
         <sql>QUERY</sql> runs a query that only reads.\n\
         <solution>QUERY</solution> is your answer.\n\
         What is found comes back as an observation.",
        setting.dialect.id(),
        setting.turns
    )
}

/// The first call.
pub fn call(said: &str, cut: bool) -> Result<Call, NoCall> {
    let opens = PAIRS.iter().map(|(open, close)| (*open, Some(*close)));
    let found = opens
        .chain([(ALL, None)])
        .filter_map(|(open, close)| Some((said.find(open)?, open, close)));
    let Some((at, open, close)) = found.min_by_key(|(at, ..)| *at) else {
        let how = "write <tables/>, <schema>NAME</schema>, <sql>QUERY</sql> or <solution>QUERY</solution>";
        return Err(NoCall(format!("No call found: {how}.")));
    };
    let rest = &said[at + open.len()..];
    let end = close.and_then(|close| rest.find(close));
    if let (Some(close), None, true) = (close, end, cut) {
        return Err(NoCall(format!(
            "The turn was cut before {close}: write less."
        )));
    }
    let inside = rest[..end.unwrap_or(rest.len())].trim();
    if inside.is_empty() && !["<tables>", ALL].contains(&open) {
        return Err(NoCall(format!("{open} has nothing in it.")));
    }
    Ok(match open {
        "<sql>" => Call::new(EXECUTE, json!({"query": inside})),
        "<solution>" => Call::answer(inside),
        "<schema>" => Call::new(DEFINITIONS, json!({"table_names": names(inside)})),
        "<tables>" if !inside.is_empty() => Call::new(FILTER_TABLES, json!({"q": inside})),
        _ => Call::new(ALL_TABLES, json!({})),
    })
}

/// Names with commas between them, their quotes left out.
fn names(text: &str) -> Vec<&str> {
    let names = text.split([',', '\n']);
    let names = names.map(|name| name.trim().trim_matches(['"', '`', '\'']));
    names.filter(|name| !name.is_empty()).collect()
}

/// A call as a model is to write it.
pub fn written(call: &Call) -> String {
    let text = |name: &str| match call.arguments.0.get(name) {
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    };
    match call.tool.as_str() {
        EXECUTE => format!("<sql>{}</sql>", text("query")),
        ANSWER => format!("<solution>{}</solution>", text("sql")),
        DEFINITIONS => format!("<schema>{}</schema>", call.tables().join(", ")),
        FILTER_TABLES => format!("<tables>{}</tables>", text("q")),
        _ => ALL.to_owned(),
    }
}
