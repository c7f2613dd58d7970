//! Finds a row's database inside the database folder and opens it so that a query can only read.

use anyhow::{Context, Result, anyhow, bail};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// Largest schema file that is built in memory, in bytes.
const MAX_SCHEMA: u64 = 64 << 20;
/// How long building one may take.
const BUILD_TIME: Duration = Duration::from_secs(60);
/// SQLite's memory for the whole process, in bytes; beyond it a query fails instead of the machine.
const MAX_HEAP: u64 = 512 << 20;

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

/// Opens database `name` of `folder` for reading only: the file, or, where `NAME.db` is missing and `NAME.sql` is there, a
/// database built in memory from that trusted schema file.
pub fn open(folder: &Path, name: &str) -> Result<Connection> {
    let inside = relative(name)?;
    let file = folder.join(inside);
    let schema = file.with_extension("sql");
    let connection = if file.exists() {
        open_file(&contained(folder, &file)?)
            .with_context(|| format!("cannot open database {}", file.display()))?
    } else if schema.exists() {
        build(&contained(folder, &schema)?)
            .with_context(|| format!("cannot build a database from {}", schema.display()))?
    } else {
        bail!(
            "database {} not found, nor {} to build it from (see --db-dir)",
            file.display(),
            schema.display()
        );
    };
    confine(&connection).with_context(|| format!("cannot confine database {}", file.display()))?;
    Ok(connection)
}

/// Rejects names that could point out of the folder by themselves.
fn relative(name: &str) -> Result<&Path> {
    let path = Path::new(name);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || name.contains('\0') || !plain {
        bail!("database name {name:?} must be a relative path inside the database folder");
    }
    Ok(path)
}

/// Rejects links that point out of the folder, and whatever is not a plain file.
fn contained(folder: &Path, file: &Path) -> Result<PathBuf> {
    let real = file
        .canonicalize()
        .with_context(|| format!("cannot resolve {}", file.display()))?;
    let folder = folder
        .canonicalize()
        .with_context(|| format!("cannot resolve {}", folder.display()))?;
    if !real.starts_with(&folder) {
        bail!(
            "{} leads out of the database folder {}",
            file.display(),
            folder.display()
        );
    }
    if !real.is_file() {
        bail!("{} is not a file", file.display());
    }
    Ok(real)
}

/// Opens a file as immutable: SQLite makes no journal, lock or shared-memory file beside it.
fn open_file(file: &Path) -> Result<Connection> {
    for pending in ["-wal", "-journal"] {
        let mut beside = file.as_os_str().to_owned();
        beside.push(pending);
        // Immutable mode ignores such a file, so its changes would be silently missing.
        if fs::metadata(&beside).is_ok_and(|meta| meta.len() > 0) {
            bail!(
                "{} holds unsaved changes: open the database once with sqlite3 and close it",
                Path::new(&beside).display()
            );
        }
    }
    let connection = Connection::open_with_flags(
        immutable_uri(file),
        OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    limit_heap(&connection)?;
    // SQLite reads nothing when it opens; this finds a file that is no database.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// A `file:` URI with every byte that could mean something to SQLite's parser escaped.
fn immutable_uri(file: &Path) -> String {
    let mut uri = String::from("file:");
    for &byte in file.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(byte.into());
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri + "?immutable=1"
}

/// Builds a database in memory from a schema file, before the limits on queries are set.
fn build(schema: &Path) -> Result<Connection> {
    if fs::metadata(schema)?.len() > MAX_SCHEMA {
        bail!("larger than {MAX_SCHEMA} bytes: make a .db file of it");
    }
    let sql = fs::read_to_string(schema)?;
    let connection = Connection::open_in_memory()?;
    limit_heap(&connection)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    let deadline = Instant::now() + BUILD_TIME;
    connection.progress_handler(1_000, Some(move || Instant::now() >= deadline))?;
    // As in the sqlite3 shell: published dumps insert rows before the rows that they refer to.
    connection.execute_batch("PRAGMA foreign_keys = OFF")?;
    connection
        .execute_batch(&sql)
        .map_err(|error| match error {
            // The default text quotes the whole file.
            rusqlite::Error::SqlInputError { msg, offset, .. } => {
                anyhow!("{msg} at byte {offset} of a statement")
            }
            other => other.into(),
        })?;
    if !connection.is_autocommit() {
        bail!("it begins a transaction that it never commits");
    }
    Ok(connection)
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
    fn names_must_stay_inside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "",
            "/etc/passwd",
            "../x.db",
            "a/../../x.db",
            "./x.db",
            "a\0b",
        ] {
            let error = open(folder.path(), name).unwrap_err().to_string();
            assert!(error.contains("must be a relative path"), "{name}: {error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_must_stay_inside_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().join("x.sql");
        fs::write(&target, "CREATE TABLE t(a)").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(&target, folder.path().join("x.sql")).unwrap();
        let error = open(folder.path(), "x.db").unwrap_err();
        assert!(format!("{error:#}").contains("leads out of the database folder"));
    }

    #[test]
    fn odd_file_names_open() {
        let folder = tempfile::tempdir().unwrap();
        let name = "a b?immutable=0#%20é.db";
        let writer = Connection::open(folder.path().join(name)).unwrap();
        writer.execute_batch("CREATE TABLE t(a)").unwrap();
        drop(writer);
        let connection = open(folder.path(), name).unwrap();
        assert!(connection.prepare("SELECT a FROM t").is_ok());
    }

    #[test]
    fn what_is_no_database_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = |name: &str| format!("{:#}", open(folder.path(), name).unwrap_err());
        fs::write(
            folder.path().join("text.db"),
            "no database, but long enough\n".repeat(99),
        )
        .unwrap();
        assert!(message("text.db").contains("file is not a database"));
        assert!(message("none.db").contains("not found"));
        fs::write(folder.path().join("bad.sql"), "CREATE TABLE t(a); .quit").unwrap();
        assert!(
            message("bad.db").contains("bad.sql"),
            "{}",
            message("bad.db")
        );
        fs::write(folder.path().join("open.sql"), "BEGIN; CREATE TABLE t(a)").unwrap();
        assert!(message("open.db").contains("never commits"));
        fs::create_dir(folder.path().join("folder.db")).unwrap();
        assert!(message("folder.db").contains("is not a file"));
    }

    #[test]
    fn pending_changes_are_not_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Connection::open(folder.path().join("w.db")).unwrap();
        writer
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t(a)")
            .unwrap();
        let error = format!("{:#}", open(folder.path(), "w.db").unwrap_err());
        assert!(error.contains("w.db-wal holds unsaved changes"), "{error}");
    }
}
