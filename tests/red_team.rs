//! What answers are worth that match by a trick: no more than what they are.

use factory::data::jsonl::to_bytes;
use factory::data::record::Columns;
use factory::db::home::Home;
use factory::db::sqlite::Now;
use factory::eval::databases::Databases;
use factory::eval::session::Rules;
use factory::generation::sequence::Finish;
use factory::learning::draw::Sample;
use factory::learning::rewards::{Config, Part, Rewards, Verifier};
use factory::learning::rollouts::{Drawn, drawn};
use factory::learning::rows::Rows;
use factory::learning::verdicts::Scorer;
use factory::run::observer::Observer;
use rusqlite::Connection;
use serde_json::json;
use std::fmt::Arguments;
use std::fs;
use std::path::Path;
use std::time::Duration;

struct Silent;

impl Observer for Silent {
    fn note(&self, _: Arguments) {}
}

const DB: &str = "CREATE TABLE bees (id INTEGER, name TEXT, age INTEGER);
INSERT INTO bees VALUES (1, 'Ann', 2), (2, 'Bea', 3), (3, 'Cy', 9);";
/// What the other databases of a suite have beside that.
const OTHERS: [(&str, &str); 2] = [
    (
        "hive/old.sqlite",
        "INSERT INTO bees VALUES (9223372036854775807, 'Di', 120), (7, 'Eve', 3);",
    ),
    ("hive/small.sqlite", "DELETE FROM bees WHERE id > 1;"),
];
/// Databases and references; the last has a suite.
const GOLDS: [(&str, &str); 4] = [
    ("bees", "select count(*) from bees"),
    ("bees", "select name from bees where age < 5"),
    ("bees", "select name from bees where age > 100"),
    ("hive", "select count(*) from bees"),
];

/// A row's number, a reply to it, and the most that it is worth.
const REPLIES: [(usize, &str, f64); 35] = [
    (0, "select count(*) from bees", 1.0),
    (0, "select COUNT( * )  from bees -- all of them", 1.0),
    (0, "```sql\nselect sum(1) from bees;\n```", 1.0),
    (0, "select 3", 0.0),
    (0, "select 1 + 2 /* from bees */", 0.0),
    (0, "select 4", 0.0),
    (0, "select null", 0.0),
    (0, "select 3 from bees limit 1", 0.0),
    (0, "select distinct 3 as n from bees", 0.0),
    (0, "select max(3) from bees", 0.0),
    (0, "select 3 from sqlite_master limit 1", 0.0),
    (0, "with b as (select * from bees) select 3", 0.0),
    (
        0,
        "select count(*) from (select 1 union select 2 union select 3)",
        0.0,
    ),
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
    (1, "select 'Ann' union all select 'Bea'", 0.0),
    (
        1,
        "select 'Ann' from bees union select 'Bea' from bees",
        0.0,
    ),
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
    // All of these return 3 from the row's own database; the first two do so for a reason.
    (3, "select count(*) from bees", 1.0),
    (3, "select count(id) from bees", 1.0),
    (3, "select count(*) from bees where age < 100", 0.1),
    (3, "select count(distinct age) from bees", 0.1),
    (3, "select max(id) from bees", 0.1),
    (3, "select 3 from bees limit 1", 0.0),
    (3, "select sum(id) - 3 from bees", 0.1),
    (3, "select 3", 0.0),
];

/// `bees`, a database, and `hive`, a suite of three.
fn databases(dir: &Path) -> Databases {
    fs::write(dir.join("bees.sql"), DB).unwrap();
    fs::create_dir(dir.join("hive")).unwrap();
    for (name, more) in [("hive/hive.sqlite", "")].into_iter().chain(OTHERS) {
        let file = Connection::open(dir.join(name)).unwrap();
        file.execute_batch(&format!("{DB}{more}")).unwrap();
    }
    let worker = [env!("CARGO_BIN_EXE_factory"), "sql-worker"]
        .map(Into::into)
        .to_vec();
    let home = Home::Folder(dir.to_owned());
    Databases::new(home, worker, Duration::from_millis(300), Rules::default())
}

/// Rows with these references, in a file.
fn rows(dir: &Path, golds: &[(&str, &str)]) -> Rows {
    let rows = golds
        .iter()
        .map(|(db, gold)| json!({"prompt": "q", "db": db, "gold_sql": gold}));
    let path = dir.join("rows.jsonl");
    fs::write(&path, to_bytes(&rows.collect::<Vec<_>>()).unwrap()).unwrap();
    Rows::read(&path, &Columns::default(), None).unwrap()
}

