//! `factory data synth`, from outside.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use factory::sql::shape::shape;
use serde_json::Value;
use tempfile::TempDir;

fn set() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("evals/sql-expanded")
}

fn synth(spec: &Path, out: &Path, seed: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(["data", "synth", "--seed", seed, "--spec"])
        .arg(spec)
        .arg("--out")
        .arg(out)
        .output()
        .unwrap()
}

fn rows(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap()
}

const WRITTEN: [&str; 4] = [
    "train.jsonl",
    "dev.jsonl",
    "preferences.jsonl",
    "manifest.json",
];

#[test]
fn the_committed_set_is_what_its_spec_makes() {
    let out = TempDir::new().unwrap();
    let output = synth(&set().join("spec.toml"), out.path(), "0");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for name in WRITTEN.iter().chain(&["schemas/clinic.sql"]) {
        let made = fs::read(out.path().join(name)).unwrap();
        assert!(
            made == fs::read(set().join(name)).unwrap(),
            "{name} differs"
        );
    }
    let top: BTreeSet<_> = fs::read_dir(out.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        top.len(),
        WRITTEN.len() + 1,
        "no temporary file stays: {top:?}"
    );
}

#[test]
fn another_seed_makes_other_rows_as_many() {
    let out = TempDir::new().unwrap();
    assert!(
        synth(&set().join("spec.toml"), out.path(), "1")
            .status
            .success()
    );
    for (name, count) in [
        ("train.jsonl", 108),
        ("dev.jsonl", 50),
        ("preferences.jsonl", 108),
    ] {
        let made = rows(&out.path().join(name));
        assert_eq!(made.len(), count, "{name}");
        assert_ne!(made, rows(&set().join(name)), "{name}");
    }
}

#[test]
fn slices_are_what_the_shapes_say_and_the_splits_are_apart() {
    let train = rows(&set().join("train.jsonl"));
    let dev = rows(&set().join("dev.jsonl"));
    let shapes: BTreeSet<_> = train
        .iter()
        .map(|row| shape(text(row, "response")))
        .collect();
    for row in &dev {
        let seen = shapes.contains(&shape(text(row, "gold_sql")));
        let slice = if seen { "seen-shape" } else { "unseen-shape" };
        assert_eq!(text(row, "slice"), slice, "{}", row["id"]);
        assert!(
            train
                .iter()
                .all(|other| other["instruction"] != row["prompt"])
        );
        assert!(
            train
                .iter()
                .all(|other| other["response"] != row["gold_sql"])
        );
    }
    let unseen = dev
        .iter()
        .filter(|row| row["slice"] == "unseen-shape")
        .count();
    assert!((15..=18).contains(&unseen), "{unseen}");
}

#[test]
fn rejected_answers_are_wrong() {
    for row in rows(&set().join("preferences.jsonl")) {
        let (chosen, rejected) = (text(&row, "chosen"), text(&row, "rejected"));
        let db = rusqlite::Connection::open_in_memory().unwrap();
        let schema = format!("schemas/{}.sql", text(&row, "domain"));
        db.execute_batch(&fs::read_to_string(set().join(schema)).unwrap())
            .unwrap();
        let answer = |sql: &str| -> rusqlite::Result<Vec<String>> {
            let mut statement = db.prepare(sql)?;
            let width = statement.column_count();
            let cells = statement.query_map([], |row| {
                (0..width)
                    .map(|at| row.get::<_, rusqlite::types::Value>(at))
                    .collect::<Result<Vec<_>, _>>()
            })?;
            cells.map(|cells| Ok(format!("{:?}", cells?))).collect()
        };
        let right = answer(chosen).unwrap();
        match text(&row, "failure_type") {
            "sql_prose_wrapped" => assert!(rejected.contains(chosen) && rejected != chosen),
            "sql_no_select" | "sql_wrong_schema" => {
                assert!(answer(rejected).is_err(), "{rejected}")
            }
            _ => assert_ne!(answer(rejected).unwrap(), right, "{rejected}"),
        }
    }
}

/// A set of one domain, in which one thing is changed.
fn small(change: impl Fn(&str) -> String) -> (TempDir, Output) {
    let folder = TempDir::new().unwrap();
    let schema = "create table pets(id integer primary key, name text, kind text, age integer);
        insert into pets values (1, 'Rex', 'dog', 3), (2, 'Tom', 'cat', 9), (3, 'Ivy', 'cat', 2),
        (4, 'Ace', 'dog', 7), (5, 'Pip', 'bird', 1), (6, 'Gus', 'dog', 12), (7, 'Fin', 'dog', 5);";
    let templates = r#"
        [[template]]
        id = "kinds"
        ask = ["How many pets are a {kind}?", "Count the pets of kind {kind}."]
        sql = "select count(*) from pets where kind = '{kind}';"
        train = 2
        dev = 1
        slots.kind = "select distinct kind from pets""#;
    let spec = r#"
        prompt = "{schema} {question}"
        counts = { train = 2, dev = 1, preferences = 2, unseen = [0, 1] }
        domain = [{ name = "pets", schema = "pets.sql", file = "pets.toml" }]"#;
    for (name, content) in [
        ("pets.sql", schema),
        ("pets.toml", templates),
        ("spec.toml", spec),
    ] {
        fs::write(folder.path().join(name), change(content)).unwrap();
    }
    let output = synth(
        &folder.path().join("spec.toml"),
        &folder.path().join("out"),
        "0",
    );
    (folder, output)
}

#[test]
fn a_broken_spec_is_one_line_that_says_where() {
    let (_folder, output) = small(str::to_string);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let cases: [(&str, &str, &[&str]); 9] = [
        (
            "count(*) from",
            "count(*) form",
            &["pets.toml: template `kinds`", "near \"pets\""],
        ),
        (
            "where kind =",
            "where kin =",
            &["pets.toml: template `kinds`", "no such column: kin"],
        ),
        ("ask =", "asks =", &["pets.toml:4: unknown field `asks`"]),
        (
            "many pets are a {kind}?",
            "many dogs?",
            &["template `kinds`", "slot `kind` is not used"],
        ),
        (
            "many pets are",
            "many {what} are",
            &["template `kinds`", "`{what}` is not one of its slots"],
        ),
        (
            "train = 2\n",
            "train = 3\n",
            &["spec.toml", "make 3 train rows, `counts.train` says 2"],
        ),
        (
            "unseen = [0, 1]",
            "unseen = [1, 1]",
            &["spec.toml", "0 dev rows have a shape"],
        ),
        (
            "'Ivy', 'cat'",
            "'Ivy', 'dog'",
            &["template `kinds`", "another filling has the same answer"],
        ),
        ("\"pets.sql\"", "\"cats.sql\"", &["cats.sql"]),
    ];
    for (from, to, expected) in cases {
        let (folder, output) = small(|text| text.replace(from, to));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{to}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.starts_with("error: "), "{error}");
        for part in expected {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
        assert!(
            !folder.path().join("out").exists(),
            "nothing is written: {to}"
        );
    }
}

#[test]
fn usage_errors_are_exit_code_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(["data", "synth"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
