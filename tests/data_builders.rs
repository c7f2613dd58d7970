//! Black-box tests of `factory data public`, `data spider`, `data bird` and `data convert`, on look-alikes made here.

mod common;

use common::{fails, ok, text};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn rows(path: &Path) -> Vec<Value> {
    let content = fs::read_to_string(path).unwrap();
    content
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn manifest(set: &Path) -> Value {
    serde_json::from_slice(&fs::read(set.join("manifest.json")).unwrap()).unwrap()
}

/// Questions with their tables, of every bucket, some of no use.
fn public() -> Vec<Value> {
    let herd = "CREATE TABLE herd (name VARCHAR, kind VARCHAR, age INTEGER, barn_id INTEGER)";
    let both = format!("{herd}; CREATE TABLE barn (barn_id INTEGER, place VARCHAR)");
    let row = |context: &str, question: &str, answer: &str| json!({"question": question, "context": context, "answer": answer});
    let mut all = vec![
        row(herd, "Name all animals.", "SELECT name FROM herd"),
        row(
            herd,
            "How many animals are there?",
            "SELECT COUNT(*) FROM herd",
        ),
        row(
            herd,
            "Which animals are old?",
            "SELECT name FROM herd WHERE age > 9;",
        ),
        row(
            herd,
            "Old or a goat?",
            "SELECT name FROM herd WHERE age > 9 UNION SELECT name FROM herd WHERE kind = \"goat\"",
        ),
        row(
            &both,
            "Where does each animal live?",
            "SELECT T1.name, T2.place FROM herd AS T1 JOIN barn AS T2 ON T1.barn_id = T2.barn_id",
        ),
        row(
            herd,
            "How many of each kind?",
            "SELECT kind, COUNT(*) FROM herd GROUP BY kind",
        ),
        row(
            herd,
            "Who is the oldest?",
            "SELECT name FROM herd ORDER BY age DESC LIMIT 1",
        ),
        row(herd, "Whose horns are long?", "SELECT horns FROM herd"),
        row(
            &format!("{herd}; {herd}"),
            "Anything?",
            "SELECT name FROM herd WHERE age = 1",
        ),
        row(herd, "Away with them", "DELETE FROM herd"),
        // As a held-out row, in other words.
        row(herd, "The number of animals", "select count(*)  from herd"),
        row(herd, "name  ALL animals.", "SELECT kind FROM herd"),
    ];
    for age in 0..20 {
        let question = format!("How many animals are {age} years old?");
        all.push(row(
            herd,
            &question,
            &format!("SELECT COUNT(*) FROM herd WHERE age = {age}"),
        ));
        let question = format!("Where do the animals of {age} years live?");
        let join = format!(
            "SELECT T2.place FROM herd AS T1 JOIN barn AS T2 ON T1.barn_id = T2.barn_id WHERE T1.age = {age}"
        );
        all.push(row(&both, &question, &join));
    }
    all
}

#[test]
fn public_rows_are_usable_weighed_and_held_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&dir.path().join(name));
    let all = public();
    fs::write(
        path("rows.json"),
        serde_json::to_string_pretty(&all).unwrap(),
    )
    .unwrap();
    let build = |data: &str, out: &str, more: &[&str]| {
        let (data, out) = (path(data), path(out));
        let args = [
            "data",
            "public",
            "--data",
            &data,
            "--out",
            &out,
            "--dev",
            "4",
            "--train",
            "30",
            "--train-start",
            "2",
        ];
        ok(&[
            &args[..],
            &[
                "--weight",
                "join=3",
                "--weight",
                "group_having=2",
                "--source",
                "farm-x/animals",
            ],
            more,
        ]
        .concat());
        PathBuf::from(out)
    };
    let set = build("rows.json", "set", &[]);
    let (train, dev, pairs) = (
        rows(&set.join("train.jsonl")),
        rows(&set.join("dev.jsonl")),
        rows(&set.join("preferences.jsonl")),
    );
    let index = |row: &Value| row["source_index"].as_u64().unwrap();
    assert_eq!(dev.iter().map(index).collect::<Vec<_>>(), [0, 1, 2, 4]);
    assert_eq!(dev[1]["id"], "farmx-dev-00001");
    assert_eq!(dev[1]["curriculum"], "aggregate");
    assert_eq!(dev[1]["gold_sql"], "SELECT COUNT(*) FROM herd;");
    assert_eq!(
        dev[1]["prompt"],
        format!(
            "Write one SQLite query that answers the question.\nSchema: {}\nQuestion: How many animals are there?",
            all[1]["context"].as_str().unwrap()
        )
    );
    let ids: Vec<&str> = train
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids[..4],
        [
            "farmx-train-00005-w0",
            "farmx-train-00005-w1",
            "farmx-train-00006-w0",
            "farmx-train-00012-w0"
        ]
    );
    let taken: BTreeSet<u64> = train.iter().map(index).collect();
    assert_eq!(taken.len(), 30);
    assert!(
        [3, 7, 8, 9, 10, 11]
            .iter()
            .all(|useless| !taken.contains(useless))
    );

    let said = manifest(&set);
    assert_eq!(said["train_rows"], train.len());
    assert_eq!(said["train_rows_unweighted"], 30);
    assert_eq!(said["train_curriculum"]["join"], 42);
    assert_eq!(
        said["train_curriculum_unweighted"],
        json!({"aggregate": 14, "group_having": 1, "join": 14, "order_limit": 1})
    );
    assert_eq!(
        said["overlap"],
        json!({"non_overlap_key": "source_index", "source_index": 0, "prompts": 0, "queries": 0, "shapes": 0})
    );
    assert_eq!(
        said["dropped"],
        json!({"are not one SELECT": 1, "ask what another asks": 1, "combine queries": 1, "do not run over their tables": 1,
            "have a held-out query": 1, "have tables that cannot be built": 1})
    );
    // The wrong answers are of many kinds, written as the right ones are.
    assert_eq!(pairs.len(), 30);
    assert!(
        said["failure_types"].as_object().unwrap().len() >= 5,
        "{said}"
    );
    for pair in &pairs {
        let (kind, right, wrong) = (
            &pair["failure_type"],
            pair["chosen"].as_str().unwrap(),
            pair["rejected"].as_str().unwrap(),
        );
        assert!(
            right != wrong && !wrong.contains("select") && !wrong.contains(" from "),
            "{kind}: {wrong}"
        );
        assert!(
            kind == "sql_prose_wrapped" || kind == "sql_no_select" || wrong.starts_with("SELECT "),
            "{kind}: {wrong}"
        );
    }

    // The same bytes whatever the form of the file, others by another seed, and all rows unchecked.
    ok(&[
        "data",
        "convert",
        "--data",
        &path("rows.json"),
        "--out",
        &path("rows.parquet"),
    ]);
    let again = build("rows.parquet", "again", &[]);
    for name in ["train.jsonl", "dev.jsonl", "preferences.jsonl"] {
        assert!(
            fs::read(set.join(name)).unwrap() == fs::read(again.join(name)).unwrap(),
            "{name}"
        );
    }
    let other = build("rows.json", "other", &["--seed", "1"]);
    assert!(
        fs::read(set.join("preferences.jsonl")).unwrap()
            != fs::read(other.join("preferences.jsonl")).unwrap()
    );
    let unchecked = rows(&build("rows.json", "unchecked", &["--unchecked"]).join("train.jsonl"));
    assert!(unchecked.iter().any(|row| index(row) == 7));
}

