//! Black-box tests of `factory db`: connections, schemas, queries that may do nothing but read.

mod common;
#[path = "common/duckdb_writer.rs"]
mod duckdb_writer;

use common::factory;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SHOP: &str = "CREATE TABLE buyers (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE sales (id INTEGER PRIMARY KEY, buyer INTEGER REFERENCES buyers(id), amount DECIMAL(10,2), day DATE);
CREATE VIEW totals AS SELECT buyer, sum(amount) AS total FROM sales GROUP BY buyer;
INSERT INTO buyers VALUES (1, 'Ada'), (2, NULL);
INSERT INTO sales VALUES (1, 1, 19.50, '2024-02-29'), (2, 1, 0.05, '2024-03-01');";

/// A folder with the shop as a file of both engines, and its connections.
fn shop(duckdb: bool) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = rusqlite::Connection::open(dir.path().join("shop.sqlite")).unwrap();
    file.execute_batch(SHOP).unwrap();
    if duckdb {
        duckdb_writer::write(&dir.path().join("shop.duckdb"), SHOP);
    }
    let settings = "[shop]\npath = \"shop.sqlite\"\n[lake]\ndriver = \"duckdb\"\npath = \"shop.duckdb\"\n\
                    [warehouse]\ndriver = \"snowflake\"\n[wiki]\ndriver = \"notion\"\n";
    fs::write(dir.path().join("connections.toml"), settings).unwrap();
    dir
}

/// `factory db` in a folder.
fn db(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
    command
        .arg("db")
        .args(args)
        .current_dir(folder)
        .env_remove("DB_URL")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn fails(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&said(output)).unwrap()
}

