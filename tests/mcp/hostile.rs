//! Hostile queries to every engine, as calls to one server: nothing is written, nothing hangs, nothing breaks the protocol.

use super::session::Session;
use super::{ENDLESS, SHOP, duckdb_writer, pg_server::Server};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// `{dir}` is a folder that the server may write to.
const ATTACKS: [&str; 74] = [
    // Out of the transaction, or behind another statement.
    "COMMIT; DROP TABLE sales",
    "ROLLBACK; DELETE FROM sales",
    "SELECT 1; DROP TABLE sales",
    "SELECT 1; COMMIT; DELETE FROM sales",
    "END; BEGIN; DELETE FROM sales; COMMIT",
    "BEGIN",
    "COMMIT",
    "SAVEPOINT s",
    "PREPARE p AS DELETE FROM sales",
    "EXECUTE p",
    // Behind comments and odd spaces.
    "-- SELECT\nDROP TABLE sales",
    "/* SELECT */ DELETE FROM sales",
    "/* /* */ SELECT 1 */ DELETE FROM sales",
    "--\rDELETE FROM sales",
    "\u{a0}DELETE FROM sales",
    "\u{feff}DROP TABLE sales",
    ";;DROP TABLE sales",
    "SELECT 1 /*",
    "(DELETE FROM sales)",
    // Writes of every kind.
    "INSERT INTO sales VALUES (9, 1, 1, NULL)",
    "INSERT INTO sales VALUES (9, 1, 1, NULL) RETURNING id",
    "UPDATE sales SET amount = 0",
    "DELETE FROM sales",
    "TRUNCATE sales",
    "WITH gone AS (DELETE FROM sales RETURNING id) SELECT * FROM gone",
    "WITH one AS (SELECT 1) DELETE FROM sales",
    "WITH one AS (SELECT 1) UPDATE sales SET amount = 0",
    "EXPLAIN ANALYZE DELETE FROM sales",
    "SELECT * INTO copied FROM sales",
    "CREATE TABLE made (a INTEGER)",
    "CREATE TEMP TABLE made AS SELECT 1",
    "CREATE VIEW made AS SELECT 1",
    "ALTER TABLE sales ADD COLUMN made INTEGER",
    "DROP TABLE sales",
    "DROP SCHEMA main CASCADE",
    "SELECT * FROM sales FOR UPDATE",
    "LOCK TABLE sales",
    "VACUUM",
    "VACUUM INTO '{dir}/out.sqlite'",
    "REINDEX",
    "ANALYZE",
    // Settings, and what prints.
    "PRAGMA enable_profiling",
    "PRAGMA writable_schema = 1",
    "PRAGMA journal_mode = wal",
    "PRAGMA database_list",
    "SET statement_timeout = 0",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SET memory_limit = '100GB'",
    "SELECT set_config('statement_timeout', '0', false)",
    "RESET ALL",
    "CALL enable_logging()",
    "SELECT * FROM enable_logging(storage = 'stdout')",
    // Files, programs and other databases.
    "COPY sales TO '{dir}/out.csv'",
    "COPY (SELECT 1) TO PROGRAM 'touch {dir}/out'",
    "COPY sales FROM '/etc/passwd'",
    "EXPORT DATABASE '{dir}/out'",
    "ATTACH '{dir}/out.sqlite' AS other",
    "SELECT load_extension('{dir}/x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('{dir}/out', 'x')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_create(0)",
    "SELECT lo_export(1, '{dir}/out')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
    "SELECT pg_advisory_lock(1)",
    "SELECT dblink('dbname=postgres', 'DROP TABLE sales')",
    "SELECT query_to_xml('DROP TABLE sales', true, true, '')",
    // Time and memory.
    ENDLESS,
    "SELECT repeat('x', 1000000000)",
    "SELECT length(replace(hex(zeroblob(500000000)), '0', 'xx'))",
    "SELECT count(*) FROM sales a, sales b, sales c, sales d, sales e, sales f, sales g, sales h, sales i, sales j, sales k, sales l, sales m, sales n, sales o, sales p, sales q, sales r, sales s, sales t, sales u, sales v, sales w, sales x, sales y, sales z, sales aa, sales bb, sales cc, sales dd, sales ee, sales ff",
    "WITH RECURSIVE n(i, t) AS (SELECT 1, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' UNION ALL SELECT i + 1, t || t FROM n) SELECT * FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000000) SELECT i, 'a row of a result of hundreds of megabytes' FROM n",
];

