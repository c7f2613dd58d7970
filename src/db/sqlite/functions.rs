//! Functions of every database: chance that is the same each time, so that a query's rows are too, and one that decides ties.

use crate::sql::ties::TIE_BREAK;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, Error, Result, ffi};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Largest blob, as large as any value may be.
const MAX_BLOB: i64 = 1_000_000;

/// Calls since a query began; zero makes every query draw the same values again.
pub type Draws = Arc<AtomicU64>;

/// Replaces `random` and `randomblob` and adds [`TIE_BREAK`], which counts down where tables are walked backwards.
pub fn add(connection: &Connection, reversed: bool) -> Result<Draws> {
    let draws = Draws::default();
    // Views may call them too.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    let counter = draws.clone();
    connection.create_scalar_function("random", 0, flags, move |_| Ok(draw(&counter) as i64))?;
    let counter = draws.clone();
    connection.create_scalar_function("randomblob", 1, flags, move |context| {
        let length = context
            .get::<Option<i64>>(0)
            .unwrap_or(None)
            .unwrap_or(1)
            .max(1);
        if length > MAX_BLOB {
            let code = ffi::Error::new(ffi::SQLITE_TOOBIG);
            return Err(Error::SqliteFailure(
                code,
                Some("string or blob too big".to_owned()),
            ));
        }
        let bytes = std::iter::repeat_with(|| draw(&counter).to_le_bytes());
        Ok(bytes.flatten().take(length as usize).collect::<Vec<u8>>())
    })?;
    let counter = draws.clone();
    connection.create_scalar_function(TIE_BREAK, 0, flags, move |_| {
        let rows = counter.fetch_add(1, Relaxed) as i64;
        Ok(if reversed { -rows } else { rows })
    })?;
    Ok(draws)
}

/// A hash of the number of calls: chance enough for a query.
fn draw(counter: &AtomicU64) -> u64 {
    let mut hash = DefaultHasher::new();
    hash.write_u64(counter.fetch_add(1, Relaxed));
    hash.finish()
}
