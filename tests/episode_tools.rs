//! The tools of episodes over every engine, a server's, and databases that do harm.

#[path = "common/duckdb_writer.rs"]
mod duckdb_writer;
// Other tests stop servers and start them again.
#[allow(dead_code)]
#[path = "common/pg_server.rs"]
mod pg_server;
#[path = "common/tools.rs"]
mod tools;

use factory::db::connections::Connections;
use factory::db::home::Home;
use factory::learning::episodes::call::{
    ALL_TABLES, Call, DEFINITIONS, EXECUTE, FILTER_TABLES, Outcome,
};
use factory::learning::episodes::protocol::Protocol;
use factory::learning::episodes::tools::{Builtin, Said, Server, Tools};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tools::{BOATS, builtin, folder, worker};

const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

/// What tools say of one database.
fn said(tools: &dyn Tools, db: &str, tool: &str, arguments: Value) -> (Outcome, String) {
    let call = Call::new(tool, arguments);
    let mut said = tools.answers(&[(db, &call)]).unwrap();
    let Said { text, outcome } = said.pop().unwrap();
    (outcome, text)
}

#[test]
fn tools_say_what_mcp_alchemys_do() {
    let dir = folder();
    let tools = builtin(Home::Folder(dir.path().to_owned()));
    let say = |tool: &str, arguments: Value| said(&tools, "boats", tool, arguments);
    let fine = |text: &str| (Outcome::Ok, text.to_owned());
    assert_eq!(say(ALL_TABLES, json!({})), fine("boats, crews"));
    assert_eq!(say(FILTER_TABLES, json!({"q": "ew"})), fine("crews"));
    let crews = "crews:\n    boat: INTEGER, nullable\n    sailor: TEXT, nullable";
    assert_eq!(
        say(DEFINITIONS, json!({"table_names": ["crews"]})),
        fine(crews)
    );
    let query = "SELECT id, oars FROM boats WHERE name = :name";
    assert_eq!(
        say(EXECUTE, json!({"query": query, "params": {"name": "Ann"}})),
        fine("1. row\nid: 1\noars: 2\n\nResult: 1 rows")
    );
    for (tool, arguments, outcome, part) in [
        (
            EXECUTE,
            json!({"query": "SELECT x FROM ships"}),
            Outcome::UnknownTable,
            "Error: no such table: ships",
        ),
        (
            DEFINITIONS,
            json!({"table_names": ["ships"]}),
            Outcome::UnknownTable,
            "\"ships\"",
        ),
        (
            EXECUTE,
            json!({"query": "SELECT x FROM boats"}),
            Outcome::Error,
            "Error: no such column: x",
        ),
        (
            EXECUTE,
            json!({"query": "DELETE FROM boats"}),
            Outcome::Error,
            "refused",
        ),
        (EXECUTE, json!({"sql": "SELECT 1"}), Outcome::Error, "sql"),
        (FILTER_TABLES, json!({"q": 7}), Outcome::Error, "string"),
        ("rm", json!({}), Outcome::Error, "no tool is called \"rm\""),
    ] {
        let (found, told) = say(tool, arguments);
        assert_eq!(found, outcome, "{told}");
        assert!(told.contains(part), "{told}");
    }
    let home = Home::Folder(dir.path().to_owned());
    let brief = Builtin::new(home, false, worker(), Duration::from_secs(1));
    let (found, told) = said(&brief, "boats", EXECUTE, json!({ "query": ENDLESS }));
    assert_eq!(found, Outcome::Error);
    assert!(told.contains("exceeded 1 s"), "{told}");
    let huge = "SELECT hex(zeroblob(100000)) AS x FROM boats";
    let (_, huge) = say(EXECUTE, json!({ "query": huge }));
    assert!(huge.len() < 10_000 && huge.contains("truncated"), "{huge}");
    // The same calls are answered once, each in its place.
    let (a, b) = (
        Call::new(ALL_TABLES, json!({})),
        Call::new(FILTER_TABLES, json!({"q": "boa"})),
    );
    let calls = [("boats", &b), ("boats", &a), ("boats", &b)];
    let texts = tools
        .answers(&calls)
        .unwrap()
        .into_iter()
        .map(|said| said.text);
    assert_eq!(
        texts.collect::<Vec<_>>(),
        ["boats", "boats, crews", "boats"]
    );
    // That a database is gone is nothing that a model did.
    let call = Call::new(EXECUTE, json!({"query": "SELECT 7"}));
    fs::remove_file(dir.path().join("boats.sql")).unwrap();
    let error = tools.answers(&[("boats", &call)]).unwrap_err();
    assert!(format!("{error:#}").contains("boats"), "{error:#}");
}

