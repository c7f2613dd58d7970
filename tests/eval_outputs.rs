//! What `factory eval-sql` makes of failures: labels, summary, slices, clean output, review, choices, comparison; audit, resume.

#[path = "common/scoring.rs"]
mod scoring;

use scoring::{Fixture, error, eval_sql, read_rows, row, stdout, timeless};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

fn factory(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(args)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn json_of(path: &str) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn mixed() -> Fixture {
    let with = |mut row: Value, domain: &str, curriculum: Option<&str>| {
        row["domain"] = domain.into();
        row["question"] = "Which name?".into();
        row["curriculum"] = curriculum.into();
        row
    };
    let gold = "SELECT name FROM items WHERE id = 1";
    Fixture::rows(&[
        with(row(gold, gold), "shop", Some("easy")),
        with(
            row("The answer: SELECT name FROM items;", gold),
            "shop",
            Some("hard"),
        ),
        with(
            row("SELECT title FROM items; SELECT 1", gold),
            "stock",
            None,
        ),
        with(
            row("SELECT count(*) FROM items", "SELECT count(*) FROM items"),
            "stock",
            None,
        ),
    ])
}

#[test]
fn failures_become_labels_a_summary_slices_classes_and_a_page() {
    let fixture = mixed();
    let names = [
        "labels.jsonl",
        "summary.json",
        "slices.json",
        "clean.jsonl",
        "review.md",
    ];
    let [labels, summary, slices, clean, review] = names.map(|name| fixture.path(name));
    let flags = [
        &fixture.preds()[..],
        "--labels-out",
        &labels,
        "--summary-out",
        &summary,
        "--slices-out",
        &slices,
        "--clean-out",
        &clean,
        "--review-out",
        &review,
        "--now",
        "2026-01-02T03:04:05Z",
    ];
    let text = stdout(&flags);
    assert!(
        text.contains(&format!("wrote {clean} (clean_output_rate=0.500)\n")),
        "{text}"
    );
    let first = names.map(|name| fs::read(fixture.path(name)).unwrap());
    stdout(&flags);
    assert_eq!(
        names.map(|name| fs::read(fixture.path(name)).unwrap()),
        first
    );

    let labels = read_rows(labels);
    assert_eq!(
        serde_json::to_string(&labels[1]).unwrap(),
        r#"{"index":2,"id":"r2","domain":"stock","question":"Which name?","failure_type":"sql_wrong_schema","#.to_owned()
            + r#""predicted_sql":"SELECT title FROM items; SELECT 1","scored_sql":"SELECT title FROM items;","#
            + r#""gold_sql":"SELECT name FROM items WHERE id = 1","predicted_error":"no such column: title"}"#
    );
    assert_eq!(
        (labels.len(), &labels[0]["failure_type"]),
        (2, &json!("sql_wrong_result"))
    );

    let summary = json_of(&summary);
    let accuracy = &summary["modes"]["factory"]["execution_accuracy"];
    assert_eq!(
        (&accuracy["passed"], &accuracy["n"], &accuracy["value"]),
        (&json!(2), &json!(4), &json!(0.5))
    );
    let [low, high] = [0, 1].map(|i| accuracy["wilson95"][i].as_f64().unwrap());
    assert!(
        (low - 0.15).abs() < 0.001 && (high - 0.85).abs() < 0.001,
        "{low} {high}"
    );
    assert_eq!(summary["failed_rows"], 2);
    assert_eq!(summary["now"], "2026-01-02T03:04:05Z");
    assert_eq!(
        summary["failure_counts"],
        json!({"sql_wrong_result": 1, "sql_wrong_schema": 1})
    );

    let slices = json_of(&slices);
    let all = |passed: f64, rows: usize| json!({"rows": rows, "execution_accuracy": passed, "exact_match": passed});
    assert_eq!(slices["overall"], all(0.5, 4));
    for (name, passed, rows) in [
        ("domain:shop", 0.5, 2),
        ("curriculum:easy", 1.0, 1),
        ("curriculum:hard", 0.0, 1),
        ("single_table", 0.5, 4),
        ("filter", 0.3333, 3),
        ("aggregate", 1.0, 1),
        ("clean_output", 1.0, 2),
        ("unclean_output", 0.0, 2),
    ] {
        assert_eq!(slices["slices"][name], all(passed, rows), "{name}");
    }

    let classes: Vec<_> = read_rows(clean)
        .iter()
        .map(|row| row["clean_output"].clone())
        .collect();
    assert_eq!(
        classes,
        ["clean", "no_select_prefix", "multiple_statements", "clean"]
    );

    let page = fs::read_to_string(review).unwrap();
    for part in [
        "2 of 4 rows failed.",
        "| [sql_wrong_schema](#sql_wrong_schema) | 1 |",
        "- question: Which name?",
        "- predicted error: no such column: title",
        "```sql\nSELECT title FROM items; SELECT 1\n```",
        "| ink |",
    ] {
        assert!(page.contains(part), "{page}");
    }
}

#[test]
fn several_modes_have_their_own_columns_everywhere() {
    // Columns swapped: the same for the test suite, another for BIRD and for us.
    let fixture = Fixture::rows(&[row(
        "SELECT name, id FROM items",
        "SELECT id, name FROM items",
    )]);
    let (out, slices) = (fixture.path("rows.jsonl"), fixture.path("slices.json"));
    let text = stdout(&[
        &fixture.preds(),
        "--mode",
        "factory,spider-ts,spider-em,bird-ex",
        "--out",
        &out,
        "--slices-out",
        &slices,
    ]);
    assert!(
        text.starts_with(
            "sql: execution_accuracy=0.000 exact_match=0.000 (n=1)\n\
             spider-ts: execution_accuracy=1.000 (n=1)\n\
             spider-em: exact_match=1.000 (n=1)\n\
             bird-ex: execution_accuracy=0.000 (n=1)\n"
        ),
        "{text}"
    );
    let row = &read_rows(out)[0];
    let columns = [
        "exec_match",
        "exact_match",
        "spider_ts_match",
        "spider_em_match",
        "bird_ex_match",
    ];
    assert_eq!(
        columns.map(|column| row[column].as_bool().unwrap()),
        [false, false, true, true, false]
    );
    assert_eq!(
        json_of(&slices)["overall"]["spider_ts_execution_accuracy"],
        1.0
    );
}

#[test]
fn every_database_of_a_test_suite_must_agree() {
    let fixture = Fixture::rows(&[]);
    fs::remove_file(fixture.path("shop.db")).unwrap();
    let suite = fixture.folder.path().join("database/shop");
    fs::create_dir_all(&suite).unwrap();
    for (name, pens) in [("shop", 1), ("other", 2)] {
        let database = rusqlite::Connection::open(suite.join(format!("{name}.sqlite"))).unwrap();
        database
            .execute_batch("CREATE TABLE items(id, name)")
            .unwrap();
        for id in 0..pens {
            database
                .execute("INSERT INTO items VALUES (?1, 'pen')", [id])
                .unwrap();
        }
    }
    let line = |predicted: &str| {
        json!({"db_id": "shop", "predicted_sql": predicted, "gold_sql": "SELECT name FROM items"})
            .to_string()
            + "\n"
    };
    fs::write(
        fixture.preds(),
        line("SELECT name FROM items LIMIT 1") + &line("SELECT name FROM items"),
    )
    .unwrap();
    let text = stdout(&[&fixture.preds(), "--mode", "spider-ts,bird-ex"]);
    assert!(
        text.starts_with(
            "spider-ts: execution_accuracy=0.500 (n=2)\nbird-ex: execution_accuracy=1.000 (n=2)\n"
        ),
        "{text}"
    );
}

#[test]
fn an_audit_names_odd_references() {
    let golds = [
        "SELECT name FROM items ORDER BY id",
        "SELECT nope FROM items",
        "SELECT name FROM items WHERE id > 99",
        "SELECT name FROM items LIMIT 1",
        "VALUES (1)",
        "SELECT name FROM items ORDER BY id LIMIT 1",
        "SELECT name FROM items ORDER BY id > 0 LIMIT 1",
    ];
    let rows: Vec<_> = golds.iter().map(|gold| row("SELECT 1", gold)).collect();
    let fixture = Fixture::rows(&rows);
    let out = fixture.path("audit.jsonl");
    let text = stdout(&[&fixture.preds(), "--audit-gold", "--out", &out]);
    for expected in [
        "preds.jsonl:2: row r1: gold_fails: no such column: nope (mode factory)\n",
        "preds.jsonl:3: row r2: gold_empty: returns no rows\n",
        "preds.jsonl:4: row r3: gold_unordered: returns other rows when tables are walked backwards",
        "preds.jsonl:5: row r4: gold_not_itself: does not match itself under mode factory\n",
        "preds.jsonl:7: row r6: gold_unordered: returns other rows when ties are decided the other way",
        "gold: sound=2 odd=5 (n=7) gold_empty=1 gold_fails=1 gold_not_itself=1 gold_unordered=2\n",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let audited = read_rows(&out);
    assert_eq!(audited[0]["findings"], json!([]));
    assert_eq!(audited[1]["findings"][0]["kind"], "gold_fails");
    let (code, _, message) = factory(&["eval-sql", &fixture.preds(), "--audit-gold", "--strict"]);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("error: 5 rows have an odd gold_sql (--strict)"),
        "{message}"
    );
    // A set without predictions, and ours is sound.
    let set = concat!(env!("CARGO_MANIFEST_DIR"), "/evals/sql-expanded");
    let (dev, schemas) = (format!("{set}/dev.jsonl"), format!("{set}/schemas"));
    let text = stdout(&[&dev, "--db-dir", &schemas, "--audit-gold", "--strict"]);
    assert_eq!(text, "gold: sound=50 odd=0 (n=50)\n");
    assert!(error(2, &[&fixture.preds(), "--strict"]).contains("--audit-gold"));
    assert!(
        error(2, &[&fixture.preds(), "--audit-gold", "--prefs-out", "x"])
            .contains("cannot be used with")
    );
}

fn flags<'a>(preds: &'a str, out: &'a str, timeout: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let flags = [
        preds,
        "--workers",
        "1",
        "--timeout-ms",
        timeout,
        "--out",
        out,
    ];
    flags.iter().chain(more).copied().collect()
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bytes() {
    let mut rows: Vec<_> = (0..40)
        .map(|i| row(&format!("SELECT {i}"), &format!("SELECT {}", i - i % 3)))
        .collect();
    // Long enough to be killed in.
    rows[20]["predicted_sql"] =
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT count(*) FROM c".into();
    let fixture = Fixture::rows(&rows);
    let [whole, out, prefs, same] =
        ["whole.jsonl", "out.jsonl", "prefs.jsonl", "same.jsonl"].map(|name| fixture.path(name));
    let preds = fixture.preds();
    let text = stdout(&flags(&preds, &whole, "1500", &["--prefs-out", &same]));

    let journal = format!("{out}.partial");
    let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .arg("eval-sql")
        .args(flags(&preds, &out, "1500", &[]))
        .spawn()
        .unwrap();
    while fs::read_to_string(&journal).map_or(0, |text| text.lines().count()) < 21 {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!fs::exists(&out).unwrap());
    let mut cut = fs::read_to_string(&journal).unwrap();
    let kept: Vec<String> = cut.lines().skip(1).take(2).map(str::to_owned).collect();
    cut.truncate(cut.trim_end().len() - 5);
    fs::write(&journal, cut).unwrap();

    let other = error(1, &flags(&preds, &out, "7", &["--resume"]));
    assert!(
        other.contains("of a run with other inputs or flags"),
        "{other}"
    );
    let resumed = stdout(&flags(
        &preds,
        &out,
        "1500",
        &["--prefs-out", &prefs, "--resume"],
    ));
    assert_eq!(resumed.lines().next(), text.lines().next());
    assert_eq!(timeless(&out), timeless(&whole));
    assert_eq!(fs::read(&prefs).unwrap(), fs::read(&same).unwrap());
    assert!(!fs::exists(&journal).unwrap());
    // Rows of the first run keep the time that they took there.
    let lines = fs::read_to_string(&out).unwrap();
    for piece in kept {
        let (_, row) = piece.split_once(',').unwrap();
        assert!(lines.contains(row.strip_suffix(']').unwrap()), "{row}");
    }
}

