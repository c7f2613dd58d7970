//! What held-out rows share with training rows.

use super::finding::{Finding, Kind};
use super::near;
use super::report::Report;
use super::rows::{Ask, Row, Side, compared};
use crate::data::overlap::{Match, Trained, without_literals};
use crate::sql::normalize::canonical;
use crate::sql::shape::shape;
use std::collections::BTreeMap;

/// Endings of a database's file, which are no part of its name.
const ENDINGS: [&str; 4] = [".db", ".sqlite", ".sqlite3", ".sql"];

/// A training query: its row and its canonical form.
type Query<'a> = (&'a Row, String);

/// A field of a row.
type Of = fn(&Row) -> Option<&str>;

/// Adds a finding for each held-out row that asks what a training row asks, or nearly, or has its query but for literals, or its
/// shape; and for each database of both.
pub fn find(rows: &[Row], least: f64, findings: &mut Vec<Finding>, report: &mut Report) {
    let (train, heldout): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.side == Side::Train);
    let mut known = Trained::default();
    let (mut forms, mut shapes) = (BTreeMap::new(), BTreeMap::new());
    for (at, row) in train.iter().enumerate() {
        if let Some(content) = &row.content {
            known.add(&at, content);
        }
        for query in row.asks.iter().flat_map(|ask| &ask.query) {
            let entry = || (*row, canonical(query));
            forms.entry(without_literals(query)).or_insert_with(entry);
            shapes.entry(shape(query)).or_insert_with(entry);
        }
    }
    let mut others = Vec::new();
    for (row, ask) in heldout.iter().flat_map(|row| row.asked()) {
        report.asked += 1;
        match known.find(&ask.prompt) {
            Some(Match { place, answers }) => {
                let answer = ask.answer.as_deref();
                let same = |own: &String| answer == Some(compared(own).as_str());
                let detail = match answers {
                    None => "within a running text",
                    Some(answers) if answers.iter().any(same) => "with the same answer",
                    Some(_) => "",
                };
                let other = &train[*place].place;
                findings.push(Finding::pair(Kind::Exact, &row.place, other, detail));
            }
            None => others.push((row, ask)),
        }
        let Some(query) = &ask.query else { continue };
        report.queries += 1;
        let own = canonical(query);
        let mut like = |kind, (other, form): &Query| {
            let detail = if *form == own { "the same query" } else { "" };
            findings.push(Finding::pair(kind, &row.place, &other.place, detail));
        };
        if let Some(other) = forms.get(&without_literals(query)) {
            like(Kind::Literals, other);
        }
        if let Some(other) = shapes.get(&shape(query)) {
            like(Kind::Shapes, other);
        }
    }
    let trained: Vec<_> = train.iter().flat_map(|row| row.asked()).collect();
    let asks =
        |all: &[_]| -> Vec<&Ask> { all.iter().map(|(_, ask): &(&Row, &Ask)| *ask).collect() };
    let alike = near::nearest(&asks(&trained), &asks(&others), least);
    for ((row, _), near) in others.iter().zip(alike) {
        if let Some((at, likeness)) = near {
            let detail = format!("{likeness:.2} alike");
            let other = &trained[at].0.place;
            findings.push(Finding::pair(Kind::Near, &row.place, other, detail));
        }
    }
    databases(&train, &heldout, findings, report);
}

/// Databases by the field that rows of both sides have; without one there is a note.
fn databases(train: &[&Row], heldout: &[&Row], findings: &mut Vec<Finding>, report: &mut Report) {
    let fields: [(&str, Of); 2] = [
        ("db", |row| row.db.as_deref()),
        ("domain", |row| row.domain.as_deref()),
    ];
    for (field, of) in fields {
        let [train, heldout] = [train, heldout].map(|rows| by_name(rows, of));
        if train.is_empty() || heldout.is_empty() {
            continue;
        }
        for (name, held) in heldout {
            let Some(trained) = train.get(name) else {
                continue;
            };
            let detail = format!(
                "{field} {name}: {} training rows, {} held-out rows",
                trained.len(),
                held.len()
            );
            let (place, other) = (&held[0].place, &trained[0].place);
            findings.push(Finding::pair(Kind::Databases, place, other, detail));
        }
        return;
    }
    let note = "databases are not compared: no field db, db_id or domain is in rows of both sides";
    report.notes.push(note.to_owned());
}

fn by_name<'a>(rows: &[&'a Row], of: Of) -> BTreeMap<&'a str, Vec<&'a Row>> {
    let mut names: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        if let Some(name) = of(row) {
            let ending = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
            names.entry(ending.unwrap_or(name)).or_default().push(row);
        }
    }
    names
}
