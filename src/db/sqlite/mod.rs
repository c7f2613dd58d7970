//! Opens databases so that a query can only read.

mod clock;
mod declared;
mod empty;
pub mod engine;
pub mod execute;
mod functions;
pub mod layout;
mod schema;
pub mod scratch;

pub use clock::{Now, pin};
pub use empty::empty;
pub use functions::Draws;
pub use schema::{functions, named, read_schema, schema};

use crate::db::processor;
use anyhow::{Context, Result, anyhow, bail};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Largest schema file that is built in memory, in bytes.
const MAX_SCHEMA: u64 = 64 << 20;
/// How much processor time building one may take.
pub const BUILD_TIME: Duration = Duration::from_secs(60);
/// SQLite's memory for the whole process, in bytes; beyond it a query fails instead of the machine.
const MAX_HEAP: u64 = 256 << 20;

/// Functions that reach outside the database.
const REFUSED_FUNCTIONS: [&str; 5] = [
    "load_extension",
    "fts3_tokenizer",
    "readfile",
    "writefile",
    "edit",
];

/// What one statement may need at most; real queries need far less.
const LIMITS: [(Limit, i32); 10] = [
    (Limit::SQLITE_LIMIT_LENGTH, 1_000_000),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (Limit::SQLITE_LIMIT_COLUMN, 1_000),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 100),
    (Limit::SQLITE_LIMIT_VDBE_OP, 100_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 64),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Opens what [`locate`] found for reading only: a database file, or one built in memory from a trusted `.sql` file.
///
/// `reversed` makes SQLite walk tables backwards where a query leaves the order open, which shows what depends on it.
///
/// Beside the connection comes what must be zero when a query begins.
pub fn open(file: &Path, reversed: bool) -> Result<(Connection, Draws)> {
    let connection = open_whole(file)?;
    let draws = functions::add(&connection, reversed)?;
    if reversed {
        connection.execute_batch("PRAGMA reverse_unordered_selects = ON")?;
    }
    confine(&connection).with_context(|| format!("cannot confine database {}", file.display()))?;
    Ok((connection, draws))
}

/// Opens or builds a database, not yet confined.
fn open_whole(file: &Path) -> Result<Connection> {
    match file.extension().is_some_and(|extension| extension == "sql") {
        true => {
            build(file).with_context(|| format!("cannot build a database from {}", file.display()))
        }
        false => {
            open_file(file).with_context(|| format!("cannot open database {}", file.display()))
        }
    }
}

/// Opens a file as immutable: SQLite makes no journal, lock or shared-memory file beside it.
fn open_file(file: &Path) -> Result<Connection> {
    refuse_truncated(file)?;
    refuse_pending(file)?;
    refuse_locked(file)?;
    let connection = Connection::open_with_flags(
        uri(file, "?immutable=1"),
        OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    limit_heap(&connection)?;
    // SQLite reads nothing when it opens; this finds a file that is no database.
    let first = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    match first {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            bail!("not a SQLite database, or an encrypted one")
        }
        first => Ok(first.map(|()| connection)?),
    }
}

/// The first bytes of a file.
fn header(file: &Path, length: u64) -> Result<Vec<u8>> {
    let mut header = Vec::new();
    File::open(file)?.take(length).read_to_end(&mut header)?;
    Ok(header)
}

/// SQLite reads missing pages as zeros (https://www.sqlite.org/fileformat.html, section 1.3).
fn refuse_truncated(file: &Path) -> Result<()> {
    let header = header(file, 100)?;
    let length = fs::metadata(file)?.len();
    if length == 0 {
        bail!("the file is empty");
    }
    let number = |at: usize| -> Option<u64> {
        let bytes: [u8; 4] = header.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes).into())
    };
    let page = match header.get(16..18) {
        Some([0, 1]) => 65536,
        Some(size) => u64::from(size[0]) * 256 + u64::from(size[1]),
        None => return Ok(()),
    };
    // The count of pages holds if it was written with the last change.
    let (Some(pages), Some(change), Some(written)) = (number(28), number(24), number(92)) else {
        return Ok(());
    };
    if header.starts_with(b"SQLite format 3\0") && change == written && length < page * pages {
        bail!("the file is truncated: {length} bytes of {}", page * pages);
    }
    Ok(())
}

