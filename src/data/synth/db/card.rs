//! The card of a set, for a person to read.

use std::fmt::Write;

use super::super::fill::rank;
use super::super::manifest::Manifest;
use super::super::rows::Rows;
use super::model::Db;

/// Examples on the card, half of train and half of dev.
const EXAMPLES: usize = 20;

/// The card's text.
pub fn card(
    databases: &[Db],
    rows: &Rows,
    manifest: &Manifest,
    notes: &[String],
    seed: u64,
) -> String {
    let mut card = format!(
        "# Questions and queries over {}\n\n",
        databases
            .iter()
            .map(|db| db.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    );
    let _ = writeln!(card, "{}.\n", manifest.summary());
    card += "Every query was run: it returns something, depends on no open order, and no shorter query answers the same. Dev shares no\nquestion, no query and no shape with the same values with train; its slice `unseen-shape` has shapes that train lacks.\n\n";
    card += "The databases are in `databases/`. To score answers: `factory eval-sql PREDICTIONS --db-dir THIS/databases`.\n\n";
    for note in notes {
        let _ = writeln!(card, "- {note}.");
    }
    card += "\n| database | tables | rows | keys |\n|---|---|---|---|\n";
    for db in databases {
        let count: usize = db.tables.iter().map(|table| table.rows).sum();
        let _ = writeln!(
            card,
            "| {} | {} | {count} | {} |",
            db.name,
            db.tables.len(),
            db.links.len()
        );
    }
    card += "\n| kind | train | dev |\n|---|---|---|\n";
    for (kind, [train, dev]) in manifest.kinds() {
        let _ = writeln!(card, "| {kind} | {train} | {dev} |");
    }
    card += "\n## Examples\n\n";
    let train = rows.train.iter().map(|row| {
        (
            row.id.as_str(),
            row.question.as_str(),
            row.response.as_str(),
        )
    });
    let dev = rows.dev.iter().map(|row| {
        (
            row.id.as_str(),
            row.question.as_str(),
            row.gold_sql.as_str(),
        )
    });
    let mut halves = [train.collect::<Vec<_>>(), dev.collect()];
    for half in &mut halves {
        half.sort_by_cached_key(|(id, ..)| rank(seed, &["card", id]));
        half.truncate(EXAMPLES / 2);
    }
    for (id, question, sql) in halves.concat() {
        let _ = writeln!(card, "- {id}: {question}\n  `{sql}`");
    }
    card
}