#[test]
fn two_scorings_are_compared_row_by_row() {
    let preds = |predicted: [&str; 4]| Fixture::rows(&predicted.map(|sql| row(sql, "SELECT 1")));
    let (a, b) = (
        preds(["SELECT 1", "SELECT 2", "SELECT 2", "SELECT 2"]),
        preds(["SELECT 2", "SELECT 1", "SELECT 1", "SELECT 2"]),
    );
    for fixture in [&a, &b] {
        stdout(&[&fixture.preds(), "--out", &fixture.path("rows.jsonl")]);
    }
    let (first, second, out) = (
        a.path("rows.jsonl"),
        b.path("rows.jsonl"),
        a.path("compared.json"),
    );
    let (code, text, _) = factory(&["eval-compare", &first, &second, "--out", &out]);
    assert_eq!(code, Some(0));
    assert_eq!(
        text,
        format!(
            "a: exec_match=0.250 [0.046, 0.699] (n=4)\nb: exec_match=0.500 [0.150, 0.850] (n=4)\n\
             difference=+0.250 p=1.0000 gained=2 lost=1 (exact McNemar)\ngained: r1 r2\nlost: r0\nwrote {out}\n"
        )
    );
    assert_eq!(json_of(&out)["gained"], json!(["r1", "r2"]));
    let (code, _, message) = factory(&["eval-compare", &first, &a.preds()]);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("preds.jsonl:1: no row of `eval-sql --out`"),
        "{message}"
    );
    let (code, _, message) = factory(&["eval-compare", &first, &second, "--column", "nope"]);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("they have exec_match, exact_match"),
        "{message}"
    );
}

