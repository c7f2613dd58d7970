//! Some rows of a large database, in one of its own: evenly spread over each table, and those that the keys of others lead to.

use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::db::sqlite::layout::Layout;
use crate::db::sqlite::open;

use super::model::{Link, identifier};

/// Rows taken of each table by their place; those that keys lead to come beside them.
const ROWS: usize = 2_000;
/// Most keys of one column whose rows are taken.
const LED_TO: usize = 5_000;
/// Longest cell that is taken, in bytes; a longer one becomes NULL.
const LONGEST: usize = 2_000;

/// Writes an extract of the database at `from` to `to`.
pub fn extract(
    from: &Path,
    layouts: &[Layout],
    counts: &[usize],
    links: &[Link],
    to: &Path,
) -> Result<()> {
    let (source, _) = open(from, false)?;
    let target = Connection::open(to)?;
    target.execute_batch(
        "pragma foreign_keys = off; pragma journal_mode = off; pragma synchronous = off; begin",
    )?;
    for layout in layouts {
        target.execute_batch(&declaration(layout, layouts))?;
    }
    for (layout, count) in layouts.iter().zip(counts) {
        let table = identifier(&layout.name);
        let mut insert = Insert::of(layout, &target)?;
        if layout.has_rowid && *count > ROWS {
            let bounds = format!("select min({table}.rowid), max({table}.rowid) from {table}");
            let (first, last): (i64, i64) =
                source.query_row(&bounds, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let sql = format!(
                "select {} from {table} where {table}.rowid >= ?1 order by {table}.rowid limit 1",
                cells(layout)
            );
            let mut next = source.prepare(&sql)?;
            for at in 0..ROWS as i128 {
                // In wider numbers: rowids may lie at both ends.
                let place =
                    i128::from(first) + (i128::from(last) - i128::from(first)) * at / ROWS as i128;
                insert.all(&mut next, [place as i64])?;
            }
        } else {
            let sql = format!("select {} from {table} limit {ROWS}", cells(layout));
            insert.all(&mut source.prepare(&sql)?, [])?;
        }
    }
    // As often as keys can lead on from what came last, but for circles.
    for _ in 0..3 {
        lead_on(&source, layouts, links, &target)?;
    }
    target.execute_batch("commit; vacuum")?;
    Ok(())
}

/// Takes the rows that keys lead to and that are not there yet.
fn lead_on(
    source: &Connection,
    layouts: &[Layout],
    links: &[Link],
    target: &Connection,
) -> Result<()> {
    for link in links {
        let (own, parent) = (&layouts[link.child], &layouts[link.parent]);
        let (child, column) = (
            identifier(&own.name),
            identifier(&own.columns[link.column].name),
        );
        let (table, key) = (
            identifier(&parent.name),
            identifier(&parent.columns[link.key].name),
        );
        let missing = format!(
            "select distinct {column} from {child} where {column} is not null
             and {column} not in (select {key} from {table} where {key} is not null) limit {LED_TO}"
        );
        let missing: Vec<Value> = target
            .prepare(&missing)?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut insert = Insert::of(parent, target)?;
        // Many at once: without an index each look is a walk through the table.
        for some in missing.chunks(500) {
            let places = vec!["?"; some.len()].join(", ");
            let sql = format!(
                "select {} from {table} where {key} in ({places})",
                cells(parent)
            );
            insert.all(&mut source.prepare(&sql)?, params_from_iter(some))?;
        }
    }
    Ok(())
}

fn cells(layout: &Layout) -> String {
    let cells = layout.columns.iter().map(|column| {
        let name = identifier(&column.name);
        format!("case when octet_length({name}) > {LONGEST} then null else {name} end")
    });
    cells.collect::<Vec<_>>().join(", ")
}

/// A table with its types and keys, without what could refuse a row.
fn declaration(layout: &Layout, layouts: &[Layout]) -> String {
    let mut parts: Vec<String> = layout
        .columns
        .iter()
        .map(|column| format!("{} {}", identifier(&column.name), type_of(&column.declared)))
        .collect();
    let mut primary: Vec<_> = layout
        .columns
        .iter()
        .filter(|column| column.primary > 0)
        .collect();
    primary.sort_by_key(|column| column.primary);
    if !primary.is_empty() {
        let names: Vec<String> = primary
            .iter()
            .map(|column| identifier(&column.name))
            .collect();
        parts.push(format!("primary key ({})", names.join(", ")));
    }
    for key in &layout.keys {
        let parent = &layouts[key.parent];
        parts.push(format!(
            "foreign key ({}) references {}({})",
            identifier(&layout.columns[key.column].name),
            identifier(&parent.name),
            identifier(&parent.columns[key.parent_column].name)
        ));
    }
    format!(
        "create table {}({});",
        identifier(&layout.name),
        parts.join(", ")
    )
}

/// A declared type as far as it is words; the rest of it could be anything.
fn type_of(declared: &str) -> String {
    let words = declared.split('(').next().unwrap_or("");
    words
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == ' ')
        .collect()
}

struct Insert<'a> {
    statement: rusqlite::Statement<'a>,
    width: usize,
}

impl<'a> Insert<'a> {
    fn of(layout: &Layout, target: &'a Connection) -> Result<Self> {
        let places = vec!["?"; layout.columns.len()].join(", ");
        let sql = format!(
            "insert or ignore into {} values ({places})",
            identifier(&layout.name)
        );
        Ok(Self {
            statement: target.prepare(&sql)?,
            width: layout.columns.len(),
        })
    }

    /// Inserts what a query gives.
    fn all(
        &mut self,
        query: &mut rusqlite::Statement,
        parameters: impl rusqlite::Params,
    ) -> Result<()> {
        let mut rows = query.query(parameters)?;
        while let Some(row) = rows.next().context("a row cannot be read")? {
            let values: Vec<Value> = (0..self.width)
                .map(|at| row.get(at))
                .collect::<Result<_, _>>()?;
            self.statement.execute(params_from_iter(values))?;
        }
        Ok(())
    }
}