#[test]
#[ignore = "needs FACTORY_DUCKDB_LIB, which scripts/fetch_duckdb.sh fetches"]
fn tools_look_at_duckdb() {
    let dir = tempfile::tempdir().unwrap();
    duckdb_writer::write(&dir.path().join("boats.duckdb"), BOATS);
    let tools = builtin(Home::Folder(dir.path().to_owned()));
    let say = |tool: &str, arguments: Value| said(&tools, "boats", tool, arguments);
    assert_eq!(say(ALL_TABLES, json!({})).1, "boats, crews");
    let (_, crews) = say(DEFINITIONS, json!({"table_names": ["crews"]}));
    assert!(crews.starts_with("crews:\n    boat: INTEGER"), "{crews}");
    let (outcome, told) = say(EXECUTE, json!({"query": "SELECT count(*) AS n FROM boats"}));
    assert_eq!(
        (outcome, &*told),
        (Outcome::Ok, "1. row\nn: 2\n\nResult: 1 rows")
    );
    let (outcome, told) = say(EXECUTE, json!({"query": "SELECT 1 FROM ships"}));
    assert_eq!(outcome, Outcome::UnknownTable, "{told}");
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn tools_look_at_a_servers_schemas() {
    let Some(server) = pg_server::Server::start("episodes", "") else {
        return;
    };
    server.psql(
        "CREATE SCHEMA \"Two words\"; CREATE TABLE \"Two words\".boats (id int, name text);
         INSERT INTO \"Two words\".boats VALUES (7, 'Ann'); CREATE TABLE public.boats (other int); CREATE TABLE public.crews (id int);",
    );
    let url = server.url("postgres", "postgres");
    let connection = Connections::default().get(&url).unwrap();
    let tools = Builtin::new(
        Home::Connection(connection),
        false,
        worker(),
        Duration::from_secs(20),
    );
    let say = |db: &str, tool: &str, arguments: Value| said(&tools, db, tool, arguments);
    assert_eq!(say("Two words", ALL_TABLES, json!({})).1, "boats");
    assert_eq!(say("", FILTER_TABLES, json!({"q": "cre"})).1, "crews");
    let boats = json!({"table_names": ["boats"]});
    assert_eq!(
        say("Two words", DEFINITIONS, boats.clone()).1,
        "boats:\n    id: INTEGER, nullable\n    name: TEXT, nullable"
    );
    assert_eq!(
        say("", DEFINITIONS, boats).1,
        "boats:\n    other: INTEGER, nullable"
    );
    let query = json!({"query": "SELECT name FROM boats WHERE id = :id", "params": {"id": 7}});
    assert_eq!(
        say("Two words", EXECUTE, query).1,
        "1. row\nname: Ann\n\nResult: 1 rows"
    );
    let (outcome, told) = say(
        "Two words",
        EXECUTE,
        json!({"query": "SELECT 1 FROM crews"}),
    );
    assert_eq!(outcome, Outcome::UnknownTable, "{told}");
}

/// The words that start this program's own server on a database's file.
fn served() -> Vec<String> {
    let words = [
        env!("CARGO_BIN_EXE_factory"),
        "mcp",
        "serve",
        "--db",
        "{file}",
    ];
    words.map(str::to_owned).into()
}

fn server(words: &[String], home: &Path, seconds: u64) -> anyhow::Result<Server> {
    let (home, time) = (Home::Folder(home.to_owned()), Duration::from_secs(seconds));
    Server::new(words.to_vec(), home, false, time, Protocol::Tags, "boats")
}

#[test]
fn a_servers_tools_say_the_same() {
    let dir = folder();
    fs::write(dir.path().join("other.sql"), "CREATE TABLE x (y INT);").unwrap();
    let patient = server(&served(), dir.path(), 60).unwrap();
    let own = builtin(Home::Folder(dir.path().to_owned()));
    let calls = [
        Call::new(EXECUTE, json!({"query": "SELECT * FROM boats"})),
        Call::new(EXECUTE, json!({"query": "SELECT * FROM ships"})),
        Call::new(DEFINITIONS, json!({"table_names": ["boats"]})),
        Call::new(ALL_TABLES, json!({})),
    ];
    let asked: Vec<(&str, &Call)> = calls
        .iter()
        .flat_map(|call| [("boats", call), ("other", call)])
        .collect();
    assert_eq!(
        patient.answers(&asked).unwrap(),
        own.answers(&asked).unwrap()
    );
    let more = patient.offered().len();
    assert!(more > 4, "{more}");
    let brief = server(&served(), dir.path(), 2).unwrap();
    let late = json!({ "query": ENDLESS });
    let (outcome, told) = said(&brief, "boats", EXECUTE, late);
    assert_eq!(outcome, Outcome::Error);
    assert!(told.contains("exceeded 2 s"), "{told}");
}

/// Speaks as much of the protocol as is asked of it before the first call, which it answers with the text in its first argument.
const ODD: &str = r#"while read -r line; do case "$line" in
*'"method":"initialize"'*) echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"odd","version":"1"}}}' ;;
*'"method":"tools/list"'*) tool() { printf '{"name":"%s","inputSchema":{"type":"object"}}' "$1"; }
echo '{"jsonrpc":"2.0","id":1,"result":{"tools":['"$(tool all_table_names),$(tool filter_table_names),$(tool schema_definitions),$(tool execute_query)"']}}' ;;
*'"method":"tools/call"'*) eval "$1" ;;
esac; done"#;

#[test]
fn a_server_that_answers_nonsense_or_megabytes_is_named() {
    let dir = folder();
    for (answer, part) in [
        ("echo hello", "it wrote \"hello\", which is no message"),
        ("head -c 9000000 /dev/zero | tr '\\0' x", "more than 8 MB"),
    ] {
        let words = ["sh", "-c", ODD, "sh", answer].map(str::to_owned);
        let odd = server(&words, dir.path(), 2).unwrap();
        let call = Call::new(ALL_TABLES, json!({}));
        let error = odd.answers(&[("boats", &call)]).err().unwrap();
        let told = format!("{error:#}");
        assert!(told.contains(part) && told.contains("sh: "), "{told}");
    }
}

#[test]
fn a_server_that_is_none_ends_the_run() {
    let dir = folder();
    for (words, part) in [
        (vec!["/nowhere/server".to_owned()], "cannot start"),
        (vec!["true".to_owned()], "protocol"),
    ] {
        let error = server(&words, dir.path(), 60).err().unwrap();
        assert!(format!("{error:#}").contains(part), "{error:#}");
    }
}
