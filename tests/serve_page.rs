//! Black-box tests of the page at `/` and of what it asks: databases that callers bring.

mod common;
#[path = "common/parrot.rs"]
mod parrot;
#[path = "common/served.rs"]
mod served;

use common::tiny;
use parrot::{answered, parrot};
use serde_json::{Value, json};
use served::{Reply, Served, receive, start};
use std::fs;

const SHOP: &str =
    "CREATE TABLE buyers (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE sales (buyer INT);
INSERT INTO buyers VALUES (1, 'Ada'), (2, NULL);";

fn bring(server: &Served, content: &[u8]) -> Reply {
    receive(server.send("POST /ask/databases", content))
}

fn brought(server: &Served, content: &[u8]) -> String {
    let reply = bring(server, content);
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn the_page_is_whole_and_loads_nothing_from_elsewhere() {
    let server = start(&[]);
    let page = server.get("/");
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'")
    );
    let mut parts: Vec<&str> = page.body.split("\"/page/").skip(1).collect();
    assert!(parts.len() >= 2, "{}", page.body);
    let mut seen = Vec::new();
    while let Some(part) = parts.pop() {
        let name = part.split('"').next().unwrap().to_owned();
        let reply = server.get(&format!("/page/{name}"));
        assert_eq!(reply.status, 200, "{name}");
        assert!(!reply.body.contains("://"), "{name}");
        seen.push((name, reply.body));
    }
    let scripts: String = seen.iter().map(|(_, text)| text.as_str()).collect();
    for import in scripts.split("from \"./").skip(1) {
        let name = import.split('"').next().unwrap();
        assert_eq!(server.get(&format!("/page/{name}")).status, 200, "{name}");
    }
    assert_eq!(server.get("/page/nothing.js").status, 404);
}

#[test]
fn a_database_that_somebody_brings_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let lora = parrot(dir.path(), "select id, name from buyers;");
    let base = tiny();
    let server = Served::start(&["--base", &base, "--lora", &lora, "--max-tokens", "40"]);
    let reply = bring(&server, SHOP.as_bytes());
    let told = reply.json();
    assert_eq!(
        told["tables"][0],
        json!({"name": "buyers", "columns": [{"name": "id", "type": "INTEGER"}, {"name": "name", "type": "TEXT"}]})
    );
    let id = told["id"].as_str().unwrap();
    let question = json!({"database": id, "question": "Who is number 3?", "tables": ["BUYERS"]});
    let answer = server.post("/ask", &question).json();
    assert_eq!(answer["sql"], "select id, name from buyers;", "{answer}");
    answered(&answer);

    let query = |sql: &str| {
        let reply = server.post("/ask/query", &json!({"database": id, "sql": sql}));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["result"].clone()
    };
    assert_eq!(
        query("select count(*) as n from sales")["rows"],
        json!([[0]])
    );
    for hostile in [
        "drop table buyers",
        "attach 'x.db' as x",
        "select load_extension('x')",
        "select",
    ] {
        assert!(query(hostile)["error"].is_string(), "{hostile}");
    }
    assert_eq!(query("select count(*) from buyers")["rows"], json!([[2]]));
}

