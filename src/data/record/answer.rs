//! A row with another answer in the place of its own.

use super::columns::Columns;
use super::format::{Format, format};
use super::row::{ANSWERS, Row, THOUGHTS};
use crate::data::jsonl::Line;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::path::Path;

/// The row of `path` whose answer is `answer`: in the column of its own one, else in that of `response`; of messages in the place of those
/// that answer the last question. What was thought before another answer is taken out. Errors where the row asks nothing.
pub fn answered(path: &Path, line: &Line, columns: &Columns, answer: &str) -> Result<Line> {
    let row = Row::new(path, line, columns)?;
    let answers = row.present(&ANSWERS)?;
    let mut answered = line.clone();
    match format(&row, &answers)? {
        Some(Format::Pair(asked)) => {
            let free = ANSWERS.iter().find(|field| columns.of(field).is_some());
            let Some(field) = answers.first().or(free) else {
                bail!("{}: no column is left for an answer", row.place());
            };
            let said: Value = match row.value(asked)? {
                Some(Value::Array(_)) => json!([{"role": "assistant", "content": answer}]),
                _ => answer.into(),
            };
            answered.set(columns.of(field).unwrap_or(field), said);
        }
        Some(Format::Messages(field)) => {
            let Some(Value::Array(list)) = row.value(field)? else {
                bail!(row.fault(field, "must be a list of messages"));
            };
            let speaks = |message: &Value| {
                let who = message.get("role").or(message.get("from"));
                let who = who.and_then(Value::as_str).unwrap_or_default();
                ["assistant", "gpt"].contains(&&*who.to_lowercase())
            };
            let asked = list.iter().rposition(|message| !speaks(message));
            let mut turns = list[..asked.map_or(0, |last| last + 1)].to_vec();
            // As the others of the list are written.
            turns.push(match list.iter().any(|turn| turn.get("from").is_some()) {
                true => json!({"from": "gpt", "value": answer}),
                false => json!({"role": "assistant", "content": answer}),
            });
            answered.set(columns.of(field).unwrap_or(field), turns);
        }
        _ => bail!("{}: asks nothing that could be answered", row.place()),
    }
    if row.value("label")? == Some(&Value::Bool(false)) {
        // It said so of the former answer.
        answered.set(columns.of("label").unwrap_or("label"), true);
    }
    for thoughts in row.present(&THOUGHTS)? {
        answered.set(columns.of(thoughts).unwrap_or(thoughts), Value::Null);
    }
    Ok(answered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::record::{Content, asked, learned};

    /// What the row asks and learns with this answer, and as it is written.
    fn with(row: &str, fields: &[&str], answer: &str) -> Result<(bool, String, String)> {
        let path = Path::new("f.jsonl");
        let fields: Vec<String> = fields.iter().map(|field| field.to_string()).collect();
        let columns = Columns::parse(&fields)?;
        let line = Line::parse(1, row)?;
        let new = answered(path, &line, &columns, answer)?;
        let Content::Turns(turns) = learned(path, &new, &columns)? else {
            bail!("no conversation");
        };
        let same = asked(path, &line, &columns)? == asked(path, &new, &columns)?;
        let last = turns.turns.last().map(|turn| turn.content.clone());
        let text = serde_json::to_string(&new)?;
        Ok((same, last.unwrap_or_default(), text))
    }

    #[test]
    fn every_form_of_row_takes_an_answer() {
        for (row, fields, written) in [
            (
                r#"{"id":7,"instruction":"a","input":"b","response":"old","x":1.50}"#,
                &[][..],
                r#"{"id":7,"instruction":"a","input":"b","response":" new ","x":1.50}"#,
            ),
            (
                r#"{"prompt":"a","gold_sql":"old"}"#,
                &[],
                r#"{"prompt":"a","gold_sql":"old","response":" new "}"#,
            ),
            (
                r#"{"question":"a","sql":"old"}"#,
                &["prompt=question", "completion=sql"],
                r#"{"question":"a","sql":" new "}"#,
            ),
            (
                r#"{"prompt":[{"role":"user","content":"a"}],"completion":[{"role":"assistant","content":"old"}]}"#,
                &[],
                r#"{"prompt":[{"role":"user","content":"a"}],"completion":[{"role":"assistant","content":" new "}]}"#,
            ),
            (
                r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"x"},{"role":"user","content":"b"},{"role":"assistant","content":"old"}]}"#,
                &[],
                r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"x"},{"role":"user","content":"b"},{"role":"assistant","content":" new "}]}"#,
            ),
            (
                r#"{"conversations":[{"from":"human","value":"a"}]}"#,
                &[],
                r#"{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":" new "}]}"#,
            ),
            (
                r#"{"prompt":"a","completion":"old","reasoning":"hm"}"#,
                &[],
                r#"{"prompt":"a","completion":" new ","reasoning":null}"#,
            ),
            (
                r#"{"prompt":"a","completion":"old","label":false}"#,
                &[],
                r#"{"prompt":"a","completion":" new ","label":true}"#,
            ),
        ] {
            let (same, last, text) = with(row, fields, " new ").unwrap();
            assert_eq!((same, last.as_str()), (true, " new "), "{row}");
            assert_eq!(text, written);
        }
        let error = with(r#"{"text":"a"}"#, &[], "b").unwrap_err().to_string();
        assert!(error.contains("f.jsonl:1: asks nothing"), "{error}");
    }
}