/// Immutable mode ignores a journal beside the file, so its changes would be silently missing.
fn refuse_pending(file: &Path) -> Result<()> {
    for (end, starts) in [
        ("-wal", &b""[..]),
        ("-journal", b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"),
    ] {
        let mut beside = file.as_os_str().to_owned();
        beside.push(end);
        let beside = Path::new(&beside);
        // A journal that is kept but done with has zeros for its first bytes.
        let pending = fs::metadata(beside).is_ok_and(|meta| meta.len() > 0)
            && header(beside, 8)?.starts_with(starts);
        if pending {
            bail!(
                "{} holds unsaved changes: open the database once with sqlite3 and close it",
                beside.display()
            );
        }
    }
    Ok(())
}

/// Immutable mode would read beside a writer's lock, and see half of what it writes.
fn refuse_locked(file: &Path) -> Result<()> {
    let header = header(file, 20)?;
    // Asking for a lock on a file in WAL mode would make files beside it; its writers are found by the file they make.
    if header.get(18) != Some(&1) {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(file, "?mode=ro"), flags)?;
    connection.busy_timeout(Duration::ZERO)?;
    match connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            bail!("another process has it locked: wait for it, or give a copy")
        }
        // Whatever else is wrong is said when it is opened.
        _ => Ok(()),
    }
}

/// A `file:` URI with every byte that could mean something to SQLite's parser escaped.
fn uri(file: &Path, parameters: &str) -> String {
    let mut uri = String::from("file:");
    for &byte in file.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(byte.into());
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri + parameters
}

/// Builds a database in memory from a schema file, before the limits on queries are set.
fn build(schema: &Path) -> Result<Connection> {
    if fs::metadata(schema)?.len() > MAX_SCHEMA {
        bail!("larger than {MAX_SCHEMA} bytes: make a .db file of it");
    }
    let sql = String::from_utf8(fs::read(schema)?);
    let sql = sql.map_err(|_| anyhow!("neither a SQLite database nor a script in UTF-8"))?;
    let connection = Connection::open_in_memory()?;
    limit_heap(&connection)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    // As in the sqlite3 shell: published dumps insert rows before the rows that they refer to.
    connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY")?;
    // Dumps begin with some that change nothing here; others hold for the whole process, or name folders.
    let leave_settings = |context: AuthContext| match context.action {
        AuthAction::Pragma { .. } => Authorization::Ignore,
        _ => Authorization::Allow,
    };
    connection.authorizer(Some(leave_settings))?;
    run_script(&connection, &sql, BUILD_TIME)?;
    connection.authorizer(None::<fn(AuthContext) -> Authorization>)?;
    if !connection.is_autocommit() {
        bail!("it begins a transaction that it never commits");
    }
    Ok(connection)
}

/// Keeps the database of a script as a file that is not there yet.
pub fn build_into(script: &Path, file: &Path) -> Result<()> {
    let connection = build(script)?;
    // It counts as an attached database.
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
    connection.execute("VACUUM INTO ?1", [uri(file, "")])?;
    Ok(())
}

/// Runs a script that may take so much processor time, and leaves the connection that limit.
pub fn run_script(connection: &Connection, sql: &str, time: Duration) -> Result<()> {
    let deadline = processor::of_thread() + time;
    connection.progress_handler(1_000, Some(move || processor::of_thread() >= deadline))?;
    connection.execute_batch(sql).map_err(|error| match error {
        // The default text quotes the whole file.
        rusqlite::Error::SqlInputError { msg, offset, .. } => {
            anyhow!("{msg} at byte {offset} of a statement")
        }
        other if other.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            anyhow!("the script takes more than {time:?} to run: does it ever end?")
        }
        other => other.into(),
    })
}

/// A process-wide limit: SQLite has no other. It may be set again and again.
fn limit_heap(connection: &Connection) -> Result<()> {
    Ok(connection.execute_batch(&format!("PRAGMA hard_heap_limit = {MAX_HEAP}"))?)
}

/// Leaves a query nothing but reading. The authorizer comes last because it refuses the pragmas too.
fn confine(connection: &Connection) -> Result<()> {
    connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA query_only = ON")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // No attached database: VACUUM INTO needs one as well.
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    for (limit, value) in LIMITS {
        connection.set_limit(limit, value)?;
    }
    Ok(connection.authorizer(Some(authorize))?)
}