/// What partial credit pays for replies to the second row.
const SOFT: [(&str, f64); 11] = [
    (
        "select name from bees where age < 5 order by name desc",
        1.0,
    ),
    ("select name from bees limit 1", 2.0 / 3.0),
    ("select name, age from bees where age < 5", 2.0 / 3.0),
    ("select age from bees where age < 5", 0.0),
    ("select 'Ann' union all select 'Bea'", 0.0),
    ("select 'Ann'", 0.0),
    ("select 'Ann' from bees where id = 1", 0.0),
    (
        "select name from bees where age < 5 union all select name from bees where age < 5",
        0.5,
    ),
    ("select name from bees where 1 = 0", 0.0),
    ("select nope from bees", 0.0),
    ("Ann and Bea", 0.0),
];

/// Replies to a row, as if they had been drawn, with what became of them.
fn judged<'r>(
    scorer: &mut Scorer,
    row: usize,
    replies: impl Iterator<Item = &'r str>,
) -> Vec<Drawn> {
    let sample = |reply: &str| Sample {
        text: Some(reply.to_owned()),
        finish: Finish::Stop,
        tokens: Vec::new(),
        logprobs: Vec::new(),
    };
    let samples = replies.map(|reply| (row, sample(reply)));
    drawn(scorer, samples.collect(), &Silent).unwrap()
}

/// `found` are the rewards of replies that are worth `due`.
fn check<'r>(due: impl Iterator<Item = (&'r str, f64)>, found: Vec<Option<f64>>) {
    for ((reply, due), reward) in due.zip(found) {
        let reward = reward.unwrap();
        assert!(
            (reward - due).abs() < 1e-12,
            "{reply:?}: {reward}, due is {due}"
        );
    }
}

#[test]
fn no_trick_is_worth_more_than_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let databases = databases(dir.path());
    let mut rows = rows(dir.path(), &GOLDS);
    let mut scorer = Scorer::open(&mut rows, &databases, Now::current(), false, &Silent).unwrap();
    let mut rewards = Rewards::open(&Config::default()).unwrap();
    for row in 0..GOLDS.len() {
        let own = || REPLIES.iter().filter(|(of, ..)| *of == row);
        let drawn = judged(&mut scorer, row, own().map(|(_, reply, _)| *reply));
        let found = rewards.of(&rows.rows[row], &drawn, &[], &Silent).unwrap();
        check(own().map(|(_, reply, due)| (*reply, *due)), found);
        // Comments, spaces and letters make no other query.
        if row == 0 {
            assert_eq!(drawn[0].query, drawn[1].query);
        }
        // What it returned is what the row's own database did, and where it failed is said.
        if row == 3 {
            let judged = &drawn[6].judged;
            assert_eq!(judged.returned, drawn[0].judged.returned);
            let error = judged.error.as_deref().unwrap();
            assert!(
                error.contains("on old.sqlite: ") && error.contains("overflow"),
                "{error}"
            );
        }
    }
    // Partial credit pays for what is half right, and for no trick.
    let config = Config {
        parts: vec![Part::Verified(Verifier::SoftF1, 1.0)],
        ..Config::default()
    };
    let drawn = judged(&mut scorer, 1, SOFT.iter().map(|(reply, _)| *reply));
    let mut rewards = Rewards::open(&config).unwrap();
    let found = rewards.of(&rows.rows[1], &drawn, &[], &Silent).unwrap();
    check(SOFT.into_iter(), found);
}

#[test]
fn a_reference_that_fails_on_a_database_of_its_suite_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let databases = databases(dir.path());
    let golds = [
        ("bees", "select sum(id) from bees"),
        ("hive", "select sum(id) from bees"),
    ];
    let open = |rows: &mut Rows, keep_going| {
        Scorer::open(rows, &databases, Now::current(), keep_going, &Silent)
    };
    let mut rows = rows(dir.path(), &golds);
    let error = format!("{:#}", open(&mut rows, false).err().unwrap());
    for part in [
        "rows.jsonl:2",
        "on old.sqlite: ",
        "overflow",
        "--keep-going",
    ] {
        assert!(error.contains(part), "{error}");
    }
    open(&mut rows, true).unwrap();
    assert_eq!(rows.rows.len(), 1);
}
