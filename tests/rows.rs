//! What rows mean, from the file to the batch, and rows that pass through a command as they were written.

mod common;

use common::{factory, fails, ok, text, tiny};
use std::fs;
use std::path::Path;

/// The first batches of `rows` as the trainer sees them, and what is said on stderr.
fn inspected(dir: &Path, rows: &str, more: &[&str]) -> (String, String) {
    let data = dir.join("t.jsonl");
    fs::write(&data, rows).unwrap();
    let (data, base) = (text(&data), tiny());
    let args = ["sft", "--data", &data, "--base", &base, "--no-shuffle"];
    let out = factory(&[&args[..], &["--inspect-batch", "9"], more].concat());
    let [shown, said] = [out.stdout, out.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(out.status.success(), "{said}");
    (shown, said)
}

#[test]
fn what_stands_beside_a_question_is_in_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let rows = concat!(
        r#"{"instruction":"Add.","input":"2 and 3","output":"5","system":"Sums."}"#,
        "\n",
        r#"{"conversations":[{"from":"human","value":"Hello?"},{"from":"gpt","value":"Ahoy"}]}"#,
        "\n",
        r#"{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"bad","weight":0},{"role":"user","content":"y"},{"role":"assistant","content":"good"}]}"#,
        "\n",
    );
    let (shown, _) = inspected(dir.path(), rows, &["--no-share-prefix", "--epochs", "1"]);
    for part in [
        "given \"Sums.\\nAdd.\\n\\n2 and 3\\n\"",
        "loss  \"5<|im_end|>\"",
        "given \"Hello?\\n\"",
        "loss  \"Ahoy<|im_end|>\"",
        "loss  \"good<|im_end|>\"",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    assert!(!shown.contains("loss  \"bad"), "{shown}");
}

#[test]
fn one_end_is_learned_where_the_answer_brings_one() {
    let dir = tempfile::tempdir().unwrap();
    let rows = r#"{"prompt":"Ships?","completion":"SELECT 7<|im_end|>"}"#;
    for template in ["plain", "chatml"] {
        let (shown, said) = inspected(dir.path(), rows, &["--template", template]);
        assert!(shown.contains("loss  \"SELECT 7<|im_end|>\""), "{shown}");
        assert!(
            said.contains("t.jsonl:1: the answer ends with an end token (<|im_end|>"),
            "{said}"
        );
    }
}

#[test]
fn all_bad_rows_are_named_at_once_whoever_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&dir.path().join(name));
    let rows = "{\"prompt\":\"a\",\"completion\":\" \"}\n{\"prompt\":\"b\",\"completion\":\"c\"}\n{\"prompt\":null,\"context\":\"z\"}\nno\n";
    fs::write(path("bad.jsonl"), rows).unwrap();
    let (data, out, base) = (path("bad.jsonl"), path("out"), tiny());
    let parts = [
        "3 rows are wrong",
        "bad.jsonl:1: field \"completion\" is empty",
        "bad.jsonl:3: field \"context\"",
        "bad.jsonl:4: not JSON",
    ];
    fails(
        &["sft", "--data", &data, "--base", &base, "--out", &out],
        1,
        &parts,
    );
    let parts = ["2 rows are wrong", parts[2], parts[3]];
    fails(
        &["generate", "--data", &data, "--base", &base, "--out", &out],
        1,
        &parts,
    );
    let pair = [format!("a={data}"), format!("b={data}")];
    fails(
        &[
            "route",
            "fit",
            "--adapter",
            &pair[0],
            "--adapter",
            &pair[1],
            "--out",
            &out,
        ],
        1,
        &parts,
    );
    assert!(!dir.path().join("out").exists());
    fs::write(path("rows.txt"), "prompt,completion\na,b\n").unwrap();
    fails(
        &["sft", "--data", &path("rows.txt"), "--base", &base],
        1,
        &["rows.txt is CSV: give it the ending .csv"],
    );
    // A column is missing.
    fs::write(path("rows.csv"), "prompt,answer\na,b\n").unwrap();
    fails(
        &["sft", "--data", &path("rows.csv"), "--base", &base],
        1,
        &["rows.csv:1: no answer", "found fields: prompt, answer"],
    );
}

