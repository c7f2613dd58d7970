//! Black-box tests of `factory data check`: what is planted in a set is found, and nothing else.

mod common;
#[path = "common/place.rs"]
mod place;

use common::{factory, fails, ok, text, tiny};
use place::{Place, RECIPE, began, errors};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const FRAME: &str = "Write one SQLite query. Tables: trees(id, kind, height); pickers(id, name, tree_id). Question: ";

/// Words that no language has, each other than the next: a fixed sequence, so that questions are alike by design alone.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    fn word(&mut self) -> String {
        let syllable = |n: u64| {
            let (c, v) = ("bdfgklmnprstvz".as_bytes(), "aeiou".as_bytes());
            let c = c[(n % 14) as usize] as char;
            format!("{c}{}", v[(n / 14 % 5) as usize] as char)
        };
        (0..3).map(|_| syllable(self.next())).collect()
    }

    fn question(&mut self) -> String {
        let words: Vec<String> = (0..6).map(|_| self.word()).collect();
        format!("{FRAME}Which {}?", words.join(" "))
    }

    fn query(&mut self) -> String {
        let (column, table) = (self.word(), self.word());
        format!(
            "select {column} from {table} where id = {}",
            self.next() % 1000
        )
    }
}

fn taught(prompt: &str, query: &str) -> Value {
    json!({"instruction": prompt, "response": query})
}

fn asked(prompt: &str, query: &str) -> Value {
    json!({"prompt": prompt, "gold_sql": query})
}

fn write(path: &Path, rows: &[Value]) {
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(path, text).unwrap();
}

fn of(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap().to_owned()
}

/// What a report found, by kind: the lines of the rows.
fn lines(report: &Value) -> BTreeMap<String, BTreeSet<usize>> {
    let mut lines: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for finding in report["findings"].as_array().unwrap() {
        let place = of(finding, "place");
        let line = place.rsplit(':').next().unwrap().parse().unwrap();
        lines.entry(of(finding, "kind")).or_default().insert(line);
    }
    lines
}

fn report(dir: &TempDir, args: &[&str], code: i32) -> (Value, String) {
    let path = |name: &str| text(&dir.path().join(name));
    let (data, heldout, out) = (path("train.jsonl"), path("dev.jsonl"), path("found.json"));
    let fixed = [
        "data",
        "check",
        "--data",
        &data,
        "--heldout",
        &heldout,
        "--out",
        &out,
    ];
    let output = factory(&[&fixed[..], args].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{error}");
    let report = serde_json::from_slice(&fs::read(out).unwrap()).unwrap();
    (report, said + &error)
}

#[test]
fn what_is_planted_in_ten_thousand_rows_is_found_and_nothing_else() {
    let mut words = Words(7);
    let mut train: Vec<Value> = (0..9_500)
        .map(|_| taught(&words.question(), &words.query()))
        .collect();
    let mut dev: Vec<Value> = (0..500)
        .map(|_| asked(&words.question(), &words.query()))
        .collect();
    let mut expected: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    let mut plant = |kind, at: usize| {
        expected.entry(kind).or_default().insert(at + 1);
    };
    for i in 0..5 {
        let (own, at) = (&train[700 * i], 90 * i);
        let (prompt, query) = (of(own, "instruction"), of(own, "response"));
        // The same but for white space and letter case.
        dev[at] = asked(&prompt.replace("Which ", "which  "), &query);
        plant("exact", at);
        plant("literals", at);
        // A letter more, and without the mark.
        let near = prompt.replace("Which ", "Whiich ").replace('?', "");
        dev[at + 1] = asked(&near, &words.query());
        plant("near", at + 1);
        let number = query.rfind(' ').unwrap();
        let other = format!("SELECT{} 5000;", &query[6..number]);
        dev[at + 2] = asked(&words.question(), &other);
        plant("literals", at + 2);
        let repeated = 6_000 + i;
        let again = format!("{};", query.replace(" = ", "="));
        train[repeated] = taught(&prompt, &again);
        plant("duplicates", repeated);
        let (other, contradicts) = (of(&train[10 + i], "instruction"), 7_000 + i);
        train[contradicts] = taught(&other, &words.query());
        plant("contradictions", contradicts);
    }
    // Held-out rows that contradict one of training are found on both counts.
    dev[499] = asked(&of(&train[20], "instruction"), &words.query());
    plant("exact", 499);
    plant("contradictions", 499);
    train[8_000]["note"] = format!("key AKIA{}", "QWERTYUIOPASDFGH").into();
    plant("secrets", 8_000);
    train[8_001]["by"] = json!({"mail": ["lena@orchard-of-lena.org"]});
    plant("personal", 8_001);
    train[8_002]["card"] = "5500 0055 5555 5559".into();
    plant("personal", 8_002);
    train[8_003] = json!({"instruction": "Nothing?"});
    plant("refused", 8_003);
    train[8_004] = json!({"instruction": "Nothing?", "response": 3});
    plant("refused", 8_004);
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("train.jsonl"), &train);
    write(&dir.path().join("dev.jsonl"), &dev);

    let (found, said) = report(&dir, &[], 3);
    let mut lines = lines(&found);
    // Every query here has one shape.
    assert_eq!(lines.remove("shapes").map(|lines| lines.len()), Some(500));
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v))
        .collect();
    assert_eq!(lines, expected);
    assert_eq!(found["sound"], false);
    assert_eq!(found["files"][0]["refused"], 2);
    // Masked, with their places; no key stands in what is said or written.
    let written = found.to_string();
    for part in ["AWS access key AKIA… (20 characters)", "by.mail[0]"] {
        assert!(
            said.contains(part) && written.contains(part),
            "{part}: {said}"
        );
    }
    for whole in ["QWERTYUIOPASDFGH", "lena@orchard", "5555 5559"] {
        assert!(!said.contains(whole) && !written.contains(whole), "{whole}");
    }
    assert!(
        said.contains("the data is not sound: 2 refused, 6 exact, 5 near, 5 duplicates, 6 contradictions, 1 secrets, 2 personal;"),
        "{said}"
    );
    assert!(said.lines().count() < 80, "{said}");

    // As many as are allowed, and any number.
    let allow = "refused=2,exact=6,near,duplicates,contradictions,secrets,personal";
    let (found, said) = report(&dir, &["--allow", allow], 0);
    assert_eq!(found["sound"], true);
    assert!(said.ends_with("the data is sound\n"), "{said}");
    let (_, said) = report(&dir, &["--allow", allow, "--allow", "literals=9"], 3);
    assert!(
        said.contains("the data is not sound: 10 literals;"),
        "{said}"
    );
}