#[test]
fn connections_are_listed_and_what_is_wrong_with_them_is_said() {
    let dir = shop(false);
    let list = said(&db(dir.path(), &["list"]));
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(
        lines,
        [
            "lake  duckdb  duckdb  shop.duckdb",
            "shop  sqlite  sqlite  shop.sqlite",
            "warehouse  snowflake  snowflake  -",
            "wiki  notion  -  -",
        ]
    );
    let ask = |name: &str| db(dir.path(), &["query", name, "select 1"]);
    assert!(fails(&ask("shpo"), 2).contains("did you mean \"shop\"?"));
    assert!(fails(&ask("warehouse"), 1).contains("no connector for snowflake in this build"));
    assert!(
        fails(&db(dir.path(), &["notes", "wiki"]), 2)
            .contains("notion is not a SQL warehouse connection")
    );
    assert!(said(&db(dir.path(), &["notes", "warehouse"])).starts_with("# Snowflake"));
    assert!(said(&db(dir.path(), &["notes", "tsql"])).contains("## Top N"));
    for (settings, part) in [
        ("[a]\ndriver = \"sqlite\"\n", "neither url nor path"),
        (
            "[a]\ndriver = \"postgress\"\n",
            "did you mean \"postgres\"?",
        ),
        (
            "[a]\npath = \"x.db\"\nhost = \"y\"\n",
            "connections.toml:3: unknown field `host`",
        ),
        (
            "[a]\nurl = \"sqlite:///x.db\"\ndriver = \"duckdb\"\n",
            "its url is one of sqlite",
        ),
        (
            "[a]\nurl_env = \"NOWHERE_TO_BE_FOUND\"\n",
            "NOWHERE_TO_BE_FOUND is not set",
        ),
        (
            "[a]\nurl = \"postgres://u:hunter2@h/d\"\npassword_env = \"PATH\"\n",
            "has a password already",
        ),
        ("[a]\nurl = \"orcale://x\"\n", "no driver for orcale://"),
        ("a = 1\n", "connections.toml:1:"),
    ] {
        fs::write(dir.path().join("connections.toml"), settings).unwrap();
        let error = fails(
            &db(dir.path(), &["list"]),
            if part.contains(".toml:") { 1 } else { 2 },
        );
        assert!(error.contains(part), "{part}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_url_in_the_environment_is_a_connection_whose_password_is_shown_to_nobody() {
    let dir = shop(false);
    fs::remove_file(dir.path().join("connections.toml")).unwrap();
    let with = |url: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
        command
            .arg("db")
            .args(args)
            .current_dir(dir.path())
            .env("DB_URL", url)
            .output()
            .unwrap()
    };
    let count = with(
        "sqlite:///shop.sqlite",
        &[
            "query",
            "default",
            "select count(*) as n from sales",
            "--format",
            "csv",
        ],
    );
    assert_eq!(said(&count), "n\n2\n");
    let url = "postgresql://reader:hunter2@127.0.0.1:9/shop";
    let test = fails(&with("sqlite:///shop.sqlite", &["test", url]), 1);
    assert!(
        test.contains("127.0.0.1:9") && !test.contains("hunter2"),
        "{test}"
    );
    let list = said(&with(
        "postgresql+psycopg2://reader:hunter2@db.example:5433/shop",
        &["list"],
    ));
    assert_eq!(
        list,
        "default  postgres  postgres  postgresql://reader@db.example:5433/shop\n"
    );
    // What a password must be written otherwise for, and what this build does not go to.
    for (url, code) in [
        ("postgres://me:12/hunter2@127.0.0.1/db", 2),
        ("postgres://me:12#hunter2@127.0.0.1/db", 2),
        ("mysql://me:hunter2@host/shop", 1),
    ] {
        let test = fails(&with("sqlite:///shop.sqlite", &["test", url]), code);
        assert!(!test.contains("hunter2"), "{url}: {test}");
    }
}

#[test]
fn a_variable_that_is_not_set_holds_up_its_own_connection_alone() {
    let dir = shop(false);
    let settings = "[shop]\npath = \"shop.sqlite\"\n[far]\nurl = \"postgres://me@h/d\"\npassword_env = \"NOWHERE_TO_BE_FOUND\"\n";
    fs::write(dir.path().join("connections.toml"), settings).unwrap();
    let ask = |name: &str| {
        db(
            dir.path(),
            &["query", name, "select 1 as one", "--format", "csv"],
        )
    };
    assert_eq!(said(&ask("shop")), "one\n1\n");
    let far = fails(&ask("far"), 2);
    assert!(
        far.contains("[far]: the environment variable NOWHERE_TO_BE_FOUND is not set"),
        "{far}"
    );
    assert!(said(&db(dir.path(), &["list"])).contains("NOWHERE_TO_BE_FOUND"));
}

#[test]
fn a_schema_is_told_in_three_forms() {
    let dir = shop(false);
    let ddl = said(&db(dir.path(), &["schema", "shop"]));
    assert_eq!(
        ddl.lines().nth(1).unwrap(),
        "CREATE TABLE sales (id INTEGER, buyer INTEGER, amount DECIMAL(10,2), day DATE, PRIMARY KEY (id), FOREIGN KEY (buyer) REFERENCES buyers (id));"
    );
    let list = said(&db(
        dir.path(),
        &[
            "schema",
            "shop",
            "--format",
            "list",
            "--table",
            "buyers",
            "--rows",
            "--samples",
            "2",
        ],
    ));
    assert_eq!(
        list,
        "buyers(id, name)\n-- rows: 2\n-- samples: {\"id\":[1,2],\"name\":[\"Ada\"]}\n"
    );
    let whole = json_of(&db(
        dir.path(),
        &["schema", "shop.sqlite", "--format", "json", "--rows"],
    ));
    assert_eq!(whole["tables"][2]["name"], "totals");
    assert_eq!(whole["tables"][2]["view"], true);
    assert_eq!(whole["tables"][1]["rows"], 2);
    let error = fails(
        &db(dir.path(), &["schema", "shop", "--table", "sellers"]),
        2,
    );
    assert!(error.contains("sellers"), "{error}");
}

#[test]
fn rows_come_in_every_form_and_what_is_cut_is_said() {
    let dir = shop(false);
    let query = "select id, name from buyers";
    let table = said(&db(dir.path(), &["query", "shop", query]));
    assert!(table.contains("NULL") && table.contains("Ada"), "{table}");
    let whole = json_of(&db(
        dir.path(),
        &["query", "shop", query, "--format", "json"],
    ));
    assert_eq!(
        whole,
        json!({"columns": [{"name": "id", "declared": "INTEGER"}, {"name": "name", "declared": "TEXT"}], "rows": [[1, "Ada"], [2, null]], "truncated": false})
    );
    let cut = db(
        dir.path(),
        &["query", "shop", query, "--format", "csv", "--max-rows", "1"],
    );
    assert_eq!(said(&cut), "id,name\n1,Ada\n");
    assert!(String::from_utf8_lossy(&cut.stderr).contains("cut: 1 rows"));
    let long = "with recursive n(i) as (select 1 union all select i + 1 from n) select i, 'some text' from n";
    let cut = db(
        dir.path(),
        &[
            "query",
            "shop",
            long,
            "--max-rows",
            "1000000",
            "--format",
            "csv",
            "--max-bytes",
            "64KiB",
        ],
    );
    assert!(said(&cut).len() < 64 << 10);
    assert!(String::from_utf8_lossy(&cut.stderr).contains("--max-bytes"));
    let plan = said(&db(dir.path(), &["query", "shop", query, "--explain"]));
    assert!(plan.contains("SCAN buyers"), "{plan}");
    let parquet = dir.path().join("rows.parquet");
    let parquet = parquet.to_str().unwrap();
    said(&db(
        dir.path(),
        &[
            "query", "shop", query, "--format", "parquet", "--out", parquet,
        ],
    ));
    assert!(fs::read(parquet).unwrap().starts_with(b"PAR1"));
    let twice = "select 1 as a, 2 as a";
    let error = fails(
        &db(
            dir.path(),
            &[
                "query", "shop", twice, "--format", "parquet", "--out", parquet,
            ],
        ),
        1,
    );
    assert!(error.contains("two columns are called \"a\""), "{error}");
    fails(
        &db(dir.path(), &["query", "shop", "select nope from buyers"]),
        1,
    );
}

/// What a query must not do, and the time it may take.
fn hostile(folder: &Path, name: &str, file: &str, more: &[&str]) {
    let before = fs::read(folder.join(file)).unwrap();
    let names = || {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let there = names();
    let outside = folder.join("made");
    let outside = outside.display();
    let own = [
        "COMMIT; DROP TABLE sales",
        "/* harmless */ DROP TABLE sales",
        "-- harmless\nDELETE FROM sales",
        "SELECT 1; SELECT 2",
        "BEGIN",
        "CREATE TEMP TABLE x (a INT)",
        "CREATE TABLE x (a INT)",
        "UPDATE sales SET amount = 0",
        "INSERT INTO sales VALUES (9, 9, 9, '2024-01-01')",
        "WITH x AS (SELECT 1) DELETE FROM sales",
        "VACUUM",
        "CHECKPOINT",
        "",
        ";",
        "-- only words",
    ];
    let own = own.map(str::to_owned).into_iter();
    let files = [
        format!("ATTACH '{outside}' AS x"),
        format!("VACUUM INTO '{outside}'"),
        format!("COPY sales TO '{outside}'"),
        format!("EXPORT DATABASE '{outside}'"),
    ];
    for sql in own
        .chain(files)
        .chain(more.iter().map(|sql| (*sql).to_owned()))
    {
        let error = fails(&db(folder, &["query", name, &sql]), 1);
        assert!(!error.contains("panicked"), "{sql}: {error}");
    }
    let endless =
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    let start = Instant::now();
    let error = fails(&db(folder, &["query", name, endless, "--timeout", "1"]), 1);
    assert!(error.contains("exceeded 1 s"), "{error}");
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "it is killed at the deadline"
    );
    assert_eq!(fs::read(folder.join(file)).unwrap(), before);
    assert_eq!(names(), there);
}

#[test]
fn a_hostile_query_writes_nowhere_on_sqlite() {
    let dir = shop(false);
    let more = [
        "PRAGMA user_version = 7",
        "SELECT load_extension('x')",
        "SELECT printf('%.*c', 1000000000, 'x')",
        "SELECT writefile('made', 'x')",
        "REINDEX",
        "EXPLAIN SELECT 1",
    ];
    hostile(dir.path(), "shop", "shop.sqlite", &more);
}

#[test]
#[ignore = "needs FACTORY_DUCKDB_LIB, which scripts/fetch_duckdb.sh fetches"]
fn a_hostile_query_writes_nowhere_on_duckdb() {
    let dir = shop(true);
    let more = [
        "PRAGMA enable_profiling",
        "/* x */ PRAGMA database_size",
        "CALL pragma_version()",
        "SET memory_limit = '100GB'",
        "RESET memory_limit",
        "SET VARIABLE x = 1",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM 'connections.toml'",
        "SELECT * FROM glob('*')",
        "FROM read_text('connections.toml')",
        "WITH x AS (INSERT INTO sales VALUES (9, 9, 9, NULL) RETURNING *) SELECT * FROM x",
        "SELECT * FROM enable_profiling(save_location='made.json')",
    ];
    hostile(dir.path(), "lake", "shop.duckdb", &more);
    // No interrupt stops it; whatever it is that ends it, it is not what it wants.
    let giant = db(
        dir.path(),
        &[
            "query",
            "lake",
            "SELECT length(repeat('x', 1000000000) || repeat('y', 1000000000))",
            "--timeout",
            "5",
        ],
    );
    fails(&giant, 1);
}

#[test]
#[ignore = "needs FACTORY_DUCKDB_LIB, which scripts/fetch_duckdb.sh fetches"]
fn duckdb_answers_as_sqlite_does() {
    let dir = shop(true);
    let test = said(&db(dir.path(), &["test", "shop", "lake"]));
    assert!(
        test.contains("shop: SQLite ")
            && test.contains("lake: DuckDB v")
            && test.contains(", 3 tables"),
        "{test}"
    );
    let rows = |name: &str| {
        let query =
            "select b.name, count(*) as n from sales s join buyers b on b.id = s.buyer group by 1";
        json_of(&db(dir.path(), &["query", name, query, "--format", "json"]))["rows"].clone()
    };
    assert_eq!(rows("lake"), json!([["Ada", 2]]));
    assert_eq!(rows("lake"), rows("shop"));
    let typed = json_of(&db(
        dir.path(),
        &[
            "query",
            "lake",
            "select amount, day from sales order by id",
            "--format",
            "json",
        ],
    ));
    assert_eq!(typed["columns"][0]["declared"], "DECIMAL(10,2)");
    assert_eq!(
        typed["rows"],
        json!([["19.50", "2024-02-29"], ["0.05", "2024-03-01"]])
    );
    let list = |name: &str| {
        said(&db(
            dir.path(),
            &["schema", name, "--format", "list", "--table", "sales"],
        ))
    };
    assert_eq!(list("lake"), list("shop"));
}

#[test]
fn files_that_are_no_databases_are_one_line() {
    let dir = shop(false);
    fs::write(
        dir.path().join("noise.db"),
        "no database, but long enough\n".repeat(99),
    )
    .unwrap();
    fs::write(dir.path().join("noise.sql"), "CREATE TABLE (").unwrap();
    for (name, part) in [
        ("noise.db", "not a SQLite database, or an encrypted one"),
        ("noise.sql", "noise.sql"),
        ("nowhere.sqlite", "nowhere.sqlite"),
    ] {
        let error = fails(&db(dir.path(), &["test", name]), 1);
        assert!(error.contains(part), "{part}: {error}");
    }
    let help = factory(&["db", "query", "-h"]);
    assert!(String::from_utf8_lossy(&help.stdout).contains("--max-rows"));
}