fn authorize(context: AuthContext) -> Authorization {
    let allowed = match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => !REFUSED_FUNCTIONS
            .iter()
            .any(|refused| refused.eq_ignore_ascii_case(function_name)),
        // Table-valued functions such as json_each declare their columns this way; nothing is written.
        AuthAction::Update { table_name, .. } => table_name == "sqlite_master",
        _ => false,
    };
    if allowed {
        Authorization::Allow
    } else {
        Authorization::Deny
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_without_end_is_stopped() {
        let endless = "CREATE TABLE t AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n;";
        let connection = Connection::open_in_memory().unwrap();
        let error = run_script(&connection, endless, Duration::from_millis(50)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the script takes more than 50ms to run: does it ever end?"
        );
    }

    #[test]
    fn a_scripts_settings_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.sql");
        let script = "PRAGMA foreign_keys = ON; PRAGMA hard_heap_limit = 200000; PRAGMA user_version = 7; PRAGMA temp_store = FILE; CREATE TABLE t(a);";
        fs::write(&file, script).unwrap();
        let connection = build(&file).unwrap();
        let setting = |name: &str| -> i64 {
            let sql = format!("PRAGMA {name}");
            connection.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(
            (
                setting("hard_heap_limit"),
                setting("user_version"),
                setting("temp_store")
            ),
            (MAX_HEAP as i64, 0, 2)
        );
    }

    #[test]
    fn odd_file_names_open() {
        let folder = tempfile::tempdir().unwrap();
        let name = "a b?immutable=0#%20é.db";
        let writer = Connection::open(folder.path().join(name)).unwrap();
        writer.execute_batch("CREATE TABLE t(a)").unwrap();
        drop(writer);
        let (connection, _) = open(&folder.path().join(name), false).unwrap();
        assert!(connection.prepare("SELECT a FROM t").is_ok());
    }

    #[test]
    fn what_is_no_database_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = |name: &str| {
            format!(
                "{:#}",
                open(&folder.path().join(name), false).err().unwrap()
            )
        };
        fs::write(
            folder.path().join("text.db"),
            "no database, but long enough\n".repeat(99),
        )
        .unwrap();
        assert!(message("text.db").contains("not a SQLite database"));
        fs::write(folder.path().join("bad.sql"), "CREATE TABLE t(a); .quit").unwrap();
        assert!(message("bad.sql").contains("bad.sql"));
        fs::write(folder.path().join("open.sql"), "BEGIN; CREATE TABLE t(a)").unwrap();
        assert!(message("open.sql").contains("never commits"));
    }

    #[test]
    fn pending_changes_are_not_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Connection::open(folder.path().join("w.db")).unwrap();
        writer
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(a)")
            .unwrap();
        let error = format!(
            "{:#}",
            open(&folder.path().join("w.db"), false).err().unwrap()
        );
        assert!(error.contains("w.db-wal holds unsaved changes"), "{error}");
    }

    #[test]
    fn a_truncated_or_empty_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.db");
        let writer = Connection::open(&file).unwrap();
        writer
            .execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)")
            .unwrap();
        drop(writer);
        let whole = fs::read(&file).unwrap();
        let error = |bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            format!("{:#}", open(&file, false).err().unwrap())
        };
        assert!(error(&whole[..whole.len() - 1]).contains("the file is truncated"));
        assert!(error(b"").contains("the file is empty"));
    }

    #[test]
    fn a_journal_that_is_done_with_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("p.db");
        let writer = Connection::open(&file).unwrap();
        let script = "PRAGMA journal_mode = PERSIST; CREATE TABLE t(a); INSERT INTO t VALUES (1)";
        writer.execute_batch(script).unwrap();
        assert!(
            fs::metadata(folder.path().join("p.db-journal"))
                .unwrap()
                .len()
                > 0
        );
        drop(writer);
        assert!(open(&file, false).is_ok());
    }

    #[test]
    fn a_locked_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("w.db");
        let writer = Connection::open(&file).unwrap();
        writer
            .execute_batch("CREATE TABLE t(a); BEGIN EXCLUSIVE")
            .unwrap();
        let error = format!("{:#}", open(&file, false).err().unwrap());
        assert!(
            error.contains("w.db: another process has it locked"),
            "{error}"
        );
        writer.execute_batch("COMMIT").unwrap();
        assert!(open(&file, false).is_ok());
    }

    #[test]
    fn reversed_shows_what_an_open_order_decides() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.sql");
        fs::write(&file, "CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)").unwrap();
        let first = |reversed, sql: &str| -> i64 {
            let (connection, _) = open(&file, reversed).unwrap();
            connection.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        let [open, closed] = [
            "SELECT a FROM t LIMIT 1",
            "SELECT a FROM t ORDER BY a LIMIT 1",
        ];
        assert_eq!([first(false, open), first(true, open)], [1, 2]);
        assert_eq!([first(false, closed), first(true, closed)], [1, 1]);
    }
}
