//! Preference rows: a question, the better answer in `chosen`, the worse one in `rejected`.

use super::row::{ANSWERS, ASKED, LISTS, Row};
use super::{Conversation, Role, Turn, format, messages};
use crate::data::jsonl::Line;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    pub prompt: Conversation,
    pub chosen: Vec<Turn>,
    pub rejected: Vec<Turn>,
}

/// Whether a row has one of the two answers, and none that is the only one.
pub fn is_one(row: &Row) -> Result<bool> {
    let alone = row.present(&ANSWERS)?.is_empty();
    Ok(alone && !row.present(&["chosen", "rejected"])?.is_empty())
}

/// Whether the row's answer is good.
pub fn label(row: &Row) -> Result<bool> {
    let label = row.value("label")?.and_then(Value::as_bool);
    label.with_context(|| row.fault("label", "is not true or false"))
}

/// The row without its label, which says of an answer that is not wanted that it is not learned.
pub fn unlabelled(line: &Line) -> Line {
    let mut fields = line.fields().clone();
    fields.shift_remove("label");
    Line::new(line.number, fields)
}

/// What the row says.
pub fn read(row: &Row) -> Result<Preference> {
    let [chosen, rejected] = ["chosen", "rejected"].map(|field| side(row, field));
    let (mut chosen, mut rejected) = (chosen?, rejected?);
    let asks = [&ASKED[..], &LISTS, &["text"]].concat();
    let prompt = match row.present(&asks)?.is_empty() && chosen.len() > 1 {
        // The prompt is what both begin with.
        true => {
            let (asked, other) = (before(&mut chosen), before(&mut rejected));
            let what = "starts with another prompt than chosen";
            ensure!(asked == other, row.fault("rejected", what));
            asked.into()
        }
        false => format::asked(row)?,
    };
    ensure!(
        chosen != rejected,
        row.fault(
            "rejected",
            "is the chosen answer too: there is nothing to prefer"
        )
    );
    Ok(Preference {
        prompt,
        chosen,
        rejected,
    })
}

/// Takes off what stands before the last turn.
fn before(turns: &mut Vec<Turn>) -> Vec<Turn> {
    let last = turns.split_off(turns.len().saturating_sub(1));
    std::mem::replace(turns, last)
}

fn side(row: &Row, field: &'static str) -> Result<Vec<Turn>> {
    if let Some(list @ Value::Array(_)) = row.value(field)? {
        let turns = messages::turns(row, field, list)?;
        let last = turns.last().map(|turn| turn.role);
        ensure!(
            last == Some(Role::Assistant),
            row.fault(field, "does not end with an assistant's message")
        );
        return Ok(turns);
    }
    let text = row.filled(field)?.to_owned();
    Ok(vec![Turn::new(Role::Assistant, text)])
}