/// What a call may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// Beyond it on a machine that has other work; scripts measure how much it is on an idle one.
const SLACK: Duration = Duration::from_secs(20);

/// Attacks a connection in `folder`, whose files stay what they are.
fn attack(folder: &Path, flags: &[&str]) {
    let seconds = DEADLINE.as_secs().to_string();
    let flags: Vec<&str> = flags
        .iter()
        .copied()
        .chain(["--timeout", &seconds])
        .collect();
    let before = contents(folder);
    let mut session = Session::start(folder, &flags);
    let query = |sql: &str| json!({"connectionId": "default", "sql": sql});
    let good = query("SELECT count(*) AS n FROM sales");
    let mut slowest = (Duration::ZERO, "");
    for attack in ATTACKS {
        let sql = attack.replace("{dir}", folder.to_str().unwrap());
        let begun = Instant::now();
        let id = session.call("sql_execution", query(&sql));
        let said = session.answer(id)["result"].clone();
        slowest = slowest.max((begun.elapsed(), attack));
        let text = said["content"][0]["text"].as_str().unwrap();
        assert!(text.len() < 1 << 20, "{attack}: {} bytes", text.len());
        assert_eq!(contents(folder), before, "{attack}");
    }
    assert!(slowest.0 < DEADLINE + SLACK, "{slowest:?}");
    println!("slowest: {:.2} s: {}", slowest.0.as_secs_f64(), slowest.1);
    let id = session.call("sql_execution", good);
    let said = session.answer(id);
    assert_eq!(said["result"]["structuredContent"]["rows"], json!([[2]]));
    if let Some(most) = most_memory(session.id()) {
        println!("the server's memory at most: {} MB", most >> 20);
        assert!(most < 256 << 20, "{most} bytes");
    }
    let log = session.end();
    let done = log.iter().filter(|line| line["event"] == "done").count();
    assert_eq!(done, ATTACKS.len() + 1);
}

/// Names and contents of a folder's files, but for a server's.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let files = files.filter(|file| file.is_file());
    files
        .map(|file| (file.clone(), fs::read(file).unwrap()))
        .collect()
}

/// The most memory that a process had, where the system tells.
fn most_memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes << 10)
}

#[test]
fn sqlite_stands() {
    let folder = tempfile::tempdir().unwrap();
    let file = rusqlite::Connection::open(folder.path().join("shop.sqlite")).unwrap();
    file.execute_batch(SHOP).unwrap();
    drop(file);
    attack(folder.path(), &["--db", "shop.sqlite"]);
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn duckdb_stands() {
    let folder = tempfile::tempdir().unwrap();
    duckdb_writer::write(&folder.path().join("shop.duckdb"), SHOP);
    attack(folder.path(), &["--db", "shop.duckdb"]);
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn postgres_stands() {
    let test = "hostile::postgres_stands";
    let Some(server) = Server::start(test, "") else {
        return;
    };
    server.psql(SHOP);
    server.psql("CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader");
    const STATE: &str = "SELECT (SELECT string_agg(s::text, ' ' ORDER BY id) FROM sales s), (SELECT count(*) FROM pg_class),
        (SELECT count(*) FROM pg_largeobject_metadata), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()),
        (SELECT string_agg(name || setting, ' ' ORDER BY name) FROM pg_settings WHERE source <> 'client')";
    let before = server.psql(STATE);
    for role in ["reader", "postgres"] {
        let folder = tempfile::tempdir().unwrap();
        attack(folder.path(), &["--db", &server.url(role, "postgres")]);
        // A server notices that a client is gone within a second.
        let begun = Instant::now();
        while server.psql(STATE) != before {
            assert!(begun.elapsed() < SLACK, "{}\n{before}", server.psql(STATE));
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}
