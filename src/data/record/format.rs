//! Which format a row has, and what it says in it.

use super::messages;
use super::row::{ANSWERS, ASKED, LISTS, Row, THOUGHTS, WEIGHTS};
use super::{Content, Conversation, Role, Turn};
use crate::data::jsonl::kind;
use anyhow::{Result, anyhow, bail, ensure};
use serde_json::Value;

/// The formats.
pub(super) enum Format {
    /// By the field that asks; what answers is looked for where it is needed.
    Pair(&'static str),
    /// By the field that holds the messages.
    Messages(&'static str),
    Text,
}

/// What is learned from a row.
pub fn learned(row: &Row) -> Result<Content> {
    for field in WEIGHTS {
        let value = row.value(field)?;
        let whole = value.is_none_or(|v| *v == Value::Bool(true) || v.as_f64() == Some(1.0));
        let what = "is not 1: every row counts alike; leave out what is not to be learned";
        ensure!(whole, row.fault(field, what));
    }
    let answers = row.present(&ANSWERS)?;
    let format = format(row, &answers)?.ok_or_else(|| {
        anyhow!(
            "{}: no known format: expected instruction or prompt with response, output or completion, messages, conversations, or text; found fields: {} (--field prompt=COLUMN reads a column of another name)",
            row.place(),
            row.names()
        )
    })?;
    if !matches!(format, Format::Pair(_)) {
        refuse_any(row, &THOUGHTS, "belongs into the message of the answer")?;
    }
    let (field, conversation) = match format {
        Format::Text => {
            let what = "belongs to a conversation: beside text it would be dropped";
            refuse_any(row, &["system", "tools"], what)?;
            return Ok(Content::Text(row.filled("text")?.to_owned()));
        }
        Format::Messages(field) => (field, conversation(row, field)?),
        Format::Pair(asked) => {
            let answer = answer(row, &answers)?;
            let is_list = |field| Ok(row.value(field)?.is_some_and(Value::is_array));
            let lists: [Result<bool>; 2] = [is_list(asked), is_list(answer)];
            let [asks, answers] = lists;
            ensure!(
                asks? == answers?,
                row.fault(
                    answer,
                    format!("and {asked} must both be texts or both be lists of messages")
                )
            );
            let mut conversation = conversation(row, asked)?;
            // What is given is not learned, also where an assistant said it.
            conversation
                .turns
                .iter_mut()
                .for_each(|turn| turn.learned = false);
            conversation.turns.extend(answered(row, answer)?);
            (answer, conversation)
        }
    };
    let turns = &conversation.turns;
    ensure!(
        turns.iter().any(|turn| turn.role == Role::Assistant),
        row.fault(field, "has no assistant turn: nothing to learn from")
    );
    let last = turns.last().filter(|turn| turn.role != Role::Assistant);
    if let Some(Turn { role, .. }) = last {
        let what = format!(
            "ends with a {} turn that nothing answers: remove it",
            role.name()
        );
        bail!(row.fault(field, what));
    }
    let what = "has no answer with a loss: nothing to learn from";
    ensure!(
        turns.iter().any(|turn| turn.learned),
        row.fault(field, what)
    );
    Ok(Content::Turns(conversation))
}

/// What a row asks: all of a conversation but the answer behind it.
pub fn asked(row: &Row) -> Result<Conversation> {
    let (field, mut conversation) = match format(row, &[])? {
        None | Some(Format::Text) => bail!(
            "{}: field \"prompt\" (or \"instruction\", \"messages\" or \"conversations\") is missing; found fields: {} (--field prompt=COLUMN reads a column of another name)",
            row.place(),
            row.names()
        ),
        Some(Format::Pair(field)) => (field, conversation(row, field)?),
        Some(Format::Messages(field)) => {
            let mut conversation = conversation(row, field)?;
            while conversation
                .turns
                .last()
                .is_some_and(|t| t.role == Role::Assistant)
            {
                conversation.turns.pop();
            }
            (field, conversation)
        }
    };
    let last = conversation.turns.last().map(|turn| turn.role);
    ensure!(
        matches!(last, Some(Role::User | Role::Tool)),
        row.fault(
            field,
            "has nothing to answer: its last turn before the answer must be the user's or a tool's"
        )
    );
    // Nothing of it is learned.
    conversation
        .turns
        .iter_mut()
        .for_each(|turn| turn.learned = false);
    Ok(conversation)
}

/// The format of a row with these `answers`, if it has any. Errors where it has fields of two.
pub(super) fn format(row: &Row, answers: &[&'static str]) -> Result<Option<Format>> {
    let (asked, lists) = (row.present(&ASKED)?, row.present(&LISTS)?);
    let text = row.present(&["text"])?;
    let pair = !asked.is_empty() || !answers.is_empty();
    let formats = usize::from(pair) + lists.len() + text.len();
    if formats > 1 || asked.len() > 1 || answers.len() > 1 {
        let all = [&asked, answers, &lists, &text]
            .map(|fields: &[_]| fields.to_vec())
            .concat();
        let what = format!(
            "and {} say two things: keep what is meant, and set the others to null",
            all[1..].join(", ")
        );
        bail!(row.fault(all[0], what));
    }
    let format = match (asked.first(), lists.first(), text.first()) {
        (Some(field), ..) => Format::Pair(field),
        (None, Some(field), _) => Format::Messages(field),
        (None, None, Some(_)) => Format::Text,
        (None, None, None) => return Ok(None),
    };
    if !matches!(format, Format::Pair(_)) {
        refuse_any(
            row,
            &["input"],
            "belongs to an instruction, which the row lacks",
        )?;
    }
    Ok(Some(format))
}

/// Errors where the row has one of these fields with something in it.
fn refuse_any(row: &Row, fields: &[&'static str], what: &str) -> Result<()> {
    for field in fields {
        let value = row.value(field)?;
        let blank = |v: &Value| {
            v.as_str().is_some_and(|t| t.trim().is_empty())
                || v.as_array().is_some_and(Vec::is_empty)
        };
        ensure!(value.is_none_or(blank), row.fault(field, what));
    }
    Ok(())
}

/// The turns of `field`, behind the row's system text, with its tools.
fn conversation(row: &Row, field: &'static str) -> Result<Conversation> {
    let mut turns = match row.value(field)? {
        Some(Value::String(_)) if !LISTS.contains(&field) => {
            let mut content = row.filled(field)?.to_owned();
            if let Some(input) = row.text("input")? {
                content = format!("{content}\n\n{input}");
            }
            vec![Turn::new(Role::User, content)]
        }
        Some(list @ Value::Array(_)) => {
            refuse_any(row, &["input"], "belongs to an instruction that is a text")?;
            messages::turns(row, field, list)?
        }
        Some(other) if LISTS.contains(&field) => messages::turns(row, field, other)?,
        other => {
            let found = other.map_or("null", kind);
            bail!(row.fault(field, format!("must be a string, found {found}")))
        }
    };
    if let Some(system) = row.text("system")? {
        ensure!(
            turns.iter().all(|turn| turn.role != Role::System),
            row.fault(
                "system",
                format!("says what the system turn of \"{field}\" says too: keep one")
            )
        );
        turns.insert(0, Turn::new(Role::System, system.to_owned()));
    }
    let tools = tools(row)?;
    Ok(Conversation { turns, tools })
}

/// The tools on offer: a list, or the same as JSON in a string.
fn tools(row: &Row) -> Result<Vec<Value>> {
    let list = match row.value("tools")? {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(Vec::new()),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        Some(other) => other.clone(),
    };
    match list {
        Value::Array(tools) if tools.iter().all(Value::is_object) => Ok(tools),
        _ => Err(row.fault("tools", "must be a list of objects, one a tool")),
    }
}

/// The field that answers.
fn answer(row: &Row, answers: &[&'static str]) -> Result<&'static str> {
    if let Some(answer) = answers.first() {
        return Ok(answer);
    }
    if row.value("chosen")?.is_some() {
        let what = "makes this a preference row, which sft does not learn from: --field response=chosen learns the chosen answers alone";
        bail!(row.fault("chosen", what));
    }
    if let Some(field) = ANSWERS.into_iter().find(|field| row.is_null(field)) {
        bail!(row.fault(field, "is null: there is no answer to learn"));
    }
    bail!(
        "{}: no answer: field \"response\" (or \"output\", or \"completion\") is missing; found fields: {}",
        row.place(),
        row.names()
    )
}

/// The turns of an answer.
fn answered(row: &Row, field: &'static str) -> Result<Vec<Turn>> {
    if row.value("label")? == Some(&Value::Bool(false)) {
        bail!(row.fault(
            "label",
            "is false: the answer is one that is not wanted; leave the row out"
        ));
    }
    if let Some(list @ Value::Array(_)) = row.value(field)? {
        refuse_any(row, &THOUGHTS, "belongs into the message of the answer")?;
        return messages::turns(row, field, list);
    }
    let mut turn = Turn::new(Role::Assistant, row.filled(field)?.to_owned());
    for thoughts in THOUGHTS {
        if let Some(text) = row.text(thoughts)? {
            ensure!(
                turn.reasoning.is_none(),
                row.fault(
                    thoughts,
                    format!("is one of two of {}: keep one", THOUGHTS.join(", "))
                )
            );
            turn.reasoning = Some(text.to_owned());
        }
    }
    Ok(vec![turn])
}
