//! Preference rows: a question, the better answer in `chosen`, the worse one in `rejected`.

use super::row::{ANSWERS, Row};
use super::{Conversation, Role, Turn, format, messages};
use anyhow::{Result, ensure};
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

/// What the row says.
pub fn read(row: &Row) -> Result<Preference> {
    let prompt = format::asked(row)?;
    let [chosen, rejected] = ["chosen", "rejected"].map(|field| side(row, field));
    let (chosen, rejected) = (chosen?, rejected?);
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
