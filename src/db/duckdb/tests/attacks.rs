//! Texts that want more than to read.

use super::{BOUNDS, made, open, rows, write};
use crate::db::cell::Cell;
use crate::sql::error::SqlError;
use std::fs;

const SHOP: [&str; 4] = [
    "CREATE TABLE t(a INTEGER, b VARCHAR)",
    "INSERT INTO t VALUES (1, 'x'), (2, NULL)",
    "CREATE SEQUENCE s",
    "CREATE VIEW outside AS SELECT * FROM t",
];

/// The shop, its bytes, and all that lies beside it: `{dir}` in a text stands for that folder.
#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn whatever_is_not_one_reading_query_is_refused() {
    let (folder, file) = made(&SHOP);
    let csv = folder.path().join("secret.csv");
    fs::write(&csv, "a,b\n1,2\n").unwrap();
    let (other_folder, other) = made(&SHOP);
    let before = (fs::read(&file).unwrap(), fs::read(&other).unwrap());
    let connection = open(&file);
    for sql in REFUSED {
        let sql = sql
            .replace("{dir}", folder.path().to_str().unwrap())
            .replace("{other}", other.to_str().unwrap())
            .replace("{file}", file.to_str().unwrap());
        let result = connection.run(&sql, BOUNDS);
        assert!(
            matches!(result, Err(SqlError::Refused(_))),
            "{sql}: {result:?}"
        );
        let prepared = connection.prepare(&sql);
        assert!(
            matches!(prepared, Err(SqlError::Refused(_))),
            "{sql}: {prepared:?}"
        );
        assert_eq!(
            rows(&connection, "SELECT count(*) FROM t"),
            [[Cell::Integer(2)]],
            "{sql}"
        );
    }
    let state = "SELECT getvariable('x') IS NULL AND current_setting('threads') = 1 AND (SELECT count(*) FROM duckdb_tables()) = 1
                 AND (SELECT count(*) FROM duckdb_databases() WHERE NOT internal) = 1";
    assert_eq!(rows(&connection, state), [[Cell::Boolean(true)]]);
    drop(connection);
    let names = |folder: &tempfile::TempDir| fs::read_dir(folder.path()).unwrap().count();
    assert_eq!((names(&folder), names(&other_folder)), (2, 1));
    assert!(before == (fs::read(&file).unwrap(), fs::read(&other).unwrap()));
}

