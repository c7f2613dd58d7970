//! What answers are worth that match by a trick: no more than what they are.

use factory::data::jsonl::to_bytes;
use factory::data::record::Columns;
use factory::db::home::Home;
use factory::db::sqlite::Now;
use factory::eval::databases::Databases;
use factory::eval::session::Rules;
use factory::generation::sequence::Finish;
use factory::learning::draw::Sample;
use factory::learning::rewards::{Config, Rewards};
use factory::learning::rollouts::drawn;
use factory::learning::rows::Rows;
use factory::learning::verdicts::Scorer;
use factory::run::observer::Observer;
use serde_json::json;
use std::fmt::Arguments;
use std::fs;
use std::time::Duration;

struct Silent;

impl Observer for Silent {
    fn note(&self, _: Arguments) {}
}

const DB: &str = "CREATE TABLE bees (id INTEGER, name TEXT, age INTEGER);
INSERT INTO bees VALUES (1, 'Ann', 2), (2, 'Bea', 3), (3, 'Cy', 9);";
const GOLDS: [&str; 3] = [
    "select count(*) from bees",
    "select name from bees where age < 5",
    "select name from bees where age > 100",
];

/// A row's number, a reply to it, and the most that it is worth.
const REPLIES: [(usize, &str, f64); 19] = [
    (0, "select count(*) from bees", 1.0),
    (0, "select COUNT( * )  from bees -- all of them", 1.0),
    (0, "```sql\nselect sum(1) from bees;\n```", 1.0),
    (0, "select 3", 0.1),
    (0, "select 1 + 2 /* from bees */", 0.1),
    (0, "select 4", 0.1),
    (0, "select count(*), 1 from bees", 0.0),
    (
        0,
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
        0.0,
    ),
    (0, "delete from bees", 0.0),
    (0, "three", 0.0),
    (1, "select name from bees where age < 5", 1.0),
    (1, "select name from bees where name in ('Ann', 'Bea')", 1.0),
    (1, "select 'Ann' union all select 'Bea'", 0.1),
    (
        1,
        "select name from bees where age < 5 union all select name from bees where age < 5",
        0.1,
    ),
    (1, "select name from bees limit 1", 0.1),
    (1, "select * from bees where age < 5", 0.0),
    (2, "select name from bees where age > 100", 0.0),
    (2, "select name from bees where 1 = 0", 0.0),
    (2, "select name from bees limit 0", 0.0),
];

#[test]
fn no_trick_is_worth_more_than_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("bees.sql"), DB).unwrap();
    let rows = GOLDS.map(|gold| json!({"prompt": "q", "db": "bees", "gold_sql": gold}));
    fs::write(at("rows.jsonl"), to_bytes(&rows).unwrap()).unwrap();
    let mut rows = Rows::read(&at("rows.jsonl"), &Columns::default(), None).unwrap();
    let worker = [env!("CARGO_BIN_EXE_factory"), "sql-worker"]
        .map(Into::into)
        .to_vec();
    let home = Home::Folder(dir.path().to_owned());
    let databases = Databases::new(home, worker, Duration::from_millis(300), Rules::default());
    let mut scorer = Scorer::open(&mut rows, &databases, Now::current(), false, &Silent).unwrap();
    let mut rewards = Rewards::open(&Config::default()).unwrap();
    for row in 0..GOLDS.len() {
        let own: Vec<_> = REPLIES.iter().filter(|(of, ..)| *of == row).collect();
        let sample = |reply: &str| Sample {
            text: Some(reply.to_owned()),
            finish: Finish::Stop,
            tokens: Vec::new(),
            logprobs: Vec::new(),
        };
        let samples = own.iter().map(|(_, reply, _)| (row, sample(reply)));
        let drawn = drawn(&mut scorer, samples.collect(), &Silent).unwrap();
        let found = rewards.of(&rows.rows[row], &drawn, &[]).unwrap();
        for ((_, reply, due), reward) in own.iter().zip(found) {
            let reward = reward.unwrap();
            assert!(
                (reward - due).abs() < 1e-12,
                "{reply:?}: {reward}, due is {due}"
            );
        }
        // Comments, spaces and letters make no other query.
        if row == 0 {
            assert_eq!(drawn[0].query, drawn[1].query);
        }
    }
}
