//! `data convert`: rows in another layout (Alpaca, ShareGPT, TRL's) and another form of file. A row that would not mean the same is
//! refused by the field that would be lost; fields that mean nothing here are handed on.

mod layout;
mod shred;
mod table;

pub use layout::Layout;
pub use shred::parquet;
pub use table::to_bytes;

use super::jsonl::{self, Line};
use super::record::{Columns, FIELDS, Meaning, meaning};
use anyhow::{Result, anyhow, ensure};
use std::collections::BTreeSet;
use std::path::Path;

/// Fields of preference rows.
const SIDES: [&str; 2] = ["chosen", "rejected"];
/// Read fields that say how much a row counts; they stay.
const WEIGHTS: [&str; 2] = ["weight", "train"];

/// What is wanted.
pub struct Request<'a> {
    /// The rows.
    pub data: &'a Path,
    /// How their columns are called.
    pub columns: &'a Columns,
    /// Their new layout; without one they stay as they are.
    pub to: Option<Layout>,
    /// Fields that are left out.
    pub drop: &'a [String],
}

/// The rows in their new layout.
///
/// Errors name each row that cannot be had in it, and the field that is in the way.
pub fn convert(request: &Request) -> Result<Vec<Line>> {
    let mut unseen: BTreeSet<&String> = request.drop.iter().collect();
    let rows = jsonl::read_as(request.data, |mut line| {
        unseen.retain(|field| !line.fields().contains_key(*field));
        let drop: Vec<&str> = request.drop.iter().map(String::as_str).collect();
        line.replace(&drop, Default::default());
        if let Some(layout) = request.to {
            lay_out(&mut line, layout, request)?;
        }
        Ok(line)
    })?;
    let never = unseen.into_iter().next();
    ensure!(
        never.is_none(),
        "{}: no row has the field {:?}, which is to be left out",
        request.data.display(),
        never.map_or("", String::as_str)
    );
    Ok(rows)
}

fn lay_out(line: &mut Line, layout: Layout, request: &Request) -> Result<()> {
    let Request { data, columns, .. } = *request;
    let place = format!("{}:{}", data.display(), line.number);
    let meant = meaning(data, line, columns)?;
    let input = columns
        .of("input")
        .and_then(|column| line.fields().get(column)?.as_str());
    let fields = layout
        .fields(&meant, input)
        .map_err(|what| anyhow!("{place}: {what:#}"))?;
    let read = FIELDS.into_iter().filter(|field| !WEIGHTS.contains(field));
    let sides = SIDES
        .into_iter()
        .filter(|_| matches!(meant, Meaning::Preference(_)));
    let taken: Vec<&str> = read
        .chain(sides)
        .filter_map(|field| columns.of(field))
        .collect();
    for field in fields.keys() {
        let stays = line.fields().contains_key(field) && !taken.contains(&field.as_str());
        ensure!(
            !stays,
            "{place}: field {field:?} is not what --field reads, and would be lost: leave it out by --drop {field}"
        );
    }
    line.replace(&taken, fields);
    // Whatever was not thought of is seen here.
    let again = meaning(data, line, &Columns::default())?;
    ensure!(
        again == meant,
        "{place}: the row would not mean the same as {}",
        layout.name()
    );
    Ok(())
}

#[cfg(test)]
mod tests;