const REFUSED: &[&str] = &[
    // More than one.
    "SELECT 1; SELECT 2",
    "COMMIT; DROP TABLE t",
    "SELECT a FROM t; DROP TABLE t",
    "SELECT 1; PRAGMA enable_profiling",
    "BEGIN; INSERT INTO t VALUES (3, 'y'); COMMIT",
    // Without IN it makes a type first.
    "PIVOT t ON a USING count(*)",
    // None.
    "",
    " ;; ",
    "-- only words",
    "/* open",
    "SELECT a FROM t\0",
    "SELECT 'a\0b'",
    // Words before.
    "/* SELECT */ PRAGMA enable_profiling",
    "-- SELECT\nPRAGMA enable_profiling",
    "-- SELECT\rPRAGMA enable_profiling",
    "/* /* */ SELECT */ PRAGMA enable_profiling",
    "/**/;/**/PRAGMA enable_profiling = 'json'",
    "--\nCOPY t TO '{dir}/out.csv'",
    "/* a */ ATTACH '{other}' AS o",
    "\u{a0}PRAGMA database_list",
    "\u{feff}CALL pragma_version()",
    // Settings.
    "PRAGMA show_tables",
    "PRAGMA memory_limit = '10GB'",
    "PRAGMA table_info('t')",
    "SET memory_limit = '10GB'",
    "SET GLOBAL threads = 8",
    "RESET memory_limit",
    "SET lock_configuration = false",
    "SET enable_external_access = true",
    "SET VARIABLE x = 1",
    "RESET VARIABLE x",
    "USE temp",
    // Writing.
    "INSERT INTO t VALUES (3, 'y')",
    "INSERT INTO t VALUES (3, 'y') RETURNING a",
    "UPDATE t SET a = 0",
    "DELETE FROM t",
    "TRUNCATE t",
    "MERGE INTO t USING t AS u ON t.a = u.a WHEN MATCHED THEN DELETE",
    "WITH c AS (SELECT 1) INSERT INTO t SELECT 1, 'x' FROM c",
    "WITH c AS (SELECT 1) DELETE FROM t",
    "WITH c AS (SELECT 1) UPDATE t SET a = 0",
    "CREATE TABLE u(a INTEGER)",
    "CREATE TABLE u AS SELECT 1",
    "CREATE TEMP TABLE u(a INTEGER)",
    "CREATE TEMP TABLE t AS SELECT 3 AS a",
    "CREATE TEMP VIEW t AS SELECT 3 AS a",
    "CREATE OR REPLACE TEMP MACRO sum(x) AS 1",
    "CREATE SECRET (TYPE s3)",
    "CREATE TYPE mood AS ENUM ('a')",
    "DROP TABLE t",
    "ALTER TABLE t ADD COLUMN c INTEGER",
    "COMMENT ON TABLE t IS 'x'",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DEALLOCATE p",
    "SELECT nextval('s')",
    // Files.
    "COPY t TO '{dir}/out.csv'",
    "COPY t FROM '{dir}/secret.csv'",
    "COPY (SELECT 1) TO '{dir}/out.parquet' (FORMAT parquet)",
    "COPY FROM DATABASE shop TO temp",
    "EXPORT DATABASE '{dir}/out'",
    "IMPORT DATABASE '{dir}/out'",
    "ATTACH '{other}' AS o",
    "ATTACH '{other}' AS o (READ_ONLY)",
    "ATTACH ':memory:' AS o",
    "DETACH shop",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv('{dir}/secret.csv')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('{dir}/secret.csv')",
    "SELECT * FROM read_json('{dir}/secret.csv')",
    "SELECT * FROM read_parquet('{dir}/secret.csv')",
    "SELECT * FROM parquet_metadata('{dir}/secret.csv')",
    "SELECT * FROM sniff_csv('{dir}/secret.csv')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM '{dir}/secret.csv'",
    "FROM '{dir}/secret.csv'",
    "SELECT * FROM \"{dir}/secret.csv\"",
    "DESCRIBE '{dir}/secret.csv'",
    "SUMMARIZE '{dir}/secret.csv'",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
    "SELECT * FROM query_table('{dir}/secret.csv')",
    "SELECT * FROM read_blob('{file}')",
    "FROM read_duckdb('{file}', table_name = 't')",
    "SELECT * FROM read_csv('https://localhost/x.csv')",
    "SELECT * FROM 'https://localhost/x.csv'",
    // Extensions.
    "INSTALL httpfs",
    "FORCE INSTALL httpfs FROM community",
    "LOAD httpfs",
    "LOAD '{dir}/x.duckdb_extension'",
    "UPDATE EXTENSIONS",
    // Calls.
    "CALL pragma_version()",
    "CALL enable_logging()",
    "CALL enable_profiling()",
    // What a plan would run.
    "EXPLAIN",
    "EXPLAIN EXPLAIN SELECT 1",
    "EXPLAIN PRAGMA enable_profiling",
    "EXPLAIN ANALYZE PRAGMA enable_profiling",
    "EXPLAIN ANALYZE CALL pragma_version()",
    "EXPLAIN ANALYZE INSERT INTO t VALUES (3, 'y')",
    "EXPLAIN ANALYZE COPY t TO '{dir}/out.csv'",
    "EXPLAIN (ANALYZE) COPY t TO '{dir}/out.csv'",
    "EXPLAIN ANALYZE CREATE TEMP TABLE u AS SELECT 1",
    "EXPLAIN ANALYZE SET VARIABLE x = 1",
    "EXPLAIN /* */ ANALYZE -- \n DROP TABLE t",
    // Nothing fills these in.
    "SELECT ?",
    "SELECT $1",
    "SELECT a FROM t WHERE a = $name",
    // Functions that change more than their result.
    "FROM enable_logging()",
    "FROM enable_logging(storage = 'stdout')",
    "FROM enable_logging(storage = 'file', storage_path = '{dir}/log')",
    "SELECT * FROM \"Enable_Logging\"()",
    "SELECT * FROM system.main.enable_logging()",
    "SELECT * FROM query('FROM enable_' || 'logging()')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM enable_logging()'))",
    "FROM disable_logging()",
    "FROM truncate_duckdb_logs()",
    "FROM enable_profiling(save_location = '{dir}/out.txt')",
    "FROM enable_profiling(format = 'json', save_location = '{file}')",
    "FROM disable_profiling()",
    "FROM enable_peg_parser()",
    "FROM checkpoint()",
    "FROM force_checkpoint()",
];