#[test]
fn failures_become_choices_that_can_be_scored() {
    let fixture = mixed();
    let [rows, choices, scored] =
        ["rows.jsonl", "choices.jsonl", "scored.jsonl"].map(|name| fixture.path(name));
    stdout(&[&fixture.preds(), "--out", &rows]);
    let (code, text, message) = factory(&["data", "choices", "--rows", &rows, "--out", &choices]);
    assert_eq!(code, Some(0), "{message}");
    assert_eq!(
        text,
        format!("wrote {choices} (2 choices; dropped 2: without a wrong query)\n")
    );
    let made = read_rows(&choices);
    assert_eq!(made[0]["candidates"].as_array().unwrap().len(), 2);
    let answered = |line: &Value, reply: &str| {
        let mut line = line.clone();
        line["predicted_sql"] = reply.into();
        line.to_string() + "\n"
    };
    let right = made[0]["response"].as_str().unwrap();
    fs::write(
        &choices,
        answered(&made[0], right) + &answered(&made[1], "neither"),
    )
    .unwrap();
    let (code, text, _) = factory(&["eval-choices", &choices, "--out", &scored]);
    assert_eq!(code, Some(0));
    assert!(
        text.starts_with("choices: accuracy=0.500 chance=0.500 no_choice=1 (n=2)\n"),
        "{text}"
    );
    assert_eq!(read_rows(&scored)[0]["choice_match"], true);
    let (code, _, message) = factory(&["eval-choices", &fixture.preds()]);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("rows of `factory data choices` are expected"),
        "{message}"
    );
}

