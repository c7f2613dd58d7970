//! Rows below each other, a column a line.

use super::python;
use crate::db::answer::Answer;

/// Characters of rows that are shown.
pub const MOST: usize = 4_000;

/// The rows as mcp-alchemy writes them: whole ones, as long as their characters and ends of lines are no more than [`MOST`]. An answer that the
/// door has cut has far more than these.
pub fn text(answer: &Answer) -> String {
    let mut lines = Vec::new();
    let mut size = 0;
    for (at, row) in answer.rows.iter().enumerate() {
        let mut own = vec![format!("{}. row", at + 1)];
        own.extend(answer.columns.iter().zip(row).map(|(column, cell)| {
            format!("{}: {}", column.name, python::shown(cell, &column.declared))
        }));
        own.push(String::new());
        size += own
            .iter()
            .map(|line| line.chars().count() + 1)
            .sum::<usize>();
        if size > MOST {
            lines.push(cut(at));
            return lines.join("\n");
        }
        lines.extend(own);
    }
    lines.push(match (answer.rows.len(), answer.cut) {
        (0, None) => "No rows returned".to_owned(),
        (rows, None) => format!("Result: {rows} rows"),
        (rows, Some(_)) => cut(rows),
    });
    lines.join("\n")
}

fn cut(shown: usize) -> String {
    format!("Result: showing first {shown} rows (output truncated)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::answer::{Column, Cut};
    use crate::db::cell::Cell;

    fn answer(rows: Vec<Vec<Cell>>) -> Answer {
        let column = |name: &str| Column {
            name: name.to_owned(),
            declared: String::new(),
        };
        Answer {
            columns: vec![column("id"), column("name")],
            rows,
            cut: None,
        }
    }

    #[test]
    fn rows_stand_below_each_other() {
        let ada = vec![Cell::Integer(1), Cell::Text("Ada".to_owned())];
        let none = vec![Cell::Integer(2), Cell::Null];
        assert_eq!(
            text(&answer(vec![ada, none])),
            "1. row\nid: 1\nname: Ada\n\n2. row\nid: 2\nname: NULL\n\nResult: 2 rows"
        );
        assert_eq!(text(&answer(Vec::new())), "No rows returned");
    }

    #[test]
    fn rows_are_cut_at_their_characters() {
        // "1. row", "id: 1", "name: …" and an empty line, each with its end: 21 characters beside the name's.
        let row = |length: usize| vec![Cell::Integer(1), Cell::Text("ü".repeat(length))];
        let whole = text(&answer(vec![row(MOST - 21)]));
        assert!(whole.ends_with("\n\nResult: 1 rows"), "{whole}");
        assert_eq!(
            text(&answer(vec![row(MOST - 20)])),
            "Result: showing first 0 rows (output truncated)"
        );
        let two = text(&answer(vec![row(10), row(MOST)]));
        assert!(two.ends_with("ü\n\nResult: showing first 1 rows (output truncated)"));
        let mut huge = answer(Vec::new());
        huge.cut = Some(Cut::Bytes);
        assert_eq!(
            text(&huge),
            "Result: showing first 0 rows (output truncated)"
        );
    }
}
