//! A database in memory of what anybody may have written: its tables, and no rows.

use super::{BUILD_TIME, REFUSED_FUNCTIONS, confine, functions, limit_heap};
use crate::db::processor;
use anyhow::Result;
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;

/// Builds the tables of a script and leaves a query nothing but reading. Whatever is no `CREATE TABLE` is refused.
pub fn empty(script: &str) -> Result<Connection> {
    let connection = Connection::open_in_memory()?;
    limit_heap(&connection)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    let deadline = processor::of_thread() + BUILD_TIME;
    connection.progress_handler(1_000, Some(move || processor::of_thread() >= deadline))?;
    connection.authorizer(Some(creates))?;
    connection.execute_batch(script)?;
    connection.authorizer(None::<fn(AuthContext) -> Authorization>)?;
    functions::add(&connection, false)?;
    confine(&connection)?;
    Ok(connection)
}

/// Tables, and what SQLite itself does for them.
fn creates(context: AuthContext) -> Authorization {
    let allowed = match context.action {
        AuthAction::CreateTable { .. }
        | AuthAction::CreateIndex { .. }
        | AuthAction::Reindex { .. }
        | AuthAction::Read { .. } => true,
        AuthAction::Insert { table_name } | AuthAction::Update { table_name, .. } => {
            table_name.starts_with("sqlite_")
        }
        AuthAction::Function { function_name } => !REFUSED_FUNCTIONS
            .iter()
            .any(|refused| refused.eq_ignore_ascii_case(function_name)),
        _ => false,
    };
    match allowed {
        true => Authorization::Allow,
        false => Authorization::Deny,
    }
}
