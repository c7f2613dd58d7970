//! Texts that want more than to read, by a role that may do everything and by one that may only read.

use super::pg_server::Server;
use super::{BOUNDS, open, rows, started};
use factory::db::cell::Cell;
use factory::sql::error::SqlError;
use std::process::Child;

const SHOP: &str = r#"
    CREATE TABLE t(a int, b text); INSERT INTO t VALUES (1, 'x'), (2, NULL); CREATE TABLE u(a int);
    CREATE SEQUENCE s; SELECT nextval('s'); SELECT lo_create(4242); SELECT lo_put(4242, 0, 'abc');
    CREATE TYPE pair AS (x int, y int);
    CREATE FUNCTION twice(x int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2 * x';
    CREATE FUNCTION label(t) RETURNS text STABLE LANGUAGE sql AS 'SELECT $1.a || coalesce($1.b, '''')';
    CREATE FUNCTION grow(t) RETURNS bool LANGUAGE sql AS 'SELECT pg_try_advisory_lock(1)';
    CREATE FUNCTION runs(q text) RETURNS text LANGUAGE plpgsql AS 'DECLARE r text; BEGIN EXECUTE q INTO r; RETURN r; END';
    CREATE FUNCTION "Odd ""Name"() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION writes_by_stealth() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN INSERT INTO u VALUES (1); RETURN 1; END';
    CREATE FUNCTION a23456789b23456789c23456789d23456789e23456789f23456789g23456789() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE SCHEMA other; CREATE FUNCTION other.twice(x int) RETURNS int LANGUAGE sql AS 'SELECT 2 * x';
    CREATE VIEW v AS SELECT a, random() AS r FROM t;
    CREATE ROLE reader LOGIN; GRANT SELECT ON t, v TO reader; CREATE ROLE victim LOGIN;
"#;
const EXTENSIONS: [&str; 5] = ["tablefunc", "dblink", "adminpack", "xml2", "pg_prewarm"];

fn shop(server: &Server) {
    server.psql(SHOP);
    for extension in EXTENSIONS {
        let available = server.psql(&format!(
            "SELECT count(*) FROM pg_available_extensions WHERE name = '{extension}'"
        ));
        if available == "1" {
            server.psql(&format!("CREATE EXTENSION {extension}"));
        }
    }
}

/// Somebody else's session.
fn victim(server: &Server) -> Child {
    let child = server.session("victim", "SELECT pg_sleep(6000)");
    super::until("the victim is there", || {
        server.psql(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'victim' AND state = 'active'",
        ) == "1"
    });
    child
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn whatever_is_not_one_reading_query_is_refused() {
    let Some(server) = started() else {
        return;
    };
    shop(&server);
    let mut victim = victim(&server);
    let out = server.folder().join("out");
    let before = server.state();
    for user in ["postgres", "reader"] {
        let connection = open(&server, user);
        for sql in REFUSED {
            let sql = sql.replace("{out}", out.to_str().unwrap());
            for result in [
                connection.run(&sql, BOUNDS).map(|_| ()),
                connection.prepare(&sql).map(|_| ()),
            ] {
                let absent = |message: &str| message.contains("(42883");
                match result {
                    Err(SqlError::Refused(reason)) => assert!(!reason.contains('\n'), "{reason}"),
                    // A function that this version or installation has not.
                    Err(SqlError::Sql(message)) if absent(&message) => {}
                    other => panic!("{user}: {sql}: {other:?}"),
                }
            }
        }
        // These are queries, which the server stops when they run.
        for sql in STOPPED {
            let result = connection.run(sql, BOUNDS);
            assert!(
                matches!(result, Err(SqlError::Refused(_) | SqlError::Sql(_))),
                "{user}: {sql}: {result:?}"
            );
        }
        assert_eq!(
            rows(&connection, "SELECT count(*) FROM t"),
            [[Cell::Integer(2)]]
        );
    }
    assert!(
        victim.try_wait().unwrap().is_none(),
        "the victim's session was ended"
    );
    assert!(!out.exists());
    super::until("no session is left", || server.sessions() == "0");
    let after = server.state();
    for (before, after) in before.lines().zip(after.lines()) {
        assert_eq!(before, after);
    }
    assert!(before == after);
    victim.kill().unwrap();
    victim.wait().unwrap();
}

const REFUSED: &[&str] = &[
    // More than one, or none.
    "SELECT 1; SELECT 2",
    "COMMIT; DROP TABLE t",
    "SELECT a FROM t; DROP TABLE t",
    "SELECT 1; COMMIT; BEGIN READ WRITE; INSERT INTO t VALUES (3)",
    "SELECT ';' ; ROLLBACK",
    "SELECT 1 /* ; */ ; -- ;\n DELETE FROM t",
    "",
    " ;; ",
    "-- only words",
    "/* open",
    "SELECT a FROM t\0",
    // Words before.
    "/* SELECT */ DROP TABLE t",
    "-- SELECT\nDROP TABLE t",
    "-- SELECT\rDROP TABLE t",
    "/* /* */ SELECT */ COPY t TO '{out}'",
    "/**/;/**/COMMIT",
    "\u{a0}COMMIT",
    "\u{feff}SELECT 1",
    "(((DELETE FROM t)))",
    // Transactions and sessions.
    "BEGIN",
    "COMMIT",
    "COMMIT AND CHAIN",
    "ROLLBACK",
    "END",
    "ABORT",
    "START TRANSACTION READ WRITE",
    "SAVEPOINT a",
    "RELEASE a",
    "PREPARE TRANSACTION 'a'",
    "SET TRANSACTION READ WRITE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET statement_timeout = 0",
    "SET LOCAL statement_timeout = 0",
    "SET ROLE reader",
    "SET SESSION AUTHORIZATION reader",
    "RESET ALL",
    "DISCARD ALL",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DEALLOCATE ALL",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "FETCH ALL FROM factory",
    "CLOSE factory",
    "LISTEN a",
    "NOTIFY a",
    "UNLISTEN a",
    "LOCK TABLE t",
    "SHOW ALL",
    // Writing and more.
    "INSERT INTO t VALUES (3, 'y') RETURNING a",
    "UPDATE t SET a = 0",
    "DELETE FROM t",
    "TRUNCATE t",
    "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE",
    "CREATE TEMP TABLE x(a int)",
    "CREATE TABLE x AS SELECT 1",
    "DROP TABLE t",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "ALTER ROLE reader SUPERUSER",
    "GRANT ALL ON t TO reader",
    "REFRESH MATERIALIZED VIEW v",
    "DO $$ BEGIN COMMIT; END $$",
    "CALL p()",
    "COPY t TO '{out}'",
    "COPY (SELECT 1) TO PROGRAM 'touch {out}'",
    "COPY t FROM PROGRAM 'id'",
    "LOAD 'dblink'",
    "CHECKPOINT",
    "VACUUM t",
    "ANALYZE t",
    "CLUSTER",
    "REINDEX TABLE t",
    "SECURITY LABEL ON TABLE t IS 'x'",
    "WITH x AS (INSERT INTO t VALUES (3) RETURNING a) SELECT * FROM x",
    "WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x",
    "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
    "WITH x AS (SELECT 1) UPDATE t SET a = 0",
    "SELECT a INTO x FROM t",
    "SELECT a INTO TEMP x FROM t",
    "SELECT $1",
    "SELECT a FROM t WHERE a = $1",
    // Plans.
    "EXPLAIN",
    "EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN (ANALYZE) INSERT INTO t VALUES (3)",
    "EXPLAIN (FORMAT json, analyze on) SELECT 1",
    "EXPLAIN (\"analyze\") SELECT 1",
    "EXPLAIN VERBOSE ANALYSE SELECT 1",
    "EXPLAIN INSERT INTO t VALUES (3)",
    "EXPLAIN CREATE TABLE x AS SELECT 1",
    "EXPLAIN EXECUTE p",
    "EXPLAIN WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x",
    "EXPLAIN SELECT pg_advisory_lock(1)",
    "EXPLAIN SELECT 1; COMMIT",
    // Other sessions, locks that stay, settings.
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'victim'",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'victim'",
    "SELECT a FROM t WHERE (SELECT bool_and(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'victim')",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT pg_try_advisory_lock(1, 2)",
    "SELECT pg_try_advisory_lock_shared(1)",
    "SELECT pg_advisory_unlock_all()",
    "SELECT set_config('statement_timeout', '0', false)",
    "SELECT 1 LIMIT length(set_config('statement_timeout', '0', false))",
    "SELECT sum(a) OVER (ROWS length(set_config('work_mem', '1GB', false)) PRECEDING) FROM t",
    "VALUES (1), (length(set_config('transaction_read_only', 'off', false)))",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_notify('a', 'b')",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_restore_point('a')",
    "SELECT pg_stat_reset()",
    "SELECT pg_export_snapshot()",
    "SELECT txid_current()",
    "SELECT pg_current_xact_id()",
    "SELECT nextval('s')",
    "SELECT setval('s', 100)",
    "SELECT currval('s')",
    "SELECT lastval()",
    "SELECT pg_logical_emit_message(false, 'a', 'b')",
    "SELECT pg_create_physical_replication_slot('a', true)",
    "SELECT pg_replication_origin_create('a')",
    "SELECT pg_backup_start('a')",
    "SELECT pg_promote()",
    "SELECT pg_log_backend_memory_contexts(pg_backend_pid())",
    // Files and large objects.
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('/etc/passwd')",
    "SELECT * FROM pg_ls_dir('/')",
    "SELECT * FROM pg_ls_waldir()",
    "SELECT * FROM pg_stat_file('/etc/passwd')",
    "SELECT * FROM pg_hba_file_rules()",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(4242, '{out}')",
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'a')",
    "SELECT lo_put(4242, 0, 'xyz')",
    "SELECT lo_unlink(4242)",
    "SELECT lowrite(lo_open(4242, 131072), 'xyz')",
    "SELECT lo_get(4242)",
    "SELECT pg_file_write('{out}', 'a', false)",
    // Texts that are run.
    "SELECT query_to_xml('SELECT 1', true, true, '')",
    "SELECT query_to_xml_and_xmlschema('SELECT 1', true, true, '')",
    "SELECT cursor_to_xml('factory', 1, true, true, '')",
    "SELECT * FROM ts_stat('SELECT to_tsvector(''a'')')",
    "SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ''b''::tsquery')",
    "SELECT * FROM crosstab('SELECT 1, 2, pg_advisory_lock(1)::text') AS c(a int, b text)",
    "SELECT * FROM connectby('t', 'a', 'a', '1', 0) AS c(a int, b int, c int)",
    "SELECT * FROM xpath_table('a', 'b', 't', '/a', 'true') AS c(a int)",
    "SELECT * FROM dblink('host=/tmp', 'COMMIT') AS d(a int)",
    "SELECT dblink_connect('host=/tmp')",
    "SELECT dblink_exec('host=/tmp', 'DROP TABLE t')",
    "SELECT pg_prewarm('t')",
    "SELECT runs('SELECT pg_advisory_lock(1)')",
    "SELECT runs('DROP TABLE t')",
    "SELECT grow(t) FROM t",
    "SELECT t.grow FROM t",
    "SELECT (t).grow FROM t",
    "SELECT (SELECT x FROM t x LIMIT 1).\"grow\"",
    "SELECT other.twice(1)",
    // The same by other spellings.
    "SELECT PG_ADVISORY_LOCK(1)",
    "SELECT pg_advisory_lock (1)",
    "SELECT pg_advisory_lock/* */(1)",
    "SELECT pg_advisory_lock -- (\n (1)",
    "SELECT pg_catalog.pg_advisory_lock(1)",
    "SELECT pg_catalog . /* */ pg_advisory_lock(1)",
    "SELECT \"pg_advisory_lock\"(1)",
    "SELECT PG_Catalog.\"pg_advisory_lock\"(1)",
    "SELECT postgres.pg_catalog.pg_advisory_lock(1)",
    "SELECT U&\"pg\\005fadvisory_lock\"(1)",
    "SELECT u&\"\\+000070g_advisory_lock\" (1)",
    "SELECT U&\"pg!005fadvisory_lock\" UESCAPE '!' (1)",
    "SELECT TREAT('1' AS pg_advisory_lock)",
    "SELECT treat/**/(pid AS pg_terminate_backend) FROM pg_stat_activity",
    "SELECT TREAT('/etc/passwd' AS pg_catalog.pg_read_file)",
    "SELECT E'\\'', pg_advisory_lock(1), E'\\''",
    "SELECT '\\', pg_advisory_lock(1), '\\'",
    "SELECT E'a'\n'\\'', pg_advisory_lock(1), '\\''",
    "SELECT $$'$$, pg_advisory_lock(1), $$'$$",
    "SELECT $a$ $$ $a$, pg_advisory_lock(1), $a$ $$ $a$",
    "SELECT 1 /* /* */ ' */, pg_advisory_lock(1) /* ' */",
    "SELECT \"a\"\"\", pg_advisory_lock(1) FROM (SELECT 1 AS \"a\"\"\") x",
    "SELECT * FROM t, LATERAL pg_advisory_lock(a)",
    "SELECT * FROM ROWS FROM (pg_advisory_lock(1)) x",
    "SELECT 1 ORDER BY pg_advisory_lock(1)",
    "SELECT a FROM t GROUP BY a HAVING pg_advisory_lock(1) IS NULL",
    "SELECT count(*) FILTER (WHERE pg_advisory_lock(1) IS NULL) FROM t",
    "TABLE t ORDER BY pg_advisory_lock(a)",
    "VALUES (1) OFFSET length(pg_advisory_lock(1)::text)",
    "SELECT \"Odd \"\"Name\"()",
    "SELECT a23456789b23456789c23456789d23456789e23456789f23456789g23456789()",
    "SELECT A23456789B23456789c23456789d23456789e23456789f23456789g23456789_and_what_is_cut_off()",
];

const STOPPED: &[&str] = &[
    "SELECT a FROM t FOR UPDATE",
    "SELECT a FROM t FOR SHARE NOWAIT",
    "SELECT writes_by_stealth()",
    "SELECT 1and pg_advisory_lock(1) IS NULL",
    "SELECT * FROM pg_authid, no_such_table",
];

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn a_function_that_is_refused_is_named() {
    let Some(server) = started() else {
        return;
    };
    server.psql(SHOP);
    server.psql("CREATE FUNCTION \"two\nlines\"() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    let connection = open(&server, "postgres");
    let owners = " is no function that only reads: it is VOLATILE; if it only reads, its owner can declare it STABLE";
    for (sql, told) in [
        (
            "SELECT pg_advisory_lock(1)",
            "pg_advisory_lock(bigint) is no function that only reads",
        ),
        (
            "SELECT other.twice(1)",
            &format!("other.twice(integer){owners}"),
        ),
        (
            "SELECT \"two\nlines\"()",
            &format!("\"two lines\"(){owners}"),
        ),
    ] {
        let result = connection.run(sql, BOUNDS);
        assert_eq!(result, Err(SqlError::Refused(told.to_owned())));
    }
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn queries_that_read_are_run() {
    let Some(server) = started() else {
        return;
    };
    shop(&server);
    let connection = open(&server, "reader");
    for sql in [
        "SELECT a FROM t; -- done",
        ";;/* a */ SELECT a FROM t;",
        "WITH c AS (SELECT a FROM t) TABLE c",
        "(SELECT a FROM t) UNION ALL (SELECT 1)",
        "((SELECT a FROM t))",
        "VALUES (1), (2)",
        "TABLE t",
        "EXPLAIN SELECT a FROM t",
        "EXPLAIN (FORMAT json, VERBOSE) SELECT a FROM t",
        "EXPLAIN VERBOSE (SELECT count(*) FROM t)",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 9) SELECT x FROM c",
        "SELECT 'pg_advisory_lock(1)', $$lo_unlink(1)$$, 'it''s' -- setval(",
        "SELECT a AS pg_advisory_lock, b AS setval FROM t",
        "SELECT x.nextval FROM (SELECT 1 AS nextval) x",
        "SELECT pg_advisory_lock FROM (SELECT 1 AS pg_advisory_lock) x",
        "SELECT twice(a), public.twice(a), t.label, label(t) FROM t",
        "SELECT now(), random(), clock_timestamp(), gen_random_uuid(), pg_sleep(0), current_user",
        "SELECT pg_size_pretty(pg_total_relation_size('t')), version(), current_setting('server_version')",
        "SELECT count(*), string_agg(b, ',' ORDER BY a), percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t",
        "SELECT row_number() OVER (PARTITION BY b ORDER BY a ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t",
        "SELECT * FROM generate_series(1, 3) WITH ORDINALITY g(x, i), LATERAL (SELECT x * 2) y",
        "SELECT * FROM json_to_recordset('[{\"a\": 1}]') AS r(a int)",
        "SELECT * FROM v TABLESAMPLE system (100)",
        "SELECT * FROM t TABLESAMPLE bernoulli (100)",
        "SELECT table_name FROM information_schema.tables",
        "SELECT usename FROM pg_stat_activity",
        "SELECT extract(year FROM now()), overlay('abc' PLACING 'x' FROM 1), trim(both 'x' FROM 'xax')",
        "SELECT xpath('/a/text()', '<a>1</a>'), to_tsvector('english', 'the cats')",
        "SELECT a FROM t WHERE a IN (1) AND EXISTS (SELECT 1) AND (a, b) = (1, 'x')",
        "SELECT x FROM unnest(ARRAY[1, 2]) x",
    ] {
        if sql.contains("v TABLESAMPLE") {
            assert!(
                matches!(connection.run(sql, BOUNDS), Err(SqlError::Sql(_))),
                "{sql}"
            );
        } else {
            assert!(!rows(&connection, sql).is_empty(), "{sql}");
        }
    }
    // No columns at all.
    let answer = connection.run("SELECT FROM t", BOUNDS).unwrap();
    assert_eq!(
        (answer.columns.len(), answer.rows),
        (0, vec![vec![], vec![]])
    );
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn chance_and_settings_are_the_same_each_time() {
    let Some(server) = started() else {
        return;
    };
    shop(&server);
    server.psql(
        "ALTER ROLE reader SET TimeZone = 'Asia/Tokyo'; ALTER ROLE reader SET DateStyle = 'German'; ALTER ROLE reader SET bytea_output = 'escape';
         ALTER ROLE reader SET IntervalStyle = 'iso_8601'; ALTER ROLE reader SET extra_float_digits = 0; ALTER ROLE reader SET work_mem = '2GB';
         ALTER ROLE reader SET standard_conforming_strings = off; ALTER ROLE reader SET search_path = other, public;",
    );
    let sql = "SELECT random(), '2024-02-29 12:00+00'::timestamptz, '1 day'::interval, '\\x00'::bytea, 0.1::float8 + 0.2, 'a\\',
               current_setting('transaction_read_only'), current_setting('search_path'), current_setting('work_mem'),
               current_setting('application_name') FROM t";
    let first = rows(&open(&server, "reader"), sql);
    let shown = |cell: &Cell| match cell {
        Cell::Text(text) | Cell::Moment { text, .. } => text.clone(),
        other => format!("{other:?}"),
    };
    let texts: Vec<_> = first[0][1..].iter().map(shown).collect();
    assert_eq!(
        texts,
        [
            "2024-02-29 12:00:00+00",
            "1 day",
            "Blob([0])",
            "Real(0.30000000000000004)",
            "a\\",
            "on",
            "other, public",
            "64MB",
            "factory"
        ]
    );
    assert_ne!(first[0][0], first[1][0]);
    assert_eq!(rows(&open(&server, "reader"), sql), first);
}
