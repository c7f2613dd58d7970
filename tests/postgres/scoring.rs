//! Scoring on a server: `eval-sql --connection`, and a connection that stays for many queries.

use super::{BOUNDS, TIMEOUTS, started, until};
use factory::db::cell::Cell;
use factory::db::postgres::Kept;
use factory::sql::error::SqlError;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

const SHOP: &str = "
    CREATE ROLE reader LOGIN;
    CREATE SCHEMA shop; CREATE SCHEMA \"Two words\";
    GRANT USAGE ON SCHEMA shop, \"Two words\" TO reader;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
    CREATE TABLE shop.buyers (id int PRIMARY KEY, name text);
    CREATE TABLE shop.sales (id int PRIMARY KEY, buyer int REFERENCES shop.buyers, amount numeric(10,2), day date);
    INSERT INTO shop.buyers VALUES (1, 'Ada'), (2, NULL), (3, 'Cy');
    INSERT INTO shop.sales VALUES (1, 1, 19.50, '2024-02-29'), (2, 1, 0.05, '2024-03-01'), (3, 3, 7, '2024-03-01');
    CREATE TABLE \"Two words\".buyers AS SELECT 7 AS id;
    CREATE TABLE public.buyers AS SELECT 8 AS id;";

fn factory(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
    command.current_dir(folder).args(arguments);
    command.env_remove("DB_URL").output().unwrap()
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn rows_are_scored_on_a_server() {
    let Some(server) = started() else { return };
    server.psql(SHOP);
    let folder = tempfile::tempdir().unwrap();
    let url = server.url("reader", "postgres");
    fs::write(
        folder.path().join("connections.toml"),
        format!("[shop]\nurl = {url:?}\n"),
    )
    .unwrap();
    let endless =
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    // Reference, prediction, schema, and what came of it.
    let pairs = [
        (
            "select name from buyers",
            "select name from buyers order by id desc",
            "shop",
            "true",
        ),
        (
            "select sum(amount) from sales",
            "select 26.55",
            "shop",
            "true",
        ),
        (
            "select max(day) from sales",
            "select '2024-03-01'",
            "shop",
            "true",
        ),
        ("select id from buyers", "select 7", "Two words", "true"),
        ("select id from buyers", "select 8", "", "true"),
        ("select id from buyers", "select 7", "", "false"),
        (
            "select name from buyers",
            "select nope from buyers",
            "shop",
            "column \"nope\" does not exist",
        ),
        (
            "select name from buyers",
            "drop table buyers",
            "shop",
            "refused",
        ),
        (
            "select name from buyers",
            "select pg_advisory_lock(1)",
            "shop",
            "no function that only reads",
        ),
        (
            "select name from buyers",
            endless,
            "shop",
            "timed out after 1500 ms",
        ),
        ("select count(*) from sales", "select 3", "shop", "true"),
    ];
    let rows: String = pairs
        .iter()
        .enumerate()
        .map(|(id, (gold, predicted, db, _))| {
            let mut row =
                json!({"id": id.to_string(), "gold_sql": gold, "predicted_sql": predicted});
            if !db.is_empty() {
                row["db"] = (*db).into();
            }
            format!("{row}\n")
        })
        .collect();
    fs::write(folder.path().join("preds.jsonl"), rows).unwrap();
    let output = factory(
        folder.path(),
        &[
            "eval-sql",
            "preds.jsonl",
            "--connection",
            "shop",
            "--out",
            "rows.jsonl",
            "--timeout-ms",
            "1500",
        ],
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let scored = fs::read_to_string(folder.path().join("rows.jsonl")).unwrap();
    for (line, (_, predicted, _, expected)) in scored.lines().zip(pairs) {
        let row: Value = serde_json::from_str(line).unwrap();
        let error = row["predicted_error"].as_str().unwrap_or_default();
        match expected {
            "true" => assert_eq!(row["exec_match"], true, "{predicted}: {row}"),
            "false" => assert_eq!(row["exec_match"], false, "{predicted}: {row}"),
            reason => assert!(error.contains(reason), "{predicted}: {error}"),
        }
    }
    let tables = server.psql("SELECT count(*) FROM shop.buyers");
    assert_eq!(tables.trim(), "3");
    assert_eq!(
        server
            .psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            .trim(),
        "0"
    );
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn a_run_ends_at_once_where_there_is_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let row = json!({"id": "1", "gold_sql": "select 1", "predicted_sql": "select 1"});
    fs::write(folder.path().join("preds.jsonl"), format!("{row}\n")).unwrap();
    let url = "postgres://me@127.0.0.1:1/shop";
    let output = factory(
        folder.path(),
        &["eval-sql", "preds.jsonl", "--connection", url],
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("127.0.0.1:1/shop: nothing listens there"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    let url = "postgres://me:s3cret@127.0.0.1:1/shop";
    let output = factory(
        folder.path(),
        &["eval-sql", "preds.jsonl", "--connection", url],
    );
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("password_env"), "{said}");
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn no_row_is_wrong_because_the_server_is_gone() {
    let Some(server) = started() else { return };
    server.psql(SHOP);
    let folder = tempfile::tempdir().unwrap();
    let row = |id: usize| {
        let gold = format!("select {id}, pg_sleep(0.2)");
        let predicted = format!("select {id}, pg_sleep(0.2) limit 1");
        json!({"id": id.to_string(), "gold_sql": gold, "predicted_sql": predicted})
    };
    let rows: String = (0..30).map(|id| format!("{}\n", row(id))).collect();
    fs::write(folder.path().join("preds.jsonl"), rows).unwrap();
    let url = server.url("reader", "postgres");
    let arguments = [
        "eval-sql",
        "preds.jsonl",
        "--connection",
        &url,
        "--out",
        "rows.jsonl",
    ];
    let run = thread::scope(|scope| {
        let run = scope.spawn(|| factory(folder.path(), &arguments));
        // Some rows are there.
        let partial = folder.path().join("rows.jsonl.partial");
        until("rows are scored", || {
            fs::read_to_string(&partial).is_ok_and(|text| text.lines().count() > 3)
        });
        server.down();
        run.join().unwrap()
    });
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(!folder.path().join("rows.jsonl").exists());
    server.up();
    let arguments = [&arguments[..], &["--resume"]].concat();
    let run = factory(folder.path(), &arguments);
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(said.contains("execution_accuracy=1.000"), "{said}");
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn nothing_of_a_query_is_left_for_the_next() {
    let Some(server) = started() else { return };
    server.psql(SHOP);
    let mut kept = Kept::new(&server.url("reader", "postgres"), TIMEOUTS).unwrap();
    let mut one = |schema: &str, sql: &str| {
        let answer = kept.run(schema, sql, BOUNDS, TIMEOUTS.call);
        answer.map(|answer| answer.rows[0][0].clone())
    };
    let first = one("", "select pg_backend_pid()").unwrap();
    assert_eq!(
        one("shop", "select count(*) from buyers").unwrap(),
        Cell::Integer(3)
    );
    let path = |path: &str| Cell::Text(path.to_owned());
    assert_eq!(
        one("shop", "select current_setting('search_path')").unwrap(),
        path("shop")
    );
    assert_eq!(
        one("", "select current_setting('search_path')").unwrap(),
        path("\"$user\", public")
    );
    assert_eq!(
        one("Two words", "select current_setting('search_path')").unwrap(),
        path("\"Two words\"")
    );
    let chance = one("", "select random()").unwrap();
    assert_eq!(one("", "select random()").unwrap(), chance);
    // A mistake, a refusal and a result are all the same to the connection.
    for wrong in [
        "select nope",
        "select 1/0",
        "drop table buyers",
        "select set_config('search_path', 'x', false)",
    ] {
        one("", wrong).unwrap_err();
    }
    assert_eq!(one("", "select pg_backend_pid()").unwrap(), first);
    assert_eq!(
        one("", "select current_setting('search_path')").unwrap(),
        path("\"$user\", public")
    );
    let gone = one("no such", "select 1").unwrap_err().to_string();
    assert!(gone.contains("there is no schema \"no such\""), "{gone}");

    // One that is late ends its connection, and the next has another.
    let late = kept.run(
        "",
        "select pg_sleep(60)",
        BOUNDS,
        Duration::from_millis(300),
    );
    assert_eq!(late, Err(SqlError::Timeout(300)));
    let second = kept.run("", "select pg_backend_pid()", BOUNDS, TIMEOUTS.call);
    assert_ne!(second.unwrap().rows[0][0], first);

    let tables = kept.tables("shop").unwrap();
    let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["buyers", "sales"]);
    assert_eq!(tables[1].foreign_keys[0].table, "buyers");
}