#[test]
fn public_rows_that_lack_something_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&dir.path().join(name));
    fs::write(path("bare.csv"), "question,answer\nWho?,SELECT 1\n").unwrap();
    fs::write(
        path("few.jsonl"),
        public()
            .iter()
            .map(|row| format!("{row}\n"))
            .collect::<String>(),
    )
    .unwrap();
    let out = path("out");
    let run = |data: &str, more: &[&str], code, parts: &[&str]| {
        let data = path(data);
        fails(
            &[
                &["data", "public", "--data", &data, "--out", &out][..],
                more,
            ]
            .concat(),
            code,
            parts,
        );
    };
    run(
        "bare.csv",
        &[],
        1,
        &["bare.csv:1: field \"context\" is missing"],
    );
    run(
        "few.jsonl",
        &[],
        1,
        &["no usable row for train from index 2000 on, of 52 rows"],
    );
    run(
        "few.jsonl",
        &["--weight", "joins=4"],
        2,
        &["no bucket \"joins\"", "join, group_having"],
    );
    run(
        "few.jsonl",
        &["--weight", "join=0"],
        2,
        &["is not BUCKET=N"],
    );
    run(
        "few.jsonl",
        &["--train", "0", "--dev", "0"],
        2,
        &["nothing is wanted"],
    );
    run(
        "few.jsonl",
        &["--prompt", "{question}"],
        2,
        &["has no {schema} in it"],
    );
    assert!(!Path::new(&out).exists());
}

