//! The failed rows as a Markdown page to read: what was asked, what was meant, what came, and what each returned.

use super::example::Example;
use super::score::ScoredRow;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Most rows of one kind of failure that the page shows in full.
const SHOWN_ROWS: usize = 200;

/// The page. `rows` are the scored `examples`, in their order.
pub fn review(title: &str, examples: &[Example], rows: &[ScoredRow]) -> String {
    let mut kinds: BTreeMap<&str, Vec<(&Example, &ScoredRow)>> = BTreeMap::new();
    for (example, row) in examples.iter().zip(rows) {
        if let Some(kind) = &row.scores.failure_type {
            kinds.entry(kind).or_default().push((example, row));
        }
    }
    let failed: usize = kinds.values().map(Vec::len).sum();
    let mut page = String::new();
    let _ = writeln!(page, "# Failed rows of {}\n", inline(title));
    let _ = writeln!(page, "{failed} of {} rows failed.\n", rows.len());
    if failed > 0 {
        page += "| failure | rows |\n|---|---|\n";
        for (kind, rows) in &kinds {
            let _ = writeln!(page, "| [{kind}](#{kind}) | {} |", rows.len());
        }
    }
    for (kind, rows) in &kinds {
        let _ = writeln!(page, "\n## {kind}");
        for (example, row) in rows.iter().take(SHOWN_ROWS) {
            trace(&mut page, example, row);
        }
        if rows.len() > SHOWN_ROWS {
            let _ = writeln!(
                page,
                "\n{} more rows are not shown.",
                rows.len() - SHOWN_ROWS
            );
        }
    }
    page
}

/// One row. Writing to a string cannot fail.
fn trace(page: &mut String, example: &Example, row: &ScoredRow) {
    let name = row
        .id
        .clone()
        .unwrap_or_else(|| format!("row {}", row.index));
    let _ = writeln!(page, "\n### {}\n", inline(&name));
    let question = row.question.as_deref().or(example.text("prompt"));
    let facts = [("question", question), ("database", row.db.as_deref())];
    for (what, text) in facts {
        if let Some(text) = text {
            let _ = writeln!(page, "- {what}: {}", inline(text));
        }
    }
    let errors = [
        ("predicted", &row.scores.predicted_error),
        ("gold", &row.scores.gold_error),
    ];
    for (what, error) in errors {
        if let Some(error) = error {
            let _ = writeln!(page, "- {what} error: {}", inline(error));
        }
    }
    for (what, text) in [("gold", &row.gold_sql), ("predicted", &row.predicted_sql)] {
        let _ = writeln!(page, "\n{what}\n\n{}", fenced(text));
    }
    for (what, rows) in [
        ("gold rows", &row.scores.gold_rows),
        ("predicted rows", &row.scores.predicted_rows),
    ] {
        if let Some(rows) = rows {
            let _ = writeln!(page, "\n{what}\n\n{}", table(&rows.rows()));
        }
    }
}

/// Text on one line that Markdown leaves as it is.
fn inline(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => safe.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '&' | '!' => {
                safe.extend(['\\', c]);
            }
            c => safe.push(c),
        }
    }
    safe
}

/// A code block whose fence is longer than any inside it; what a terminal would obey is spelled out.
fn fenced(text: &str) -> String {
    let obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    let spelled = text.chars().map(|c| match obeyed(c) {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    });
    let text = &*spelled.collect::<String>();
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{fence}sql\n{text}{end}{fence}")
}

fn table(rows: &[Vec<Option<String>>]) -> String {
    let Some(columns) = rows.first().map(Vec::len) else {
        return "(none)".to_owned();
    };
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(vec![String::new(); columns]);
    text += &line(vec!["---".to_owned(); columns]);
    for row in rows {
        let cell = |cell: &Option<String>| match cell {
            Some(text) => inline(text),
            None => "*NULL*".to_owned(),
        };
        text += &line(row.iter().map(cell).collect());
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(inline("a|b\n# <b>[x](y)"), "a\\|b \\# \\<b\\>\\[x\\](y)");
        assert_eq!(fenced("a ```` b"), "`````sql\na ```` b\n`````");
        assert_eq!(fenced("select 1\n"), "```sql\nselect 1\n```");
        assert_eq!(fenced("a\u{1b}[2J\tb"), "```sql\na\\u{1b}[2J\tb\n```");
        let rows = vec![vec![Some("a|b".to_owned()), None]];
        assert_eq!(table(&rows), "|  |  |\n| --- | --- |\n| a\\|b | *NULL* |");
    }
}
