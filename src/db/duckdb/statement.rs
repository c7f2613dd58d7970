//! Statements from their text to their rows, for statements that nobody has to be protected from: see [`super::gate`].

use super::api::{Api, EXPLAIN, RawChunk, RawExtracted, RawPrepared, RawResult, SELECT};
use super::message;
use super::owned::{Owned, borrowed, taken};
use super::session::Session;
use super::types::Type;
use super::values::View;
use crate::db::answer::{Answer, Bounds, Column, Cut};
use crate::db::cell::Cell;
use crate::db::room::{Room, Unread};
use crate::sql::error::SqlError;
use std::ffi::CString;

/// Runs one statement of this program's own, and reads all of its rows.
pub fn run(session: &Session, sql: &str) -> Result<Answer, SqlError> {
    let all = Bounds {
        rows: usize::MAX,
        bytes: usize::MAX,
    };
    Extracted::new(session, sql)?.prepare()?.run(all)
}

/// What a statement that was prepared is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Query,
    Plan,
    Other,
}

/// A text that DuckDB took apart into statements.
pub struct Extracted<'l> {
    statements: Owned<RawExtracted>,
    session: Session<'l>,
    /// How many there are.
    pub count: u64,
}

impl<'l> Extracted<'l> {
    /// Parses. An error is the text's.
    pub fn new(session: &Session<'l>, sql: &str) -> Result<Self, SqlError> {
        let api = session.api();
        let text = CString::new(sql)
            .map_err(|_| SqlError::Refused("the SQL holds a NUL character".to_owned()))?;
        // SAFETY: the session lives, the text ends with a zero, and what is made is destroyed by the function for it.
        let (statements, count) = unsafe {
            Owned::made(api.destroy_extracted, |place| {
                (api.extract_statements)(session.raw(), text.as_ptr(), place)
            })
        };
        // SAFETY: the statements live; their error is theirs.
        let error = unsafe { borrowed((api.extract_statements_error)(statements.raw())) };
        match error.is_empty() {
            true => Ok(Self {
                statements,
                session: session.clone(),
                count,
            }),
            false => Err(message::error(&error)),
        }
    }

    /// Binds and plans the first statement. An error is the statement's.
    pub fn prepare(self) -> Result<Prepared<'l>, SqlError> {
        let (api, session) = (self.session.api(), self.session);
        // SAFETY: session and statements live, and what is made is destroyed by the function for it, even where it failed.
        let (statement, state) = unsafe {
            Owned::made(api.destroy_prepare, |place| {
                (api.prepare_extracted_statement)(session.raw(), self.statements.raw(), 0, place)
            })
        };
        if state != 0 {
            // SAFETY: the statement lives, or is null, which has no error; the error is the statement's.
            let error = unsafe { borrowed((api.prepare_error)(statement.raw())) };
            return Err(message::error(&error));
        }
        Ok(Prepared { statement, session })
    }
}

/// A statement that can be run.
pub struct Prepared<'l> {
    // Dropped in this order.
    statement: Owned<RawPrepared>,
    session: Session<'l>,
}

impl Prepared<'_> {
    pub fn kind(&self) -> Kind {
        // SAFETY: preparing succeeded; of one that failed this would end the process.
        match unsafe { (self.session.api().prepared_statement_type)(self.statement.raw()) } {
            SELECT => Kind::Query,
            EXPLAIN => Kind::Plan,
            _ => Kind::Other,
        }
    }

    /// How many values it waits for, as `?` or `$1`.
    pub fn parameters(&self) -> u64 {
        // SAFETY: the statement lives.
        unsafe { (self.session.api().nparams)(self.statement.raw()) }
    }

    /// What its result would have.
    pub fn columns(&self) -> Vec<Column> {
        let (api, raw) = (self.session.api(), self.statement.raw());
        // SAFETY: the statement lives.
        let count = unsafe { (api.prepared_statement_column_count)(raw) };
        let column = |place| Column {
            // SAFETY: `place` is below the count; the name is ours to free.
            name: unsafe { taken(api, (api.prepared_statement_column_name)(raw, place)) }
                .unwrap_or_default(),
            // SAFETY: likewise; the type is destroyed where it is read.
            declared: unsafe {
                Type::new(
                    api,
                    (api.prepared_statement_column_logical_type)(raw, place),
                )
            }
            .to_string(),
        };
        (0..count).map(column).collect()
    }

    /// Runs it, and reads rows until there are no more, or more than the bounds.
    pub fn run(&self, bounds: Bounds) -> Result<Answer, SqlError> {
        let api = self.session.api();
        let mut result = Rows {
            api,
            result: RawResult::EMPTY,
        };
        // SAFETY: the statement lives, and the result is destroyed by `Rows`, even where it failed.
        let state =
            unsafe { (api.execute_prepared_streaming)(self.statement.raw(), &mut result.result) };
        match state {
            0 => result.answer(bounds),
            _ => Err(result.error()),
        }
    }
}