/// A download that looks as Spider's or BIRD's does.
struct Download(TempDir);

impl Download {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        text(&self.path(name))
    }

    fn json(&self, name: &str, content: &[Value]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, serde_json::to_string_pretty(content).unwrap()).unwrap();
    }

    fn database(&self, folder: &str, name: &str) {
        let folder = self.path(folder).join(name);
        fs::create_dir_all(&folder).unwrap();
        let database = Connection::open(folder.join(format!("{name}.sqlite"))).unwrap();
        let script = "CREATE TABLE ship (id INTEGER PRIMARY KEY, name TEXT, `gross tons` INTEGER);
            CREATE TABLE crew (id INTEGER PRIMARY KEY, ship_id INTEGER REFERENCES ship(id), name TEXT);
            INSERT INTO ship VALUES (1, 'Ada', 900), (2, 'Bo', 40); INSERT INTO crew VALUES (1, 1, 'Cy'), (2, 1, 'Di');";
        database.execute_batch(script).unwrap();
    }
}

fn tables(name: &str) -> Value {
    json!({"db_id": name, "table_names": ["ship", "crew"], "table_names_original": ["ship", "crew"],
        "column_names_original": [[-1, "*"], [0, "id"], [0, "name"], [0, "gross tons"], [1, "id"], [1, "ship_id"], [1, "name"]],
        "foreign_keys": [[5, 1]], "primary_keys": [1, 4]})
}

const SCHEMA: &str = "ship(id, name, \"gross tons\"); crew(id, ship_id, name)";