#[test]
fn conversations_texts_and_databases_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let turn = |role: &str, content: &str| json!({"role": role, "content": content});
    let chat = |system: &str, answer: &str| {
        let turns = [
            turn("system", system),
            turn("user", "How many?"),
            turn("assistant", answer),
        ];
        json!({"messages": turns, "db": "grove.db"})
    };
    write(
        &dir.path().join("train.jsonl"),
        &[
            chat("Tables: a(x)", "select count(*) from a"),
            chat("Tables: b(x)", "select count(*) from b"),
            chat("Tables: b(x)", "There are seven."),
            json!({"text": "A story. Where do the oldest walnut trees stand? At the river."}),
            // The same words of two databases are two questions.
            json!({"prompt": "Oldest?", "completion": "select 1", "db": "grove"}),
            json!({"prompt": "Oldest?", "completion": "select 2", "db": "meadow"}),
        ],
    );
    write(
        &dir.path().join("dev.jsonl"),
        &[
            json!({"prompt": "where do the OLDEST walnut trees stand?", "gold_sql": "select 3", "db": "grove.sqlite"}),
            json!({"messages": [turn("user", "How many?")]}),
            json!({"question": "no prompt"}),
        ],
    );
    let (found, said) = report(&dir, &[], 3);
    let found: Vec<_> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            let text = |field: &str| f[field].as_str().unwrap_or("").to_owned();
            let line = |field: &str| text(field).rsplit(':').next().unwrap().to_owned();
            (text("kind"), line("place"), line("other"), text("detail"))
        })
        .collect();
    let found: Vec<_> = found
        .iter()
        .map(|(k, p, o, d)| (&**k, &**p, &**o, &**d))
        .collect();
    assert_eq!(found.len(), 7, "{found:?}");
    assert!(
        found[0].3.starts_with("field \"prompt\"") && found[0].1 == "3",
        "{said}"
    );
    assert_eq!(
        found[1..],
        [
            ("exact", "1", "4", "within a running text"),
            ("exact", "2", "1", ""),
            ("literals", "1", "5", ""),
            ("shapes", "1", "5", ""),
            (
                "databases",
                "1",
                "1",
                "db grove: 4 training rows, 1 held-out rows"
            ),
            ("contradictions", "3", "2", ""),
        ]
    );
}

