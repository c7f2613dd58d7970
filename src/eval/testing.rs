//! Rows scored in this process, for the tests of what is made of them.

use super::example::Example;
use super::modes;
use super::score::ScoredRow;
use super::session::{Desk, Options, Rules};
use super::shown::most_bytes;
use super::standard::Standard;
use super::worker::{Job, Reply, Task, answer};
use crate::db::home::Home;
use crate::db::sqlite::Now;
use crate::sql::extract::Extraction;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// A row of `fields` (line 4, place 3) scored on database `x.db` of this schema by the modes of those names.
pub fn scored(schema: &str, fields: Value, names: &[&str]) -> (Example, ScoredRow) {
    let example = Example {
        index: 3,
        line: 4,
        standard: Standard::of(fields.as_object().unwrap()).unwrap(),
        fields: fields.as_object().unwrap().clone(),
    };
    let reply = reply(schema, &example, names, Task::Score);
    let Reply::Scores(scores) = reply else {
        panic!("{reply:?}");
    };
    let row = ScoredRow::new(
        &example,
        scores,
        Extraction::default(),
        Duration::from_millis(7),
    );
    (example, row)
}

/// A row scored elsewhere that passes mode factory's first metric, or fails it.
pub fn row(id: &str, passed: bool) -> ScoredRow {
    let failure = (!passed).then_some("sql_wrong_result");
    serde_json::from_value(json!({
        "index": 0, "id": id, "db": null, "question": null, "predicted_sql": "", "scored_sql": "", "gold_sql": "g",
        "exec_match": passed, "predicted_error": null, "gold_error": null, "predicted_rows": null, "gold_rows": null,
        "failure_type": failure, "elapsed_ms": 0,
    }))
    .unwrap()
}

/// What a worker answers.
pub fn reply(schema: &str, example: &Example, names: &[&str], task: Task) -> Reply {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.sql"), schema).unwrap();
    let modes: Vec<_> = names
        .iter()
        .map(|name| modes::named(name).unwrap())
        .collect();
    let mut desk = desk(folder.path(), Duration::from_secs(5));
    answer(&Job::of(example, task), &modes, &mut desk)
}

/// What a worker has at hand, with the defaults but for the deadline.
pub fn desk(folder: &Path, timeout: Duration) -> Desk {
    let options = Options {
        timeout,
        keep_distinct: false,
        suites: false,
        rules: Rules::default(),
        now: Now::current(),
        shown: most_bytes(1),
        gold_dir: None,
        repeats: 3,
    };
    let home = Home::Folder(folder.to_owned());
    Desk::new(home, options, Box::new(drop))
}