#[test]
fn spider_becomes_rows_and_a_gate_that_scores_them() {
    let files = Download::new();
    let row = |db: &str, question: &str, query: &str| json!({"db_id": db, "question": question, "query": query, "sql": {"select": [false, []]}});
    files.json("spider_data/train_spider.json", &[
        row("docks", "How many ships are there?", "SELECT count(*) FROM ship"),
        row("docks", "Who sails the Ada?", "SELECT T2.name FROM ship AS T1 JOIN crew AS T2 ON T1.id = T2.ship_id WHERE T1.name = 'Ada'"),
        row("docks", "Which flags?", "SELECT flag FROM ship"),
        row("fleet", "how many ships  are there?", "SELECT count(id) FROM ship"),
    ]);
    files.json(
        "spider_data/dev.json",
        &[
            row(
                "fleet",
                "How many ships are there?",
                "SELECT count(*) FROM ship",
            ),
            row(
                "fleet",
                "Ships or crew?",
                "SELECT name FROM ship UNION SELECT name FROM crew ; ",
            ),
        ],
    );
    files.json(
        "spider_data/tables.json",
        &[tables("docks"), tables("fleet")],
    );
    let (from, out) = (files.text(""), files.text("set"));
    let args = ["data", "spider", "--from", &from, "--out", &out];
    fails(
        &args,
        1,
        &[
            "spider_data has no database (they are in spider_data.zip of https://yale-lily.github.io/spider)",
            "--dev 0",
        ],
    );
    files.database("spider_data/database", "fleet");
    fails(
        &args,
        1,
        &["1 of 2 databases are missing: docks/docks.sqlite"],
    );
    assert!(!files.path("set").exists());
    files.database("spider_data/database", "docks");
    ok(&args);

    let set = files.path("set");
    let (train, dev, said) = (
        rows(&set.join("train.jsonl")),
        rows(&set.join("dev.jsonl")),
        manifest(&set),
    );
    assert_eq!(train.len(), 2);
    assert_eq!(
        train[1],
        json!({"id": "spider-train-00001", "source": "spider", "domain": "docks", "curriculum": "join",
            "instruction": format!("Write one SQLite query that answers the question.\nSchema: {SCHEMA}\nQuestion: Who sails the Ada?"),
            "response": "SELECT T2.name FROM ship AS T1 JOIN crew AS T2 ON T1.id = T2.ship_id WHERE T1.name = 'Ada';"})
    );
    assert_eq!(
        (&dev[1]["gold_sql"], &dev[1]["curriculum"]),
        (
            &json!("SELECT name FROM ship UNION SELECT name FROM crew;"),
            &json!("set_operation")
        )
    );
    assert_eq!(
        said["overlap"],
        json!({"databases": 0, "prompts": 0, "queries": 0})
    );
    assert_eq!(
        said["left_out"],
        json!([{"id": "spider-train-00002", "why": "no such column: flag"}])
    );
    assert_eq!(
        said["dropped"],
        json!({"have a query that does not run": 1, "ask or answer what a held-out row does": 1})
    );
    assert!(said["sha256"]["spider_data/dev.json"].is_string());

    // The rows are scored, and the gate reads its databases from where it lies.
    let right: String = dev
        .iter()
        .map(|row| {
            let mut row = row.clone();
            row["predicted_sql"] = row["gold_sql"].clone();
            format!("{row}\n")
        })
        .collect();
    fs::write(files.path("right.jsonl"), right).unwrap();
    let (right, databases) = (
        files.text("right.jsonl"),
        files.text("spider_data/database"),
    );
    let rows_out = text(&set.join("rows.jsonl"));
    let score = [
        "eval-sql",
        &right,
        "--db-dir",
        &databases,
        "--mode",
        "spider-ts",
        "--out",
        &rows_out,
    ];
    let scored = ok(&score);
    assert!(scored.contains("execution_accuracy=1.000"), "{scored}");
    let verdict = ok(&["gate", "--gates", &text(&set.join("gates.toml"))]);
    assert!(verdict.contains("spider-dev"), "{verdict}");
    let gates = factory::eval::gates::inputs(&set.join("gates.toml")).unwrap();
    let real: BTreeSet<_> = gates
        .iter()
        .map(|path| path.canonicalize().unwrap())
        .collect();
    let expected = [set.join("dev.jsonl"), files.path("spider_data/database")]
        .map(|path| path.canonicalize().unwrap());
    assert_eq!(real, BTreeSet::from(expected));
    assert!(
        fs::read_to_string(set.join("gates.toml"))
            .unwrap()
            .contains("mode = \"spider-ts\"\nmetric = \"execution_accuracy\"\nmin = 0.5\n")
    );

    let before = fs::read(set.join("train.jsonl")).unwrap();
    ok(&args);
    assert_eq!(fs::read(set.join("train.jsonl")).unwrap(), before);
    ok(&[
        "data",
        "spider",
        "--from",
        &from,
        "--out",
        &files.text("one"),
        "--train",
        "0",
        "--dev",
        "1",
        "--seed",
        "3",
    ]);
    assert_eq!(rows(&files.path("one/dev.jsonl")).len(), 1);
    assert!(!files.path("one/train.jsonl").exists());
}