#[test]
fn tokens_are_counted_as_training_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&dir.path().join(name));
    let long = "tree ".repeat(30);
    write(
        &dir.path().join("train.jsonl"),
        &[
            taught("How many?", "select 1"),
            taught(&long, "select 2"),
            taught("Which?", &long),
            json!({"prompt": "x", "completion": "y", "tools": [{"name": "f"}]}),
        ],
    );
    let (data, out, picture) = (path("train.jsonl"), path("found.json"), path("lengths.svg"));
    let base = tiny();
    let args = [
        "data",
        "check",
        "--data",
        &data,
        "--base",
        &base,
        "--max-seq",
        "40",
        "--out",
        &out,
        "--lengths-out",
        &picture,
    ];
    let output = factory(&args);
    assert_eq!(output.status.code(), Some(3));
    let found: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    let lines = lines(&found);
    assert_eq!(lines["long"], BTreeSet::from([2, 3]));
    assert_eq!(lines["refused"], BTreeSet::from([4]));
    let details: Vec<_> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| of(f, "detail"))
        .collect();
    let said = details.join("\n");
    for part in [
        "tools: this template has no place for it",
        "truncate-prompt cuts",
        "an answer is never cut",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let tokens = &found["tokens"];
    assert_eq!(
        (&tokens["examples"], &tokens["max_seq"]),
        (&json!(3), &json!(40))
    );
    let share = tokens["labels"].as_f64().unwrap() / tokens["tokens"].as_f64().unwrap();
    assert_eq!(tokens["label_share"].as_f64(), Some(share));
    let picture = fs::read_to_string(&picture).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("--max-seq 40"));

    // What is found refuses is what training refuses, by the same rows.
    let train = [
        "sft",
        "--data",
        &data,
        "--base",
        &base,
        "--max-seq",
        "40",
        "--out",
        "none",
        "--device",
        "cpu",
    ];
    fails(
        &train,
        1,
        &["train.jsonl:2: ", "train.jsonl:3: ", "train.jsonl:4: "],
    );
}

#[test]
fn queries_are_run_where_databases_are_given() {
    let dir = tempfile::tempdir().unwrap();
    let schema = "CREATE TABLE trees(id INTEGER, kind TEXT); INSERT INTO trees VALUES (1, 'oak'), (2, 'elm');";
    fs::write(dir.path().join("grove.sql"), schema).unwrap();
    let row = |query: &str, db: Option<&str>| json!({"prompt": format!("{query}?"), "completion": query, "db": db});
    write(
        &dir.path().join("train.jsonl"),
        &[
            row("select kind from trees order by id", Some("grove")),
            row("select kind from trees limit 1", Some("grove")),
            row("select age from trees", Some("grove")),
            row("select kind from trees where id = 7", Some("grove")),
            row("select 1", None),
        ],
    );
    write(
        &dir.path().join("dev.jsonl"),
        &[json!({"prompt": "Hello there"})],
    );
    let db_dir = text(dir.path());
    let (found, said) = report(&dir, &["--db-dir", &db_dir], 3);
    assert_eq!(lines(&found)["references"], BTreeSet::from([2, 3, 4]));
    for part in [
        "gold_unordered: ",
        "gold_fails: no such column: age",
        "gold_empty: ",
    ] {
        assert!(found.to_string().contains(part), "{part}: {said}");
    }
    assert_eq!(found["audited"], 4);
    assert!(said.contains("1 queries are not run"), "{said}");
    assert!(said.contains("databases are not compared"), "{said}");
}

#[test]
fn mistakes_of_the_call_are_told_and_nothing_is_written() {
    let dir = common::workplace();
    let path = |name: &str| text(&dir.path().join(name));
    let data = path("train.jsonl");
    let refused = |more: &[&str], code, part: &str| {
        let args = [
            "data",
            "check",
            "--data",
            &data,
            "--out",
            &path("found.json"),
        ];
        fails(&[&args[..], more].concat(), code, &[part]);
        assert!(!dir.path().join("found.json").exists());
    };
    refused(&["--allow", "secret"], 2, "did you mean secrets?");
    refused(&["--near", "0.1"], 2, "0.3 to 1");
    refused(&["--max-seq", "9"], 2, "required arguments");
    refused(&["--heldout", "none.jsonl"], 1, "none.jsonl");
    refused(
        &["--field", "prompt=words"],
        1,
        "no row has the column \"words\"",
    );
    fails(
        &["data", "check", "--data", &data, "--out", &data],
        2,
        &["named twice"],
    );
    ok(&["data", "check", "--data", &data]);
}

#[test]
fn a_red_check_keeps_back_what_comes_behind_it() {
    let recipe = RECIPE.replace(
        "[stages.train]\n",
        "[stages.train]\nafter = [\"checked\"]\n",
    ) + "[stages.checked]\ncommand = \"data check\"\ndata = \"train.jsonl\"\nheldout = \"dev.jsonl\"\n";
    let place = Place::new(&recipe);
    let output = place.run(&["--only", "answers"]);
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert_eq!(began(&output), ["checked"]);
    for part in [
        "stage checked failed: exit code 3: the data is not sound: 6 exact;",
        "not run for it: train, answers",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // The report is there to be read; the stage is not done.
    let folder = place.stage("runs", "checked");
    assert!(folder.join("check.json").exists() && !folder.join("stage.json").exists());
    place.write("r.toml", &(recipe + "allow = [\"exact\"]\n"));
    assert_eq!(
        place.ran(&["--only", "answers"]),
        ["answers", "checked", "train"]
    );
    assert_eq!(place.ran(&["--only", "answers"]), [""; 0]);
}