#[test]
fn files_and_scripts_are_databases_and_anything_else_is_refused() {
    let server = start(&["--max-database", "100KB", "--timeout-ms", "1000"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shop.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute_batch(SHOP).unwrap();
    drop(connection);
    let bytes = fs::read(&file).unwrap();
    let id = brought(&server, &bytes);
    let sql = json!({"database": id, "sql": "select name from buyers"});
    let found = server.post("/ask/query", &sql).json();
    assert_eq!(found["result"]["rows"], json!([["Ada"], [null]]));

    let forever = "CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n;";
    for (content, status, part) in [
        (&b""[..], 400, "no tables"),
        (b"SELECT 1;", 400, "no tables"),
        (b"CREATE TABLE (", 400, "cannot be asked"),
        (b"\xff\xfe\x00not text\x01", 400, "cannot be asked"),
        (&bytes[..5000], 400, "truncated"),
        (&vec![b' '; 200_000][..], 413, "longer"),
        (forever.as_bytes(), 400, "cannot be asked"),
        (
            b"ATTACH '/tmp/x.db' AS x; CREATE TABLE t (a);",
            400,
            "cannot be asked",
        ),
    ] {
        let reply = bring(&server, content);
        assert_eq!(reply.status, status, "{}", reply.body);
        let message = reply.json()["error"]["message"].to_string();
        assert!(message.contains(part), "{part}: {message}");
        assert!(!message.contains("factory-databases"), "{message}");
    }
    // What was in WAL mode came without what lies beside it.
    let wal = rusqlite::Connection::open(&file).unwrap();
    wal.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    drop(wal);
    let note = bring(&server, &fs::read(&file).unwrap()).json()["note"].to_string();
    assert!(note.contains("-wal"), "{note}");
    // A setting that would be for the whole process is left alone.
    brought(
        &server,
        b"CREATE TABLE t(a); PRAGMA hard_heap_limit = 200000;",
    );
    let large = format!(
        "CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(2000000)); --{}",
        "x".repeat(9_000)
    );
    brought(&server, large.as_bytes());
    // It still answers.
    assert_eq!(server.post("/ask/query", &sql).status, 200);
}

#[test]
fn who_hangs_up_leaves_no_query_behind() {
    let server = start(&["--timeout-ms", "3000000"]);
    let id = brought(&server, SHOP.as_bytes());
    let endless =
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    let body = json!({"database": id, "sql": endless}).to_string();
    // All places are taken, and more wait.
    let cores = std::thread::available_parallelism().unwrap().get();
    let calls: Vec<_> = (0..2 * cores)
        .map(|_| server.send("POST /ask/query", body.as_bytes()))
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(500));
    drop(calls);
    let sql = json!({"database": id, "sql": "select count(*) from buyers"});
    let found = server.post("/ask/query", &sql).json();
    assert_eq!(found["result"]["rows"], json!([[2]]));
}

#[test]
fn databases_go_and_what_is_wrong_with_a_question_is_said() {
    let server = start(&["--context", "200"]);
    let id = brought(&server, SHOP.as_bytes());
    let wrong = |path: &str, body: Value, status: u16, param: &str| {
        let reply = server.post(path, &body);
        assert_eq!(reply.status, status, "{}", reply.body);
        assert_eq!(reply.json()["error"]["param"], param, "{}", reply.body);
    };
    let with = |more: Value| served::with(json!({"database": id, "question": "Who?"}), more);
    wrong("/ask", with(json!({"database": "other"})), 404, "database");
    wrong("/ask", with(json!({"model": "other"})), 404, "model");
    wrong("/ask", with(json!({"model": "auto"})), 404, "model");
    wrong("/ask", with(json!({"question": " "})), 400, "question");
    wrong(
        "/ask",
        with(json!({"question": "who ".repeat(200)})),
        400,
        "question",
    );
    wrong("/ask", with(json!({"tables": ["sellers"]})), 400, "tables");
    wrong("/ask", with(json!({"samples": 0})), 400, "samples");
    wrong("/ask", with(json!({"temperature": 3})), 400, "temperature");
    wrong("/ask", with(json!({"beams": 3})), 400, "beams");
    wrong(
        "/ask",
        with(json!({"constrain": "sqlite"})),
        400,
        "constrain",
    );
    wrong("/ask/query", json!({"database": id}), 400, "sql");

    let delete = |id: &str| receive(server.send(&format!("DELETE /ask/databases/{id}"), b""));
    assert_eq!(delete(&id).status, 200);
    assert_eq!(delete(&id).status, 404);
    wrong("/ask", with(json!({})), 404, "database");
    // Of many the longest unused goes.
    let first = brought(&server, SHOP.as_bytes());
    let second = brought(&server, SHOP.as_bytes());
    for _ in 0..15 {
        let sql = json!({"database": first, "sql": "select 1"});
        assert_eq!(server.post("/ask/query", &sql).status, 200);
        brought(&server, SHOP.as_bytes());
    }
    assert_eq!(delete(&first).status, 200);
    assert_eq!(delete(&second).status, 404);
}