#[test]
fn bird_keeps_what_one_must_know() {
    let files = Download::new();
    let dev = [
        json!({"question_id": 0, "db_id": "fleet", "question": "How many are large?", "evidence": "large means gross tons > 100",
            "SQL": "SELECT COUNT(*) FROM ship WHERE `gross tons` > 100", "difficulty": "moderate"}),
        json!({"question_id": 1, "db_id": "fleet", "question": "All ships?", "evidence": "", "SQL": "SELECT name FROM ship", "difficulty": "simple"}),
    ];
    files.json("dev_20240627/dev.json", &dev);
    files.json("dev_20240627/dev_tables.json", &[tables("fleet")]);
    files.database("dev_20240627/dev_databases/dev_databases", "fleet");
    let (from, out) = (files.text(""), files.text("set"));
    let args = ["data", "bird", "--from", &from, "--out", &out];
    fails(
        &args,
        1,
        &[
            "no train.json, no train_tables.json, no train_databases (they are in train.zip and dev.zip of https://bird-bench.github.io",
            "--train 0",
        ],
    );
    ok(&[&args[..], &["--train", "0", "--min", "0.25"]].concat());
    let set = files.path("set");
    let rows = rows(&set.join("dev.jsonl"));
    assert_eq!(
        rows[0],
        json!({"id": "bird-dev-00000", "source": "bird", "domain": "fleet", "curriculum": "aggregate", "slice": "moderate",
            "question": "How many are large?", "evidence": "large means gross tons > 100",
            "prompt": format!("Write one SQLite query that answers the question.\nSchema: {SCHEMA}\nEvidence: large means gross tons > 100\nQuestion: How many are large?"),
            "gold_sql": "SELECT COUNT(*) FROM ship WHERE `gross tons` > 100;", "db": "fleet"})
    );
    assert!(!rows[1]["prompt"].as_str().unwrap().contains("Evidence"));
    let gates = fs::read_to_string(set.join("gates.toml")).unwrap();
    assert!(
        gates.contains("mode = \"bird-ex\"")
            && gates.contains("min = 0.25")
            && gates.contains("db_dir = \"../dev_20240627/dev_databases/dev_databases\""),
        "{gates}"
    );

    fails(
        &[&args[..], &["--prompt", "{schema} {question}"]].concat(),
        2,
        &["has no {evidence} in it"],
    );
    let bad = [
        json!({"db_id": "fleet", "question": "Q?"}),
        json!({"question": "Q?", "SQL": "SELECT 1"}),
    ];
    files.json("dev_20240627/dev.json", &bad);
    fails(
        &[&args[..], &["--train", "0"]].concat(),
        1,
        &[
            "2 rows are wrong",
            "dev.json:1: field \"SQL\" is missing",
            "dev.json:2: field \"db_id\" is missing",
        ],
    );
    files.json("dev_20240627/dev.json", &dev);
    files.json("dev_20240627/dev_tables.json", &[tables("other")]);
    fails(
        &[&args[..], &["--train", "0"]].concat(),
        1,
        &["dev_tables.json has no entry for database \"fleet\""],
    );
    // What was written before is still there.
    assert!(set.join("manifest.json").exists());
}

#[test]
fn convert_says_what_to_do_and_writes_nothing_then() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&dir.path().join(name));
    fs::write(
        path("in.json"),
        "[{\"instruction\": \"Count.\", \"input\": \"a b\", \"output\": \"2\", \"n\": 1}]",
    )
    .unwrap();
    let data = path("in.json");
    let call = |more: &[&str], code: i32, parts: &[&str]| {
        fails(
            &[&["data", "convert", "--data", &data][..], more].concat(),
            code,
            parts,
        );
    };
    let csv = path("out.csv");
    call(
        &["--to", "rows", "--out", &csv],
        1,
        &[
            "field \"n\" is a number, and CSV has text alone",
            "--drop n",
        ],
    );
    call(
        &["--out", &csv, "--field", "prompt=instruction"],
        2,
        &["give --to as well"],
    );
    call(&["--out", &path("in.json")], 2, &["named twice"]);
    assert!(!Path::new(&csv).exists());
    ok(&[
        "data", "convert", "--data", &data, "--to", "rows", "--drop", "n", "--out", &csv,
    ]);
    assert_eq!(
        fs::read_to_string(&csv).unwrap(),
        "instruction,input,response\nCount.,a b,2\n"
    );
}
