//! Runs one SQLite query on a confined connection, within a deadline and bounds on its result.

use crate::db::processor;
use crate::db::sandbox::{MAX_BYTES, MAX_ROWS};
use crate::sql::error::SqlError;
use crate::sql::value::{Row, Value};
use rusqlite::{Connection, ErrorCode, Statement};
use std::time::Duration;

/// Virtual machine steps between two looks at the clock.
const STEPS_PER_LOOK: i32 = 1_000;

/// Runs a query that looks at the clock between its steps.
pub fn run_before(
    connection: &Connection,
    sql: &str,
    timeout: Duration,
) -> Result<Vec<Row>, SqlError> {
    let deadline = processor::of_thread() + timeout;
    connection
        .progress_handler(
            STEPS_PER_LOOK,
            Some(move || processor::of_thread() >= deadline),
        )
        .map_err(|error| failure(error, timeout))?;
    rows_of(connection, sql, timeout)
}

/// One query, prepared on a confined connection.
pub fn query_of<'c>(
    connection: &'c Connection,
    sql: &str,
    timeout: Duration,
) -> Result<Statement<'c>, SqlError> {
    let refused = |reason: &str| Err(SqlError::Refused(reason.to_owned()));
    if sql.contains('\0') {
        return refused("the SQL holds a NUL character");
    }
    let statement = connection.prepare(sql);
    let statement = statement.map_err(|error| failure(error, timeout))?;
    if statement.column_count() == 0 {
        return refused("no query");
    }
    // The authorizer lets EXPLAIN pass.
    if statement.is_explain() != 0 {
        return refused("EXPLAIN");
    }
    Ok(statement)
}

fn rows_of(connection: &Connection, sql: &str, timeout: Duration) -> Result<Vec<Row>, SqlError> {
    let failure = |error| failure(error, timeout);
    let mut statement = query_of(connection, sql, timeout)?;
    let columns = statement.column_count();
    let mut cursor = statement.query([]).map_err(failure)?;
    let mut rows = Vec::new();
    let mut bytes = 0;
    while let Some(record) = cursor.next().map_err(failure)? {
        let value = |column| record.get_ref(column).map(Value::from);
        let row: Row = (0..columns)
            .map(value)
            .collect::<Result<_, _>>()
            .map_err(failure)?;
        bytes += size_of::<Row>() + row.iter().map(Value::bytes).sum::<usize>();
        rows.push(row);
        if rows.len() > MAX_ROWS || bytes > MAX_BYTES {
            return Err(SqlError::ResourceLimit(format!(
                "more than {MAX_ROWS} rows or {MAX_BYTES} bytes"
            )));
        }
    }
    Ok(rows)
}

/// Sorts SQLite's errors by what caused them.
pub(super) fn failure(error: rusqlite::Error, timeout: Duration) -> SqlError {
    use rusqlite::Error;
    let message = match &error {
        // The default text repeats the whole query.
        Error::SqlInputError { msg, .. } => msg.clone(),
        Error::MultipleStatement => "more than one statement".to_owned(),
        other => other.to_string(),
    };
    let refused = matches!(error, Error::MultipleStatement)
        || message.starts_with("not authorized")
        || (message.starts_with("table ") && message.ends_with(" may not be modified"));
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => SqlError::Timeout(timeout.as_millis() as u64),
        Some(ErrorCode::OutOfMemory) => SqlError::out_of_memory(),
        Some(ErrorCode::TooBig) => SqlError::ResourceLimit(message),
        Some(ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly) => {
            SqlError::Refused(message)
        }
        _ if refused => SqlError::Refused(message),
        _ if is_limit(&message) => SqlError::ResourceLimit(message),
        _ => SqlError::Sql(message),
    }
}

/// Limits that SQLite reports with its general error code, by how their messages begin.
fn is_limit(message: &str) -> bool {
    [
        "too many",
        "Expression tree is too large",
        "LIKE or GLOB pattern too complex",
        "at most",
        "parser stack overflow",
        "Recursion limit",
        "string or blob too big",
    ]
    .iter()
    .any(|start| message.starts_with(start))
}
