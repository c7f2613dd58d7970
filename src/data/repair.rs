//! Rows that repair: what was asked, the query that failed and the database's error; the answer is the right query.

use super::jsonl;
use super::record::{Conversation, Role};
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;

/// The field that says that a row repairs.
pub const MARK: &str = "_repair";

/// What an adapter's folder says of the repair rows that it was trained on.
pub const FILE: &str = "repair.json";

/// Most characters of a failed query that are shown.
const QUERY: usize = 2_000;
/// Most characters of an error.
const ERROR: usize = 300;

/// The prompt that asks again, behind the first one.
pub fn prompt(asked: &str, failed: &str, error: &str) -> String {
    let shown = |text: &str, most| -> String {
        let text = text.trim().chars().take(most);
        text.map(|c| if c.is_control() { ' ' } else { c }).collect()
    };
    format!(
        "{asked}\nThis query failed: {}\nError: {}",
        shown(failed, QUERY),
        shown(error, ERROR)
    )
}

/// The turns that ask again: the last thing that was said to the assistant, with what failed.
pub fn asked_again(asked: &Conversation, failed: &str, error: &str) -> Conversation {
    let mut again = asked.clone();
    let said = again.turns.iter_mut().rfind(|turn| turn.role == Role::User);
    if let Some(turn) = said {
        turn.content = prompt(&turn.content, failed, error);
    }
    again
}

/// How many rows of a file repair. Rows that cannot be read are none.
pub fn count(path: &Path) -> Result<usize> {
    let mut count = 0;
    jsonl::for_each(path, |_, line| {
        let marked = |line: jsonl::Line| line.fields().get(MARK) == Some(&Value::Bool(true));
        count += usize::from(line.is_ok_and(marked));
        Ok(())
    })?;
    Ok(count)
}

/// How many repair rows the adapter in a folder was trained on, as the folder says.
pub fn taught(folder: &Path) -> Result<usize> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(0);
    }
    let read = || -> Result<Value> { Ok(serde_json::from_slice(&std::fs::read(&path)?)?) };
    let said = read().with_context(|| path.display().to_string())?;
    let rows = said.get("rows").and_then(Value::as_u64);
    let rows = rows.with_context(|| format!("{}: says no number of rows", path.display()))?;
    Ok(rows as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::record::user;

    #[test]
    fn the_failed_query_and_its_error_follow_what_was_asked_in_little() {
        assert_eq!(
            prompt("How many?", " select\n1x ", "near \"x\""),
            "How many?\nThis query failed: select 1x\nError: near \"x\""
        );
        let long = prompt("", &"é".repeat(9_000), &"!".repeat(9_000));
        assert_eq!(long.matches('é').count(), QUERY);
        assert_eq!(long.matches('!').count(), ERROR);
        let again = asked_again(&user("Q".to_owned()), "select x", "no such column: x");
        assert_eq!(again.turns.len(), 1);
        assert_eq!(
            again.turns[0].content,
            prompt("Q", "select x", "no such column: x")
        );
    }
}
