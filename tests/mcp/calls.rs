//! What becomes of many calls, of cancelled ones, and of those whose process is killed.

use super::session::Session;
use super::{ENDLESS, shop};
use serde_json::{Value, json};
use std::collections::BTreeMap;
#[cfg(target_os = "linux")]
use std::{fs, thread, time::Duration, time::Instant};

fn execution(sql: &str) -> Value {
    json!({"connectionId": "shop", "sql": sql})
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap()
}

/// The processes that a process started, of those that run.
#[cfg(target_os = "linux")]
fn children(of: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{of}/task")).unwrap();
    let lists = tasks.filter_map(|task| {
        let task = task.ok()?.path();
        fs::read_to_string(task.join("children")).ok()
    });
    let ids = lists.flat_map(|list| {
        let ids = list.split_whitespace().map(|id| id.parse().unwrap());
        ids.collect::<Vec<u32>>()
    });
    ids.collect()
}

/// The one process that works for a server.
#[cfg(target_os = "linux")]
fn worker(of: u32) -> u32 {
    let begun = Instant::now();
    loop {
        if let [one] = children(of)[..] {
            return one;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "no process works"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn output_is_the_protocol_alone_and_each_call_has_two_lines_of_log() {
    let dir = shop();
    let mut session = Session::start(dir.path(), &[]);
    // What is no message is no reason to end.
    session.send("no JSON");
    let queries = [
        "SELECT 1",
        "SELECT nothing",
        "SELECT 2; SELECT 3",
        "SELECT printf('%s', name) FROM buyers",
    ];
    let asked: Vec<u64> = (0..20)
        .map(|at| session.call("sql_execution", execution(queries[at % queries.len()])))
        .collect();
    // They are answered as they are done.
    let mut answers = BTreeMap::new();
    for _ in &asked {
        let answer = session.next();
        answers.insert(
            answer["id"].as_u64().unwrap(),
            answer["result"]["isError"].clone(),
        );
    }
    for (at, id) in asked.iter().enumerate() {
        assert_eq!(answers[id], matches!(at % 4, 1 | 2), "{}", queries[at % 4]);
    }
    let log = session.end();
    assert_eq!(log.len(), 40, "{log:?}");
    for id in 1..=20 {
        let of = |event: &str| {
            let of = log
                .iter()
                .filter(|line| line["call"] == id && line["event"] == event);
            let of: Vec<&Value> = of.collect();
            assert_eq!(of.len(), 1, "{event} {id}");
            of[0].clone()
        };
        let (call, done) = (of("call"), of("done"));
        assert!(
            call["params"]
                .as_str()
                .unwrap()
                .contains("\"sql\":\"SELECT")
        );
        assert!(done["ms"].is_u64());
        let failed = done["outcome"] == "error";
        assert_eq!(failed, done["error"].is_string());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_process_is_one_failed_call() {
    let dir = shop();
    let mut session = Session::start(dir.path(), &[]);
    let endless = session.call("sql_execution", execution(ENDLESS));
    let worker = worker(session.id());
    // SAFETY: it is the process that this server started for its one call.
    assert_eq!(unsafe { libc::kill(worker as i32, libc::SIGKILL) }, 0);
    let answer = session.answer(endless);
    assert_eq!(answer["result"]["isError"], true);
    assert!(text(&answer).contains("its process ended"), "{answer}");
    let next = session.call("sql_execution", execution("SELECT 1"));
    assert_eq!(session.answer(next)["result"]["isError"], false);
    assert!(children(session.id()).is_empty());
    session.end();
}

#[cfg(target_os = "linux")]
#[test]
fn a_cancelled_call_ends_its_process_and_no_other() {
    let dir = shop();
    let mut session = Session::start(dir.path(), &[]);
    let endless = session.call("sql_execution", execution(ENDLESS));
    let first = worker(session.id());
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": endless}});
    session.send(&cancel.to_string());
    let begun = Instant::now();
    while children(session.id()).contains(&first) {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "the query of a cancelled call goes on"
        );
        thread::sleep(Duration::from_millis(5));
    }
    let next = session.call("sql_execution", execution("SELECT 1"));
    assert_eq!(session.answer(next)["result"]["isError"], false);
    let log = session.end();
    let outcomes: Vec<&Value> = log
        .iter()
        .filter(|line| line["event"] == "done")
        .map(|line| &line["outcome"])
        .collect();
    assert_eq!(outcomes, ["cancelled", "ok"]);
}

#[test]
fn calls_beyond_their_number_wait_and_come_through() {
    let dir = shop();
    let mut session = Session::start(dir.path(), &["--calls", "1", "--timeout", "2"]);
    let endless = session.call("sql_execution", execution(ENDLESS));
    let next = session.call("sql_execution", execution("SELECT 1"));
    let late = session.answer(endless);
    assert!(text(&late).contains("exceeded 2 s"), "{late}");
    assert_eq!(session.answer(next)["result"]["isError"], false);
    session.end();
}
