//! `--select`: the answer of a row is chosen among its samples by what their queries return.

mod common;
#[path = "common/scoring.rs"]
mod scoring;

use common::{fails, ok, text, tiny};
use factory::answering::choice::{By, Config, Select};
use factory::answering::rows::Row;
use factory::eval::returned::{Asked, NO_QUERY, returned};
use factory::generation::sequence::Finish;
use factory::run::observer::Observer;
use scoring::{ENDLESS, STUCK, databases, read_rows};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Arguments;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use tempfile::TempDir;

const BOATS: &str = "CREATE TABLE boats (name TEXT, oars INTEGER); INSERT INTO boats VALUES ('Ann', 2), ('Bo', 4), ('Cy', 4);";

/// Hears everything and stops nothing.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn note(&self, line: Arguments) {
        self.0.lock().unwrap().push(line.to_string());
    }
}

fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("boats.sql"), BOATS).unwrap();
    dir
}

fn giant() -> String {
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 200000) SELECT x FROM c"
        .to_owned()
}

#[test]
fn what_a_reply_returns_is_told_in_little_and_hostile_ones_stop_nobody() {
    let dir = folder();
    let giant = giant();
    let replies = [
        "SELECT name FROM boats WHERE oars = 4",
        "Sure! ```sql\nSELECT name FROM boats WHERE oars > 2 ORDER BY name DESC;\n```",
        "SELECT name, oars FROM boats WHERE oars = 4",
        "SELECT name FROM boats WHERE oars = 9",
        "SELECT oars FROM boats WHERE oars = 9",
        "SELECT nope FROM boats",
        "DROP TABLE boats",
        "I do not know.",
        ENDLESS,
        STUCK,
        &giant,
        "SELECT printf('%.*c', 1000000000, 'x')",
        "SELECT name FROM boats WHERE oars = 4",
    ];
    let asked = replies.map(|reply| Asked { db: "boats", reply });
    let mut runs = 0;
    let ran = returned(&databases(dir.path()), &asked, || {
        runs += 1;
        Ok(())
    })
    .unwrap();
    // The one that is there twice ran once.
    assert_eq!(runs, replies.len() - 1);
    let rows = |at: usize| {
        ran[at]
            .as_ref()
            .map(|returned| returned.rows)
            .map_err(|e| e.to_string())
    };
    assert_eq!((rows(0), rows(1), rows(3)), (Ok(2), Ok(2), Ok(0)));
    assert_eq!(ran[0], ran[1]);
    assert_eq!(ran[0], ran[12]);
    assert_eq!(ran[3], ran[4]);
    assert!(ran[2].is_ok() && ran[2] != ran[0]);
    for (at, part) in [
        (5, "no such column: nope"),
        (
            6,
            "refused: the reply has a statement that is no query: DROP TABLE",
        ),
        (7, NO_QUERY),
        (8, "timed out after 300 ms"),
        (9, "timed out after 300 ms"),
        (10, "more than 100000 rows"),
        (11, "string or blob too big"),
    ] {
        let error = rows(at).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    // An error of whoever listens ends the work.
    let stopped = returned(&databases(dir.path()), &asked, || anyhow::bail!("enough"));
    assert_eq!(stopped.unwrap_err().to_string(), "enough");
}

fn row(text: Option<&str>, logprob: f64) -> Row {
    Row {
        text: text.map(str::to_owned),
        finish: Finish::Stop,
        tokens: 1,
        tie: false,
        logprob: Some(logprob),
        freed: false,
    }
}

#[test]
fn hostile_answers_lose_their_vote() {
    let dir = folder();
    let giant = giant();
    let four = "SELECT name FROM boats WHERE oars = 4";
    let also_four = "SELECT name FROM boats WHERE oars >= 4;";
    let rows = [
        // More hostile ones than any other.
        [
            Some(STUCK),
            Some(STUCK),
            Some(ENDLESS),
            Some(four),
            Some(&giant),
            Some(also_four),
        ],
        [
            Some("DELETE FROM boats"),
            None,
            Some("SELECT 1"),
            Some("SELECT 2"),
            Some("?"),
            None,
        ],
        [
            Some(ENDLESS),
            Some("?"),
            None,
            Some(ENDLESS),
            Some("SELECT x"),
            Some("DROP TABLE boats"),
        ],
    ];
    let rows = rows.map(|samples| {
        let each = samples.into_iter().enumerate();
        each.map(|(at, text)| row(text, -0.1 * at as f64))
            .collect::<Vec<_>>()
    });
    let rows: Vec<Vec<&Row>> = rows.iter().map(|row| row.iter().collect()).collect();
    let dbs = ["boats", "boats", "boats"].map(str::to_owned);
    let heard = Heard::default();
    let choose = |select| {
        let config = Config {
            select,
            prefer_rows: false,
            repair: 0,
            databases: Some(databases(dir.path())),
        };
        let chosen = config.choose(&dbs, &rows, &heard).unwrap();
        chosen
            .iter()
            .map(|one| (one.sample, one.by))
            .collect::<Vec<_>>()
    };
    let voted = choose(Select::Vote);
    assert_eq!(voted, [(3, By::Vote), (2, By::Logprob), (0, By::NoneRuns)]);
    let ran = choose(Select::Executable);
    assert_eq!(
        ran,
        [(3, By::Executable), (2, By::Executable), (0, By::NoneRuns)]
    );
    assert_eq!(choose(Select::First), [(0, By::First); 3]);
    assert_eq!(
        *heard.0.lock().unwrap(),
        [
            "answers chosen: 1 by vote; 1 by log-probability, among groups as large; 1 the first, for none runs",
            "answers chosen: 2 the first that runs; 1 the first, for none runs",
        ]
    );
    let after = fs::read_to_string(dir.path().join("boats.sql")).unwrap();
    assert_eq!(after, BOATS);
}

/// An adapter of the tiny model that answers one question in several ways, and rows that ask it.
fn taught() -> TempDir {
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    let answers = ["SELECT 7", "SELECT 7", "SELECT 3+4", "SELECT x", "SELECT 8"];
    let taught = answers.map(|sql| json!({"prompt": "oars", "completion": sql}).to_string() + "\n");
    fs::write(path("train.jsonl"), taught.concat()).unwrap();
    let ask = |id: usize| {
        json!({"id": format!("r{id}"), "prompt": "oars", "gold_sql": "SELECT 7", "db": "boats"})
            .to_string()
            + "\n"
    };
    fs::write(path("rows.jsonl"), (0..12).map(ask).collect::<String>()).unwrap();
    let (base, data, out) = (tiny(), text(&path("train.jsonl")), text(&path("adapter")));
    ok(&[
        "sft", "--base", &base, "--data", &data, "--out", &out, "--device", "cpu", "--steps",
        "150", "--batch", "5", "--lr", "0.02", "--rank", "4",
    ]);
    dir
}

/// What is written of the rows.
fn answered(dir: &Path, more: &[&str]) -> Vec<Value> {
    let path = |name: &str| text(&dir.join(name));
    let (data, out, adapter) = (path("rows.jsonl"), path("out.jsonl"), path("adapter"));
    let fixed = [
        "--data",
        &data,
        "--out",
        &out,
        "--lora",
        &adapter,
        "--device",
        "cpu",
        "--max-tokens",
        "20",
        "--seed",
        "5",
    ];
    ok(&[&["generate"][..], &fixed, more].concat());
    read_rows(out)
}

#[test]
fn samples_vote_and_rows_say_how() {
    let dir = taught();
    let db = text(dir.path());
    let drawn = ["--temperature", "1", "--samples", "6", "--confidence"];
    let choice = ["--db-dir", &db, "--choice-fields", "--select"];
    let of = |select| answered(dir.path(), &[&drawn[..], &choice, &[select]].concat());
    let plain = answered(dir.path(), &drawn);
    let (voted, ran) = (of("vote"), of("executable"));
    let group = |answer: &str| match answer {
        "SELECT 7" | "SELECT 3+4" => Some(7),
        "SELECT 8" => Some(8),
        _ => None,
    };
    let (mut moved, mut failed) = (0, 0);
    for ((plain, voted), ran) in plain.iter().zip(&voted).zip(&ran) {
        // The same samples, whoever chooses.
        assert_eq!(plain["_samples"], voted["_samples"]);
        assert_eq!(plain["_samples"], ran["_samples"]);
        assert_eq!(plain["predicted_sql"], plain["_samples"][0]["answer"]);
        assert_eq!(plain["_logprob"], plain["_samples"][0]["logprob"]);
        let logprob = plain["_logprob"].as_f64().unwrap();
        assert!((plain["_confidence"].as_f64().unwrap() - logprob.exp()).abs() < 2e-6);
        assert!(plain.get("_votes").is_none() && plain.get("_choice").is_none());

        let samples = plain["_samples"].as_array().unwrap();
        let texts: Vec<&str> = samples
            .iter()
            .map(|s| s["answer"].as_str().unwrap())
            .collect();
        let mut votes: BTreeMap<i32, usize> = BTreeMap::new();
        for result in texts.iter().filter_map(|answer| group(answer)) {
            *votes.entry(result).or_default() += 1;
        }
        failed += texts
            .iter()
            .filter(|answer| group(answer).is_none())
            .count();
        let most = votes.values().max().copied().unwrap_or(0);
        let sample = voted["_choice"]["sample"].as_u64().unwrap() as usize;
        assert_eq!(voted["predicted_sql"], texts[sample]);
        assert_eq!(voted["_logprob"], samples[sample]["logprob"]);
        moved += usize::from(sample > 0);
        if most > 0 {
            let won = group(texts[sample]).unwrap();
            assert_eq!(votes[&won], most, "{voted}");
            assert_eq!(voted["_votes"][0]["votes"], most);
            assert_eq!(voted["_votes"][0]["rows"], 1);
        }
        let share = most as f64 / 6.0;
        assert!(
            (voted["_confidence"].as_f64().unwrap() - share).abs() < 1e-6,
            "{voted}"
        );
        let first = texts.iter().position(|answer| group(answer).is_some());
        assert_eq!(ran["_choice"]["sample"], first.unwrap_or(0));
        assert_eq!(ran["predicted_sql"], texts[first.unwrap_or(0)]);
    }
    assert!(moved > 0 && failed > 0, "{moved} {failed}");
    // A new answer leaves nothing of the former one's.
    fs::copy(dir.path().join("out.jsonl"), dir.path().join("rows.jsonl")).unwrap();
    for row in answered(dir.path(), &[]) {
        for field in ["_logprob", "_confidence", "_votes", "_choice"] {
            assert!(row.get(field).is_none(), "{row}");
        }
    }
    // The greedy answer may be the first of them.
    let greedy = answered(dir.path(), &[]);
    let first = answered(dir.path(), &[&drawn[..], &["--greedy-first"]].concat());
    for ((greedy, first), plain) in greedy.iter().zip(&first).zip(&plain) {
        assert_eq!(first["_samples"][0]["answer"], greedy["predicted_sql"]);
        assert_eq!(first["_samples"][1], plain["_samples"][1]);
    }
}

#[test]
fn rows_whose_answers_are_unsure_stay_without() {
    let dir = taught();
    let (db, sure) = (text(dir.path()), text(&dir.path().join("out.jsonl")));
    let score = |more: &[&str]| ok(&[&["eval-sql", &sure, "--db-dir", &db][..], more].concat());
    let flags = [
        "--temperature",
        "1",
        "--samples",
        "6",
        "--select",
        "vote",
        "--db-dir",
        &db,
    ];
    let rows = answered(
        dir.path(),
        &[&flags[..], &["--abstain-below", "0.6"]].concat(),
    );
    let (mut answers, mut right) = (0, 0);
    for row in &rows {
        let unsure = row["_confidence"].as_f64().unwrap() < 0.6;
        assert_eq!(row["_abstained"], unsure);
        assert_eq!(row["predicted_sql"].is_null(), unsure);
        assert_eq!(row["_withheld"].is_string(), unsure);
        answers += usize::from(!unsure);
        let answer = row["predicted_sql"].as_str().unwrap_or_default();
        right += usize::from(["SELECT 7", "SELECT 3+4"].contains(&answer));
    }
    assert!(0 < answers && answers < rows.len(), "{answers}");
    // Such rows need no --keep-going: nobody forgot them.
    let summary = dir.path().join("summary.json");
    let said = score(&["--samples", "--summary-out", &text(&summary)]);
    let line = |label: &str, n: usize| {
        format!(
            "{label}: execution_accuracy={:.3} exact_match=",
            right as f64 / n as f64
        )
    };
    assert!(said.contains(&line("sql", rows.len())), "{said}");
    assert!(said.contains(&line("sql[answered]", answers)), "{said}");
    let coverage = format!(
        "coverage={:.3} ({} of 12 rows abstained",
        answers as f64 / 12.0,
        12 - answers
    );
    assert!(
        said.contains(&coverage) && !said.contains("kept going"),
        "{said}"
    );
    assert!(said.contains("samples: pass@6="), "{said}");
    let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
    assert_eq!(summary["answered"]["coverage"]["passed"], answers);
    assert_eq!(
        summary["answered"]["modes"]["factory"]["execution_accuracy"]["passed"],
        right
    );
    // Their confidence is that of an answer that they do not give.
    let calibrate = [
        "eval-sql",
        &sure,
        "--db-dir",
        &db,
        "--calibration",
        &text(&dir.path().join("c.json")),
    ];
    fails(
        &calibrate,
        1,
        &["out.jsonl:", "_abstained", "--abstain-below"],
    );
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_answered() {
    let dir = folder();
    let path = |name: &str| text(&dir.path().join(name));
    let (db, rows, base) = (path(""), path("rows.jsonl"), tiny());
    let row = |more: &str| format!("{{\"prompt\": \"oars\"{more}}}\n");
    let out = path("out.jsonl");
    let with = |more: &[&str]| -> Vec<String> {
        let fixed = [
            "--data",
            &rows,
            "--out",
            &out,
            "--base",
            &base,
            "--device",
            "cpu",
            "--temperature",
            "1",
        ];
        let words = [&["generate"][..], &fixed, more].concat();
        words.into_iter().map(str::to_owned).collect()
    };
    let refused = |more: &[&str], code, parts: &[&str]| {
        let words = with(more);
        fails(
            &words.iter().map(String::as_str).collect::<Vec<_>>(),
            code,
            parts,
        );
        assert!(!dir.path().join("out.jsonl").exists());
    };
    fs::write(&rows, row(", \"db\": \"boats\"") + &row("")).unwrap();
    let vote = ["--samples", "2", "--select", "vote"];
    let in_db = [&vote[..], &["--db-dir", &db]].concat();
    refused(&in_db, 1, &["rows.jsonl:2", "names no database"]);
    fs::write(
        &rows,
        row(", \"db_id\": \"boats\"") + &row(", \"db\": \"cars\""),
    )
    .unwrap();
    refused(&in_db, 1, &["rows.jsonl:2", "cars"]);
    refused(&vote, 2, &["--db-dir"]);
    refused(&["--select", "vote", "--db-dir", &db], 2, &["--samples 2"]);
    refused(&["--samples", "2", "--prefer-rows"], 2, &["--prefer-rows"]);
    refused(&["--db-dir", &db], 2, &["--select"]);
    refused(&["--choice-fields"], 2, &["--choice-fields"]);
    refused(&["--abstain-below", "1.5"], 2, &["0 to 1"]);
    refused(
        &["--confidence", "--out-field", "_logprob"],
        2,
        &["--out-field _logprob"],
    );
    refused(
        &["--abstain-below", "0.5", "--out-field", "_withheld"],
        2,
        &["_withheld"],
    );
}
