//! A stranger's query, from its text to its rows.
//!
//! The query runs as the query of a cursor: of all statements the server takes only one that reads into a cursor, by its own
//! grammar, and gives its rows in pieces and every value as the text that `psql` shows.

use super::columns;
use super::functions;
use super::gate;
use super::message;
use super::session::Session;
use super::values::Form;
use crate::db::answer::{Answer, Bounds, Column, Cut};
use crate::db::room::{Room, Unread};
use crate::sql::error::SqlError;
use std::pin::pin;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow, Statement};
use tokio_stream::StreamExt;

/// Rows that are fetched at a time.
const PIECE: usize = 1_000;

/// A query that can be run once.
pub struct Prepared<'a> {
    /// The whole statement, if the plan of the query is asked for.
    plan: Option<&'a str>,
    /// What makes the cursor.
    cursor: Statement,
    pub columns: Vec<Column>,
    forms: Vec<Form>,
}

/// Finds out whether a stranger's text is one query that only reads, and what it would give.
pub async fn prepare<'a>(session: &Session, sql: &'a str) -> Result<Prepared<'a>, SqlError> {
    let asked = gate::asked(sql).map_err(SqlError::Refused)?;
    functions::check(session, &asked.calls).await?;
    prepared(session, sql, asked.query, asked.plan()).await
}

/// The columns that a stranger's query would give. It is not run.
pub async fn columns(session: &Session, sql: &str) -> Result<Vec<Column>, SqlError> {
    Ok(prepare(session, sql).await?.columns)
}

/// The rows of a stranger's query, as far as `bounds` allow.
pub async fn answer(session: &Session, sql: &str, bounds: Bounds) -> Result<Answer, SqlError> {
    let prepared = prepare(session, sql).await?;
    run(session, prepared, bounds).await
}

/// Prepares a query of this program's own.
pub async fn own<'a>(session: &Session, sql: &'a str) -> Result<Prepared<'a>, SqlError> {
    prepared(session, sql, sql, None).await
}

async fn prepared<'a>(
    session: &Session,
    sql: &str,
    query: &str,
    plan: Option<&'a str>,
) -> Result<Prepared<'a>, SqlError> {
    // The whole text, for the places in messages. The server takes one statement here.
    let statement = session.within(session.client.prepare(sql)).await?;
    let statement = statement.map_err(|error| session.error(&error))?;
    if !statement.params().is_empty() {
        let reason = "the query has parameters, which nothing fills in";
        return Err(SqlError::Refused(reason.to_owned()));
    }
    let cursor = format!("DECLARE factory NO SCROLL CURSOR FOR {query}");
    let cursor = session.within(session.client.prepare(&cursor)).await?;
    // It is a statement, as was just found: if this is wrong with it, none that a cursor may be of.
    let cursor = cursor.map_err(|error| match (session.error(&error), error.as_db_error()) {
        (SqlError::Sql(_), Some(told)) => {
            let reason = message::line(told.message());
            SqlError::Refused(format!("it does more than read: {reason}"))
        }
        (other, _) => other,
    })?;
    let (columns, forms) = columns::of(session, &statement).await?;
    Ok(Prepared {
        plan,
        cursor,
        columns,
        forms,
    })
}

/// Runs it, and reads rows until there are no more, or more than the bounds.
pub async fn run(
    session: &Session,
    prepared: Prepared<'_>,
    bounds: Bounds,
) -> Result<Answer, SqlError> {
    let mut rows = Rows {
        forms: prepared.forms,
        room: Room { left: bounds.bytes },
        most: bounds.rows,
        answer: Answer {
            columns: prepared.columns,
            rows: Vec::new(),
            cut: None,
        },
    };
    if let Some(plan) = prepared.plan {
        rows.read(session, plan).await?;
        return Ok(rows.answer);
    }
    let made = session.client.execute(&prepared.cursor, &[]);
    let made = session.within(made).await?;
    made.map_err(|error| session.error(&error))?;
    loop {
        let piece = rows.room_for().saturating_add(1).min(PIECE);
        let (left, before) = (session.left()?, rows.answer.rows.len());
        let fetch = format!("SET LOCAL statement_timeout = {left}; FETCH {piece} FROM factory");
        rows.read(session, &fetch).await?;
        if rows.answer.cut.is_some() || rows.answer.rows.len() - before < piece {
            return Ok(rows.answer);
        }
    }
}

/// What was read of a result.
struct Rows {
    forms: Vec<Form>,
    room: Room,
    most: usize,
    answer: Answer,
}

impl Rows {
    fn room_for(&self) -> usize {
        self.most - self.answer.rows.len()
    }

    /// Takes the rows that statements give, as they come; of what there is no more room for nothing is kept.
    async fn read(&mut self, session: &Session, statements: &str) -> Result<(), SqlError> {
        let failed = |error| session.error(&error);
        let asked = session.client.simple_query_raw(statements);
        let mut messages = pin!(session.within(asked).await?.map_err(failed)?);
        while let Some(message) = session.within(messages.next()).await? {
            let SimpleQueryMessage::Row(row) = message.map_err(failed)? else {
                continue;
            };
            self.take(&row)?;
            if self.answer.cut.is_some() {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, row: &SimpleQueryRow) -> Result<(), SqlError> {
        if self.room_for() == 0 {
            self.answer.cut = Some(Cut::Rows);
            return Ok(());
        }
        let mut cells = Vec::new();
        let mut fits = self.room.take(size_of_val(&cells));
        for (place, (form, column)) in self.forms.iter().zip(&self.answer.columns).enumerate() {
            if fits.is_err() {
                break;
            }
            let text = row.try_get(place).map_err(|_| strange(column))?;
            match form.cell(text, &mut self.room) {
                Ok(cell) => cells.push(cell),
                Err(Unread::Full) => fits = Err(Unread::Full),
                Err(Unread::Strange) => return Err(strange(column)),
            }
        }
        match fits {
            Ok(()) => self.answer.rows.push(cells),
            Err(_) => self.answer.cut = Some(Cut::Bytes),
        }
        Ok(())
    }
}

fn strange(column: &Column) -> SqlError {
    let (name, declared) = (message::line(&column.name), &column.declared);
    SqlError::Sql(format!(
        "column {name:?} ({declared}) holds a value that is not understood: cast it to text"
    ))
}
