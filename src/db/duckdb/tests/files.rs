//! Files that are not as they should be, and what their catalogs say.

use super::{BOUNDS, MEMORY, library, made, open, rows, write};
use crate::db::answer::Column;
use crate::db::cell::Cell;
use crate::db::duckdb::session::Session;
use crate::db::duckdb::{Connection, statement};
use crate::db::schema::ForeignKey;
use crate::sql::error::SqlError;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, io, thread};

fn error(file: &Path) -> String {
    match Connection::open(library(), file, MEMORY) {
        Err(SqlError::Database(error)) => error,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{} is open", file.display()),
    }
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn what_is_no_database_is_told_by_name() {
    let (folder, file) = made(&["CREATE TABLE t(a INTEGER)"]);
    let absent = folder.path().join("absent.duckdb");
    assert!(error(&absent).contains("absent.duckdb: No such file"));
    assert!(error(folder.path()).ends_with(": no file"));
    let bytes = fs::read(&file).unwrap();
    for (name, content) in [
        ("empty.duckdb", &b""[..]),
        ("text.duckdb", &b"a text that goes on"[..]),
        ("lite.duckdb", &b"SQLite format 3\0..."[..]),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        assert!(error(&file).ends_with(&format!("{name}: no DuckDB database")));
        assert_eq!(fs::read(&file).unwrap(), content);
    }
    // Cut off and damaged ones.
    for (name, content) in [
        ("short.duckdb", &bytes[..5_000]),
        ("header.duckdb", &bytes[..100]),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        let error = error(&file);
        assert!(error.contains(name) && !error.contains('\n'), "{error}");
    }
}

/// DuckDB's checksum of a header.
fn checksum(bytes: &[u8]) -> u64 {
    let words = bytes
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    words.fold(5381, |sum, word| {
        sum ^ word.wrapping_mul(0xbf58_476d_1ce4_e5b9)
    })
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn a_file_of_another_version_names_both() {
    let (_folder, file) = made(&["CREATE TABLE t(a INTEGER)"]);
    let mut bytes = fs::read(&file).unwrap();
    assert_eq!(bytes[..8], checksum(&bytes[8..4096]).to_le_bytes());
    bytes[12..20].copy_from_slice(&999u64.to_le_bytes());
    bytes[52..58].copy_from_slice(b"v0.9.9");
    let sum = checksum(&bytes[8..4096]).to_le_bytes();
    bytes[..8].copy_from_slice(&sum);
    fs::write(&file, &bytes).unwrap();
    let error = error(&file);
    assert!(error.contains("999"), "{error}");
    let version = library().version();
    assert!(
        error.ends_with(&format!(
            "(written by DuckDB v0.9.9; this is DuckDB {version})"
        )),
        "{error}"
    );
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

/// The variable that tells the other process which file to hold. It says that it does by making another, with `held` at its end.
const HELD: &str = "FACTORY_TEST_HELD";

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn a_locked_file_says_who_holds_it() {
    let (_folder, file) = made(&["CREATE TABLE t(a INTEGER)"]);
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut holder = Command::new(env::current_exe().unwrap())
        .args([&format!("{module}::holds_a_file"), "--exact", "--ignored"])
        .env(HELD, &file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !file.with_extension("held").exists() {
        assert_eq!(holder.try_wait().unwrap(), None);
        thread::sleep(Duration::from_millis(5));
    }
    let error = error(&file);
    let number = holder.id().to_string();
    assert!(
        error.contains("lock") && error.contains(&number) && !error.contains("http"),
        "{error}"
    );
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    open(&file);
}

#[test]
#[ignore = "is a process of the test before it"]
fn holds_a_file() {
    let Some(file) = env::var_os(HELD).map(PathBuf::from) else {
        return;
    };
    let _held = Session::open(library(), &file, &[]).unwrap();
    fs::write(file.with_extension("held"), "").unwrap();
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn many_read_one_file_and_its_log_at_once() {
    let (folder, file) = made(&["CREATE TABLE t(a INTEGER)"]);
    // A process that was killed leaves its log of changes.
    let writable = Session::open(library(), &file, &[]).unwrap();
    statement::run(&writable, "PRAGMA disable_checkpoint_on_shutdown").unwrap();
    statement::run(&writable, "INSERT INTO t VALUES (7)").unwrap();
    drop(writable);
    let all = || {
        let entries = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut all: Vec<_> = entries
            .map(|path| (fs::read(&path).unwrap(), path))
            .collect();
        all.sort();
        all
    };
    let before = all();
    assert_eq!(before.len(), 2);
    let (one, two) = (open(&file), open(&file));
    for connection in [&one, &two] {
        assert_eq!(rows(connection, "FROM t"), [[Cell::Integer(7)]]);
    }
    drop((one, two));
    assert!(all() == before);
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn the_schema_has_tables_views_and_keys() {
    let (_folder, file) = made(&[
        "CREATE SCHEMA \"a \"\"b\"\" c\"",
        "CREATE TABLE maker(land VARCHAR, number INTEGER, PRIMARY KEY (land, number))",
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE TABLE toy(id INTEGER PRIMARY KEY, \"price €\" DECIMAL(10,2) NOT NULL, tags VARCHAR[], land VARCHAR, number INTEGER,
                         m mood, s STRUCT(x INTEGER), FOREIGN KEY (land, number) REFERENCES maker(land, number))",
        "CREATE TABLE \"a \"\"b\"\" c\".\"odd'; DROP TABLE toy\"(\"\"\"\" INTEGER)",
        "CREATE VIEW cheap AS SELECT id FROM toy",
        "CREATE VIEW broken AS SELECT * FROM maker",
        "INSERT INTO maker VALUES ('de', 1)",
        "INSERT INTO toy SELECT i, i, ['x'], 'de', 1, 'ok', {'x': 1} FROM range(300) r(i)",
        "CREATE MACRO duckdb_tables() AS TABLE SELECT 1",
        "CREATE MACRO current_database() AS 'x'",
        "CREATE MACRO setseed(x) AS error('x')",
    ]);
    let schema = open(&file).schema().unwrap();
    let names: Vec<_> = schema
        .iter()
        .map(|t| (t.schema.as_str(), t.name.as_str(), t.view))
        .collect();
    assert_eq!(
        names,
        [
            ("a \"b\" c", "odd'; DROP TABLE toy", false),
            ("main", "broken", true),
            ("main", "cheap", true),
            ("main", "maker", false),
            ("main", "toy", false),
        ]
    );
    assert_eq!(schema[0].columns[0].name, "\"");
    let column = |name: &str, declared: &str| Column {
        name: name.to_owned(),
        declared: declared.to_owned(),
    };
    assert_eq!(schema[2].columns, [column("id", "INTEGER")]);
    assert_eq!(schema[3].primary_key, ["land", "number"]);
    let toy = &schema[4];
    assert_eq!(
        toy.columns[..3],
        [
            column("id", "INTEGER"),
            column("price €", "DECIMAL(10,2)"),
            column("tags", "VARCHAR[]")
        ]
    );
    assert_eq!(toy.columns[6], column("s", "STRUCT(x INTEGER)"));
    assert_eq!((toy.rows, schema[1].rows), (Some(300), None));
    assert_eq!(toy.primary_key, ["id"]);
    let key = ForeignKey {
        columns: vec!["land".to_owned(), "number".to_owned()],
        table: "maker".to_owned(),
        referenced: vec!["land".to_owned(), "number".to_owned()],
    };
    assert_eq!(toy.foreign_keys, [key]);
    assert!(schema[3].foreign_keys.is_empty());
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn a_view_on_what_is_gone_is_an_error_of_its_own() {
    let (folder, file) = made(&["CREATE TABLE t(a INTEGER)"]);
    let csv = folder.path().join("gone.csv");
    fs::write(&csv, "a\n1\n").unwrap();
    write(
        &file,
        &[
            &format!("CREATE VIEW v AS SELECT * FROM '{}'", csv.display()),
            "CREATE TABLE u(a INTEGER)",
            "CREATE VIEW w AS SELECT a FROM u",
            "DROP TABLE u",
        ],
    );
    fs::remove_file(&csv).unwrap();
    let connection = open(&file);
    let names: Vec<_> = connection
        .schema()
        .unwrap()
        .into_iter()
        .map(|table| table.name)
        .collect();
    assert_eq!(names, ["t", "v", "w"]);
    for view in ["v", "w"] {
        let error = connection
            .run(&format!("FROM {view}"), BOUNDS)
            .unwrap_err()
            .to_string();
        assert!(!error.contains('\n'), "{error}");
    }
    assert!(rows(&connection, "FROM t").is_empty());
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn ten_thousand_tables_are_listed() {
    let mut statements = vec!["BEGIN".to_owned()];
    statements.extend(
        (0..10_000).map(|i| format!("CREATE TABLE t{i}(id INTEGER PRIMARY KEY, a VARCHAR)")),
    );
    statements.push("COMMIT".to_owned());
    let statements: Vec<_> = statements.iter().map(String::as_str).collect();
    let (_folder, file) = made(&statements);
    let schema = open(&file).schema().unwrap();
    assert_eq!(schema.len(), 10_000);
    assert!(
        schema
            .iter()
            .all(|table| table.columns.len() == 2 && table.primary_key == ["id"])
    );
}