/// Locked settings do not stop these from writing over the file itself, if its name ends so; nor does reading from them alone.
#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn functions_that_change_settings_are_seen_through_whatever_hides_them() {
    for name in ["shop.txt", "shop.json"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        let call = format!(
            "enable_profiling(format = 'json', save_location = '{}')",
            file.display()
        );
        write(
            &file,
            &[
                "CREATE TABLE t(a INTEGER)",
                "INSERT INTO t VALUES (1)",
                &format!("CREATE VIEW v AS FROM {call}"),
                &format!("CREATE MACRO rows() AS TABLE FROM {call}"),
                &format!("CREATE MACRO one() AS (SELECT count(*) FROM {call})"),
                "CREATE MACRO built(x) AS TABLE FROM query('FROM enable_' || x || '()')",
            ],
        );
        let before = fs::read(&file).unwrap();
        let connection = open(&file);
        for sql in [
            &format!("FROM {call}"),
            "FROM v",
            "FROM rows()",
            "SELECT one()",
            "SELECT a FROM t WHERE EXISTS (FROM v)",
            "WITH c AS MATERIALIZED (FROM v) SELECT * FROM c, c d",
            "WITH RECURSIVE c AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM c, v WHERE x < 3) FROM c",
            "SELECT * FROM t, LATERAL (SELECT a FROM v)",
            "SELECT * FROM t LEFT JOIN v ON true",
            "SELECT 1 UNION ALL SELECT 1 FROM v",
            "FROM built('logging')",
            "EXPLAIN ANALYZE FROM v",
            "SUMMARIZE v",
        ] {
            let result = connection.run(sql, BOUNDS);
            assert!(
                matches!(result, Err(SqlError::Refused(_))),
                "{sql}: {result:?}"
            );
            assert_eq!(
                rows(&connection, "SELECT count(*) FROM t"),
                [[Cell::Integer(1)]],
                "{sql}"
            );
        }
        drop(connection);
        assert!(fs::read(&file).unwrap() == before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn queries_of_every_beginning_are_run() {
    let (_folder, file) = made(&SHOP);
    let connection = open(&file);
    for sql in [
        "SELECT a FROM t; -- done",
        ";;/* a */ SELECT a FROM t;",
        "WITH c AS (SELECT a FROM t) FROM c",
        "FROM t",
        "(SELECT a FROM t) UNION ALL (SELECT 1)",
        "VALUES (1), (2)",
        "TABLE t",
        "DESCRIBE t",
        "DESCRIBE SELECT a FROM t",
        "SHOW TABLES",
        "SHOW ALL TABLES",
        "SUMMARIZE t",
        "PIVOT t ON a IN (1, 2) USING count(*)",
        "UNPIVOT t ON a INTO NAME n VALUE v",
        "EXPLAIN SELECT a FROM t",
        "EXPLAIN ANALYZE SELECT a FROM t",
        "EXPLAIN (FORMAT json) SELECT a FROM t",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 9) SELECT x FROM c",
        "SELECT * FROM duckdb_tables()",
        "SELECT table_name FROM information_schema.tables",
        "SELECT * FROM outside",
    ] {
        assert!(!rows(&connection, sql).is_empty(), "{sql}");
    }
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn duckdbs_message_stands_alone() {
    let (_folder, file) = made(&SHOP);
    let connection = open(&file);
    let message = |sql: &str| match connection.run(sql, BOUNDS) {
        Err(SqlError::Sql(message)) => message,
        other => panic!("{sql}: {other:?}"),
    };
    for (sql, expected) in [
        (
            "SELECT nope FROM t",
            "Binder Error: Referenced column \"nope\" not found",
        ),
        (
            "SELECT FROM t",
            "Parser Error: SELECT clause without selection list",
        ),
        (
            "SELEC a FROM t",
            "Parser Error: syntax error at or near \"SELEC\"",
        ),
        (
            "SELECT 'x'::INTEGER",
            "Conversion Error: Could not convert string 'x' to INT32",
        ),
        (
            "SELECT * FROM absent",
            "Catalog Error: Table with name absent does not exist!",
        ),
    ] {
        let message = message(sql);
        assert!(message.starts_with(expected), "{sql}: {message}");
        assert!(
            !message.contains('\n') && !message.contains("LINE 1"),
            "{message}"
        );
    }
    let long = message(&format!("SELECT '{}'::INTEGER", "x".repeat(1 << 20)));
    assert!(long.len() < 1_000);
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn chance_is_the_same_each_time() {
    let (_folder, file) = made(&SHOP);
    let connection = open(&file);
    let sql = "SELECT random(), a, uuid() FROM t ORDER BY random()";
    let first = rows(&connection, sql);
    assert_ne!(first[0][0], first[1][0]);
    rows(&connection, "SELECT random() FROM t");
    assert_eq!(rows(&connection, sql), first);
    assert_eq!(rows(&open(&file), sql), first);
}
