//! The queries that rows have as answers, run on their databases: those that fail, return nothing or are not determined.

use super::finding::{Finding, Kind};
use super::report::Report;
use super::rows::Row;
use crate::eval::databases::Databases;
use crate::eval::example::Example;
use crate::eval::golds::Golds;
use crate::eval::standard::Standard;
use anyhow::Result;
use serde_json::{Map, Value};

/// Audits the last query of every row that names its database.
pub fn find(
    rows: &[Row],
    databases: &Databases,
    findings: &mut Vec<Finding>,
    report: &mut Report,
) -> Result<()> {
    let (mut audited, mut examples, mut nowhere) = (Vec::new(), Vec::new(), 0);
    for row in rows {
        let query = row.asks.last().and_then(|ask| ask.query.as_ref());
        match (query, &row.db) {
            (Some(query), Some(db)) => {
                audited.push(row);
                let fields = [("db", db), ("gold_sql", query)];
                let fields = fields.map(|(key, text)| (key.to_owned(), text.as_str().into()));
                examples.push(Example {
                    index: examples.len(),
                    line: 0,
                    fields: Map::<String, Value>::from_iter(fields),
                    standard: Standard::default(),
                });
            }
            (Some(_), None) => nowhere += 1,
            (None, _) => {}
        }
    }
    report.audited = Some(examples.len());
    if nowhere > 0 {
        let note =
            format!("{nowhere} queries are not run: their rows name no database (db or db_id)");
        report.notes.push(note);
    }
    if examples.is_empty() {
        return Ok(());
    }
    let mut pool = databases.pool(examples.len());
    let golds = Golds::of(&examples);
    let audits = golds.audit(&examples, &mut pool)?;
    for (row, audit) in audited.iter().zip(audits) {
        for found in audit {
            let detail = format!("{}: {}", found.kind, found.detail);
            findings.push(Finding::new(Kind::References, &row.place, detail));
        }
    }
    Ok(())
}
