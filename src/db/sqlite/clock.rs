//! The time of day that queries see: one for a whole run, so that both sides of a row see the same.

use anyhow::{Context, Error, Result};
use rusqlite::ffi;
use serde::{Deserialize, Serialize};
use std::ffi::c_int;
use std::fmt;
use std::ptr;
use std::str::FromStr;
use std::sync::Once;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A point in time as RFC 3339 writes it, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Now(OffsetDateTime);

impl Now {
    /// The present second.
    pub fn current() -> Self {
        let now = OffsetDateTime::now_utc();
        Self(now.replace_nanosecond(0).unwrap_or(now))
    }

    /// Milliseconds since noon of November 24, 4714 BC, as SQLite counts.
    fn julian(self) -> i64 {
        const UNIX_EPOCH: i64 = 210_866_760_000_000;
        UNIX_EPOCH + (self.0.unix_timestamp_nanos() / 1_000_000) as i64
    }
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Now {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let expected = || "expected a time such as 2026-01-02T03:04:05Z";
        let time = OffsetDateTime::parse(text, &Rfc3339).with_context(expected)?;
        let time = time.checked_to_offset(UtcOffset::UTC);
        // SQLite's years are four digits.
        let time = time.filter(|time| (0..=9999).contains(&time.year()));
        Ok(Self(time.with_context(expected)?))
    }
}

impl TryFrom<String> for Now {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Now> for String {
    fn from(now: Now) -> Self {
        now.to_string()
    }
}

static PINNED: AtomicI64 = AtomicI64::new(0);

/// Stops the clock of every database that this process opens from now on.
pub fn pin(now: Now) {
    static REGISTERED: Once = Once::new();
    PINNED.store(now.julian(), Relaxed);
    REGISTERED.call_once(register);
}

/// Makes a copy of the default VFS the default, which differs in what time it says.
fn register() {
    // Sound: SQLite's VFS is a table of functions that do not ask which table they were found in, as its own variants share
    // them; the copy lives as long as the process.
    unsafe {
        let default = ffi::sqlite3_vfs_find(ptr::null());
        if default.is_null() {
            return;
        }
        let mut pinned = Box::new(*default);
        pinned.zName = c"factory-pinned".as_ptr();
        pinned.pNext = ptr::null_mut();
        pinned.xCurrentTime = Some(current_time);
        pinned.xCurrentTimeInt64 = Some(current_time_int64);
        ffi::sqlite3_vfs_register(Box::leak(pinned), 1);
    }
}

/// In days.
unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, days: *mut f64) -> c_int {
    // Sound: SQLite hands a place for the answer.
    unsafe { *days = PINNED.load(Relaxed) as f64 / 86_400_000.0 };
    ffi::SQLITE_OK
}

/// In milliseconds.
unsafe extern "C" fn current_time_int64(_: *mut ffi::sqlite3_vfs, milliseconds: *mut i64) -> c_int {
    // Sound: as above.
    unsafe { *milliseconds = PINNED.load(Relaxed) };
    ffi::SQLITE_OK
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn every_way_to_ask_gives_the_pinned_time() {
        pin("2021-03-04T07:06:07.250+02:00".parse().unwrap());
        let connection = Connection::open_in_memory().unwrap();
        let text = |sql: &str| -> String {
            let sql = format!("SELECT CAST({sql} AS TEXT)");
            connection.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        for (sql, expected) in [
            ("CURRENT_TIMESTAMP", "2021-03-04 05:06:07"),
            ("CURRENT_DATE", "2021-03-04"),
            ("CURRENT_TIME", "05:06:07"),
            ("date('now', '-3 days')", "2021-03-01"),
            ("datetime()", "2021-03-04 05:06:07"),
            ("strftime('%f', 'now')", "07.250"),
            ("unixepoch()", "1614834367"),
            ("unixepoch('subsec')", "1614834367.25"),
            (
                "julianday('now') = julianday('2021-03-04 05:06:07.250')",
                "1",
            ),
            ("timediff('now', '2021-03-04')", "+0000-00-00 05:06:07.250"),
        ] {
            assert_eq!(text(sql), expected, "{sql}");
        }
    }

    #[test]
    fn only_a_whole_time_is_one() {
        let now: Now = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(now.to_string(), "2026-01-02T03:04:05Z");
        assert_eq!(
            serde_json::to_string(&now).unwrap(),
            "\"2026-01-02T03:04:05Z\""
        );
        for text in [
            "",
            "now",
            "2026-01-02",
            "2026-01-02T03:04:05",
            "9999-12-31T23:59:59-01:00",
        ] {
            assert!(text.parse::<Now>().is_err(), "{text}");
        }
        assert_eq!(Now::current().to_string().len(), 20);
    }
}
