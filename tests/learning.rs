//! What commands that learn from samples are made of: rows drawn token for token, and the verdict on each reply.

mod common;
#[path = "common/scoring.rs"]
mod scoring;

use common::{base, text};
use factory::adapters::config::AdapterConfig;
use factory::adapters::lora::Adapter;
use factory::answering::policy::Policy;
use factory::data::record::Columns;
use factory::db::sqlite::Now;
use factory::eval::judged::Judged;
use factory::generation::sampler::SamplerConfig;
use factory::generation::sequence::Finish;
use factory::generation::stop::StopConfig;
use factory::learning::draw::{self, Sample, draw};
use factory::learning::rows::Rows;
use factory::learning::verdicts::Scorer;
use factory::model::load::Base;
use factory::run::observer::Observer;
use scoring::{ENDLESS, STUCK, databases};
use std::cell::Cell;
use std::fmt::Arguments;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Hears nothing, and stops the work when it was asked so often.
struct Patient(Cell<usize>);

impl Observer for Patient {
    fn note(&self, _: Arguments) {}

    fn stops(&self) -> bool {
        self.0.set(self.0.get().saturating_sub(1));
        self.0.get() == 0
    }
}

fn patient() -> Patient {
    Patient(Cell::new(usize::MAX))
}

fn prompts(base: &Base) -> Vec<Vec<u32>> {
    let asked = (0..5).map(|i| format!("how many boats have {i} oars\n"));
    asked
        .map(|text| base.tokenizer.encode(&text).unwrap())
        .collect()
}

fn warm(samples: usize) -> SamplerConfig {
    SamplerConfig {
        temperature: 1.0,
        samples,
        seed: 7,
        logprobs: Some(0),
        ..SamplerConfig::default()
    }
}

fn drawn(base: &Base, sampler: SamplerConfig, which: &[usize]) -> Vec<Vec<Sample>> {
    let adapter = Adapter::init(AdapterConfig::default(), &base.decoder, 1).unwrap();
    let policy = Policy::new(base, &adapter, None).unwrap();
    let stop = StopConfig {
        max_tokens: 60,
        stop: Vec::new(),
    };
    draw(
        &policy.engine(sampler, stop),
        &prompts(base),
        which,
        &patient(),
    )
    .unwrap()
}

#[test]
fn samples_are_told_token_for_token() {
    let base = base("tiny-llama");
    let all = drawn(&base, warm(6), &[0, 1, 2, 3, 4]);
    assert_eq!(all.len(), 5);
    let (mut ended, mut cut) = (0, 0);
    for sample in all.iter().flatten() {
        assert_eq!(sample.tokens.len(), sample.logprobs.len());
        assert!(sample.logprobs.iter().all(|p| *p < 0.0), "{sample:?}");
        let is_end = |id: &u32| base.tokenizer.is_eos(*id);
        let ends = sample.tokens.iter().filter(|id| is_end(id)).count();
        let said = match sample.finish {
            Finish::Stop => {
                ended += 1;
                assert!(is_end(sample.tokens.last().unwrap()) && ends == 1);
                &sample.tokens[..sample.tokens.len() - 1]
            }
            Finish::Length => {
                cut += 1;
                assert_eq!((sample.tokens.len(), ends), (60, 0));
                &sample.tokens[..]
            }
            other => panic!("{other:?}"),
        };
        let shown = base.tokenizer.decode(said).unwrap();
        assert!(shown.starts_with(sample.text.as_deref().unwrap()));
    }
    assert!(ended > 0 && cut > 0, "{ended} {cut}");
}

#[test]
fn what_is_drawn_for_a_row_depends_on_its_place_and_the_seed_alone() {
    let base = base("tiny-llama");
    let tokens = |all: Vec<Vec<Sample>>| -> Vec<Vec<Vec<u32>>> {
        let row = |row: Vec<Sample>| row.into_iter().map(|sample| sample.tokens).collect();
        all.into_iter().map(row).collect()
    };
    let all = tokens(drawn(&base, warm(3), &[0, 1, 2, 3, 4]));
    assert_eq!(
        tokens(drawn(&base, warm(3), &[4, 1])),
        [all[4].clone(), all[1].clone()]
    );
    let turn = |turn| SamplerConfig {
        seed: draw::seed(7, turn),
        ..warm(3)
    };
    assert_eq!(tokens(drawn(&base, turn(0), &[2]))[0], all[2]);
    assert_ne!(tokens(drawn(&base, turn(1), &[2]))[0], all[2]);
    // The greedy one stands first where it is wanted, and moves no other.
    let greedy = SamplerConfig {
        greedy_first: true,
        ..warm(3)
    };
    let greedy = tokens(drawn(&base, greedy, &[3]));
    assert_eq!(greedy[0][1..], all[3][1..]);
    assert_ne!(greedy[0][0], all[3][0]);
}

#[test]
fn drawing_ends_when_it_is_told_to() {
    let base = base("tiny-llama");
    let adapter = Adapter::init(AdapterConfig::default(), &base.decoder, 1).unwrap();
    let policy = Policy::new(&base, &adapter, None).unwrap();
    let engine = policy.engine(warm(2), StopConfig::default());
    let observer = Patient(Cell::new(20));
    let error = draw(&engine, &prompts(&base), &[0, 1], &observer).unwrap_err();
    assert_eq!(error.to_string(), "interrupted");
}

const BOATS: &str = "CREATE TABLE boats (name TEXT, oars INTEGER); INSERT INTO boats VALUES ('Ann', 2), ('Bo', 4), ('Cy', 4);";