/// A result that comes in chunks.
struct Rows<'l> {
    api: &'l Api,
    result: RawResult,
}

impl Rows<'_> {
    fn answer(mut self, bounds: Bounds) -> Result<Answer, SqlError> {
        let (columns, types): (Vec<_>, Vec<_>) = self.columns()?.into_iter().unzip();
        let mut answer = Answer {
            columns,
            rows: Vec::new(),
            cut: None,
        };
        let mut room = Room { left: bounds.bytes };
        while let Some((chunk, size)) = self.chunk()? {
            let views: Vec<_> = types
                .iter()
                .enumerate()
                .map(|(place, kind)| {
                    let chunk = chunk.raw();
                    // SAFETY: the chunk outlives the views, and has a vector for each column of the result.
                    unsafe {
                        let vector = (self.api.data_chunk_get_vector)(chunk, place as u64);
                        View::new(self.api, vector, kind, size)
                    }
                })
                .collect();
            for row in 0..size {
                if answer.rows.len() == bounds.rows {
                    answer.cut = Some(Cut::Rows);
                    return Ok(answer);
                }
                match read(&views, row, &mut room) {
                    Ok(cells) => answer.rows.push(cells),
                    Err(Unread::Full) => {
                        answer.cut = Some(Cut::Bytes);
                        return Ok(answer);
                    }
                    Err(Unread::Strange) => {
                        return Err(SqlError::Database("a value is damaged".to_owned()));
                    }
                }
            }
        }
        Ok(answer)
    }

    fn columns(&mut self) -> Result<Vec<(Column, Type)>, SqlError> {
        let api = self.api;
        // SAFETY: the result lives.
        let count = unsafe { (api.column_count)(&mut self.result) };
        let mut column = |place| {
            // SAFETY: `place` is below the count; the name stays the result's.
            let name = unsafe { borrowed((api.column_name)(&mut self.result, place)) };
            // SAFETY: likewise; the type is destroyed where it is read.
            let kind =
                unsafe { Type::new(api, (api.column_logical_type)(&mut self.result, place)) };
            if let Some(unread) = kind.unread() {
                let name = message::line(&name);
                return Err(SqlError::Refused(format!(
                    "column {name:?} is {unread}, whose values are not read: CAST it to VARCHAR"
                )));
            }
            let declared = kind.to_string();
            Ok((Column { name, declared }, kind))
        };
        (0..count).map(&mut column).collect()
    }

    /// The next chunk that has rows, and how many.
    fn chunk(&mut self) -> Result<Option<(Owned<RawChunk>, usize)>, SqlError> {
        let api = self.api;
        loop {
            // SAFETY: the result lives, and a chunk is destroyed by the function for it.
            let chunk =
                unsafe { Owned::new((api.fetch_chunk)(self.result), api.destroy_data_chunk) };
            if chunk.raw().is_null() {
                // SAFETY: the result lives; its error is its own.
                let error = unsafe { borrowed((api.result_error)(&mut self.result)) };
                return match error.is_empty() {
                    true => Ok(None),
                    false => Err(message::error(&error)),
                };
            }
            // SAFETY: the chunk lives.
            match unsafe { (api.data_chunk_get_size)(chunk.raw()) } {
                0 => {}
                size => return Ok(Some((chunk, size as usize))),
            }
        }
    }

    fn error(&mut self) -> SqlError {
        // SAFETY: the result was filled in by a call that failed; its error is its own.
        message::error(&unsafe { borrowed((self.api.result_error)(&mut self.result)) })
    }
}

impl Drop for Rows<'_> {
    fn drop(&mut self) {
        // SAFETY: nobody else destroys it, and an empty one is let pass.
        unsafe { (self.api.destroy_result)(&mut self.result) }
    }
}

fn read(views: &[View], row: usize, room: &mut Room) -> Result<Vec<Cell>, Unread> {
    room.take(size_of::<Vec<Cell>>())?;
    views.iter().map(|view| view.cell(row, room)).collect()
}