#[test]
fn choices_may_be_selections_with_ids_and_sources() {
    let fixture = mixed();
    let [rows, choices, answers] =
        ["base.rows.jsonl", "choices.jsonl", "answers.jsonl"].map(|name| fixture.path(name));
    stdout(&[&fixture.preds(), "--out", &rows]);
    let set = fixture.path("set.jsonl");
    let ids = read_rows(&rows).into_iter().map(|row| row["id"].clone());
    let asked = ids.map(|id| json!({"id": id, "prompt": format!("{id}?"), "domain": "shop"}));
    fs::write(
        &set,
        asked.map(|row| format!("{row}\n")).collect::<String>(),
    )
    .unwrap();
    let make = |more: &[&str]| {
        let args = ["data", "choices", "--rows", &rows, "--out", &choices];
        factory(&[&args[..], more].concat())
    };
    let (code, text, message) = make(&["--format", "selection", "--data", &set]);
    assert_eq!(code, Some(0), "{message}");
    assert!(
        text.contains("(2 choices; dropped 2: without a wrong query)"),
        "{text}"
    );
    let made = read_rows(&choices);
    assert_eq!(made[0]["task"], "sql_candidate_selection");
    assert_eq!(made[0]["domain"], "shop");
    let sources = made[0]["choices"].as_array().unwrap().iter();
    let mut sources: Vec<_> = sources
        .map(|choice| choice["source"].as_str().unwrap())
        .collect();
    sources.sort_unstable();
    assert_eq!(sources, ["base", "gold"]);
    let right = json!({"id": made[0]["id"], "selected_id": made[0]["answer_id"]});
    fs::write(&answers, right.to_string()).unwrap();
    let (code, text, _) = factory(&["eval-choices", &answers, "--choices", &choices]);
    assert_eq!(code, Some(0));
    assert!(
        text.starts_with("choices: accuracy=0.500 chance=0.500 no_choice=1 (n=2)\n"),
        "{text}"
    );
    assert_eq!(make(&["--format", "selection"]).0, Some(2));
    assert_eq!(make(&["--data", &set]).0, Some(2));
}

#[test]
fn databases_that_cannot_be_read_are_named() {
    let fixture = Fixture::rows(&[row("SELECT 1", "SELECT name FROM items")]);
    let whole = fs::read(fixture.path("shop.db")).unwrap();
    let message = || error(1, &[&fixture.preds()]);
    let mut corrupt = whole.clone();
    corrupt[4096..].fill(0xaa);
    fs::write(fixture.path("shop.db"), corrupt).unwrap();
    assert!(
        message().contains(
            "preds.jsonl:1: row r0: gold_sql gave no rows: database disk image is malformed"
        ),
        "{}",
        message()
    );
    fs::write(fixture.path("shop.db"), "no database").unwrap();
    assert!(message().contains("not a SQLite database"), "{}", message());
    fs::write(fixture.path("shop.db"), &whole).unwrap();
    let writer = rusqlite::Connection::open(fixture.path("shop.db")).unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert!(
        message().contains("another process has it locked"),
        "{}",
        message()
    );
    drop(writer);
    assert!(eval_sql(&[&fixture.preds()]).status.success());
}