/// Databases, and rows: one with its reference, one whose answer is it, one whose answer has it.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("boats.sql"), BOATS).unwrap();
    let rows = [
        r#"{"id": 1, "prompt": "Four oars?", "gold_sql": "SELECT name FROM boats WHERE oars = 4", "db": "boats"}"#,
        r#"{"instruction": "How many?", "response": "select count(*) from boats;", "db_id": "boats"}"#,
        r#"{"prompt": [{"role": "user", "content": "Oars?"}], "completion": [{"role": "assistant", "content": "SELECT oars FROM boats"}], "db": "boats"}"#,
        r#"{"messages": [{"role": "user", "content": "Names?"}, {"role": "assistant", "content": "Sure: ```sql\nSELECT name FROM boats\n```"}], "db": "boats"}"#,
    ];
    fs::write(dir.path().join("rows.jsonl"), rows.join("\n")).unwrap();
    dir
}

fn open(dir: &Path, keep_going: bool) -> anyhow::Result<(Rows, Scorer)> {
    let mut rows = Rows::read(&dir.join("rows.jsonl"), &Columns::default(), None)?;
    let now = Now::current();
    let scorer = Scorer::open(&mut rows, &databases(dir), now, keep_going, &patient())?;
    Ok((rows, scorer))
}

#[test]
fn every_reply_gets_its_verdict_and_what_it_returned() {
    let dir = folder();
    let (rows, mut scorer) = open(dir.path(), false).unwrap();
    assert_eq!(rows.rows.len(), 4);
    assert_eq!(
        rows.rows[1].example.text("gold_sql"),
        Some("select count(*) from boats;")
    );
    let four = "SELECT name FROM boats WHERE oars = 4";
    let replies = [
        (0, Some(four)),
        (0, Some("select name\nfrom BOATS where oars=4 -- all\n;")),
        (
            0,
            Some("SELECT name FROM boats WHERE oars > 2 ORDER BY 1 DESC"),
        ),
        (0, Some("SELECT oars FROM boats")),
        (0, Some("SELECT name, oars FROM boats WHERE oars = 4")),
        (0, Some("SELECT name FROM boats WHERE oars = 9")),
        (0, Some("SELECT nope FROM boats")),
        (0, Some("DROP TABLE boats")),
        (0, Some("I do not know.")),
        (0, Some(ENDLESS)),
        (0, Some(STUCK)),
        (0, None),
        (1, Some("SELECT 3")),
        (1, Some(four)),
        (2, Some("SELECT oars FROM boats ORDER BY name")),
        (3, Some("SELECT name FROM boats ORDER BY name")),
    ];
    let found = scorer.verdicts(&replies, &patient()).unwrap();
    let passed: Vec<usize> = (0..found.len()).filter(|at| found[*at].passed()).collect();
    assert_eq!(passed, [0, 1, 2, 12, 14, 15]);
    // Written otherwise it is the same query, and rows in another order are the same result.
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0].returned, found[2].returned);
    assert_eq!(found[0].returned, found[13].returned);
    assert!(found[3].returned != found[0].returned);
    let columns: Vec<usize> = (0..found.len()).filter(|at| found[*at].columns).collect();
    assert_eq!(columns, [0, 1, 2, 3, 12, 13, 14, 15]);
    assert_eq!(found[5].returned.as_ref().unwrap().rows, 0);
    for (at, kind, error) in [
        (3, "sql_wrong", None),
        (6, "sql_", Some("no such column: nope")),
        (7, "sql_refused", Some("DROP TABLE")),
        (8, "sql_no_select", None),
        (9, "sql_timeout", Some("timed out after 300 ms")),
        (10, "sql_timeout", Some("timed out after 300 ms")),
        (11, "sql_no_answer", None),
    ] {
        let failure = found[at].failure.as_deref().unwrap();
        assert!(failure.starts_with(kind), "{failure}");
        let said = found[at].error.as_deref();
        assert_eq!(said.is_some(), error.is_some(), "{said:?}");
        assert!(said.unwrap_or_default().contains(error.unwrap_or_default()));
    }
    assert_eq!(found[11], Judged::no_answer());
    let after = fs::read_to_string(dir.path().join("boats.sql")).unwrap();
    assert_eq!(after, BOATS);
}

#[test]
fn what_cannot_be_scored_is_named_or_left_out() {
    let dir = folder();
    let path = dir.path().join("rows.jsonl");
    let good = fs::read_to_string(&path).unwrap();
    let refused = |row: &str, keep_going| {
        fs::write(&path, format!("{good}\n{row}\n")).unwrap();
        let opened = open(dir.path(), keep_going);
        let error = format!("{:#}", opened.err().unwrap());
        assert!(error.contains(&text(&path)), "{error}");
        error
    };
    let none = refused(r#"{"prompt": "x", "db": "boats"}"#, true);
    assert!(none.contains(":5: no reference"), "{none}");
    let none = refused(r#"{"prompt": "x", "gold_sql": "SELECT 1"}"#, true);
    assert!(none.contains("field \"db\" is missing"), "{none}");
    let fails =
        r#"{"id": "bad", "prompt": "x", "gold_sql": "SELECT nope FROM boats", "db": "boats"}"#;
    let named = refused(fails, false);
    for part in ["row bad", "no such column: nope", "--keep-going"] {
        assert!(named.contains(part), "{named}");
    }
    let (rows, mut scorer) = open(dir.path(), true).unwrap();
    assert_eq!(rows.rows.len(), 4);
    let verdict = scorer.verdicts(&[(3, Some("SELECT name FROM boats"))], &patient());
    assert!(verdict.unwrap()[0].passed());
}