#[test]
fn every_form_of_file_trains_to_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&dir.path().join(name));
    let rows: String = (0..3)
        .map(|i| format!("{{\"prompt\":\"count, {i}\",\"completion\":\"select \\\"{i}\\\"\"}}\n"))
        .collect();
    fs::write(path("rows.jsonl"), rows).unwrap();
    let base = tiny();
    let trained = |ending: &str| {
        let (data, out) = (
            path(&format!("rows.{ending}")),
            path(&format!("out-{ending}")),
        );
        if ending != "jsonl" {
            ok(&[
                "data",
                "convert",
                "--data",
                &path("rows.jsonl"),
                "--out",
                &data,
            ]);
        }
        ok(&[
            "sft", "--data", &data, "--base", &base, "--out", &out, "--device", "cpu", "--epochs",
            "1",
        ]);
        fs::read(Path::new(&out).join("adapter_model.safetensors")).unwrap()
    };
    let expected = trained("jsonl");
    for ending in ["csv", "tsv", "json", "parquet"] {
        assert!(trained(ending) == expected, "{ending}: other bytes");
    }
}

#[test]
fn columns_of_other_names_are_trained_on_and_stand_in_the_config() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&dir.path().join(name));
    let rows = |ask: &str, answer: &str| -> String {
        (0..3)
            .map(|i| format!("{{\"{ask}\":\"count {i}\",\"{answer}\":\"select {i}\"}}\n"))
            .collect()
    };
    fs::write(path("own.jsonl"), rows("question", "sql")).unwrap();
    fs::write(path("usual.jsonl"), rows("prompt", "response")).unwrap();
    let base = tiny();
    let run = |data: &str, out: &str, more: &[&str]| {
        let (data, out) = (path(data), path(out));
        let args = [
            "sft", "--data", &data, "--base", &base, "--out", &out, "--device", "cpu", "--epochs",
            "2",
        ];
        ok(&[&args[..], more].concat());
        fs::read(Path::new(&out).join("adapter_model.safetensors")).unwrap()
    };
    let fields = ["--field", "prompt=question", "--field", "response=sql"];
    let own = run("own.jsonl", "own", &fields);
    assert!(own == run("usual.jsonl", "usual", &[]), "other bytes");
    let config = fs::read_to_string(path("own/config.toml")).unwrap();
    assert!(
        config.contains("field = [\"prompt=question\", \"response=sql\"]"),
        "{config}"
    );
    // Three rows are one step an epoch, whatever the batch could hold.
    let metrics = fs::read_to_string(path("own/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 2);
    ok(&[
        "sft",
        "--config",
        &path("own/config.toml"),
        "--out",
        &path("again"),
    ]);
    assert!(fs::read(path("again/adapter_model.safetensors")).unwrap() == own);

    let ask = [
        "generate",
        "--base",
        &base,
        "--max-tokens",
        "2",
        "--data",
        &path("own.jsonl"),
        "--out",
        &path("preds.jsonl"),
    ];
    ok(&[&ask[..], &fields[..2]].concat());
    let preds = fs::read_to_string(path("preds.jsonl")).unwrap();
    assert!(
        preds.starts_with("{\"question\":\"count 0\",\"sql\":\"select 0\",\"predicted_sql\":"),
        "{preds}"
    );
    fails(
        &[&ask[..], &["--field", "prompt=questions"]].concat(),
        1,
        &["own.jsonl: no row has the column \"questions\""],
    );
    fails(
        &[&ask[..], &["--field", "question=prompt"]].concat(),
        2,
        &["no format has a field \"question\""],
    );
    fails(
        &ask,
        1,
        &[
            "3 rows are wrong",
            "field \"prompt\"",
            "--field prompt=COLUMN",
        ],
    );
}

#[test]
fn rows_pass_through_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&dir.path().join(name));
    let row = r#"{"id":123456789012345678901234567890,"prompt":"q","a":1.0,"b":1e400,"c":-0,"d":2.50e-3,"d":{"e":[1.10,"\u00e9"]}}"#;
    fs::write(path("rows.jsonl"), row).unwrap();
    let (data, base) = (path("rows.jsonl"), tiny());
    let preds = path("preds.jsonl");
    ok(&[
        "generate",
        "--base",
        &base,
        "--max-tokens",
        "2",
        "--data",
        &data,
        "--out",
        &preds,
    ]);
    let written = fs::read_to_string(&preds).unwrap();
    let start = &row[..row.len() - 1];
    assert!(
        written.starts_with(&format!("{start},\"predicted_sql\":")),
        "{written}"
    );
    // What is answered again is answered in its place.
    let again = path("again.jsonl");
    ok(&[
        "generate",
        "--base",
        &base,
        "--max-tokens",
        "2",
        "--data",
        &preds,
        "--out",
        &again,
    ]);
    assert_eq!(fs::read_to_string(&again).unwrap(), written);

    let rules = r#"{"kind":"rules","rules":[{"field":"prompt","route":"own"}]}"#;
    fs::write(path("router.json"), rules).unwrap();
    let (router, routed) = (path("router.json"), path("routed.jsonl"));
    let route = |data: &str| {
        [
            "route",
            "--router",
            &router,
            "--data",
            data,
            "--routes-out",
            &routed,
        ]
        .map(str::to_owned)
    };
    ok(&route(&data).each_ref().map(String::as_str));
    let written = fs::read_to_string(&routed).unwrap();
    assert!(
        written.starts_with(&format!("{start},\"_route\":\"own\"")),
        "{written}"
    );

    // A repeated key that is read for its meaning is refused.
    fs::write(path("twice.jsonl"), r#"{"prompt":"q","prompt":"r"}"#).unwrap();
    fails(
        &route(&path("twice.jsonl")).each_ref().map(String::as_str),
        1,
        &["twice.jsonl:1: field \"prompt\" is there twice"],
    );
    fs::write(path("db.jsonl"), r#"{"prompt":"q","db":"a","db":"b"}"#).unwrap();
    fails(
        &route(&path("db.jsonl")).each_ref().map(String::as_str),
        1,
        &["field \"db\" is there twice"],
    );

    fs::write(path("x.sql"), "CREATE TABLE t (a INTEGER);").unwrap();
    let scored = |row: &str| {
        fs::write(path("p.jsonl"), row).unwrap();
        [
            &path("p.jsonl"),
            "--db-dir",
            &text(dir.path()),
            "--out",
            &path("scored.jsonl"),
        ]
        .map(str::to_owned)
    };
    let eval = |row: &str| [vec!["eval-sql".to_owned()], scored(row).to_vec()].concat();
    let args = eval(
        r#"{"id":123456789012345678901234567890,"db":"x","gold_sql":"SELECT 1","predicted_sql":"SELECT 1"}"#,
    );
    ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let row = fs::read_to_string(path("scored.jsonl")).unwrap();
    assert!(row.contains("\"123456789012345678901234567890\""), "{row}");
    let args = eval(
        r#"{"id":1,"db":"x","gold_sql":"SELECT 1","gold_sql":"SELECT 2","predicted_sql":"SELECT 1"}"#,
    );
    fails(
        &args.iter().map(String::as_str).collect::<Vec<_>>(),
        1,
        &["field \"gold_sql\" is there twice"],
    );
}

#[test]
fn the_first_step_of_an_epoch_takes_no_row_of_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..5)
        .map(|i| format!("{{\"prompt\":\"p{i}\",\"completion\":\"c{i}\"}}\n"))
        .collect();
    let (shown, _) = inspected(dir.path(), &rows, &["--batch", "2", "--epochs", "2"]);
    let sizes: Vec<_> = shown
        .split("batch ")
        .skip(1)
        .map(|batch| batch.matches("t.jsonl:").count())
        .collect();
    assert_eq!(sizes, [2, 2, 1, 2, 2, 1], "{shown}");
}
