//! Black-box tests of `factory chat`, and of a prompt from standard input.

mod common;

use common::{golden, ok, tiny};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

fn with_input(args: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_prompt_may_come_from_standard_input() {
    let base = tiny();
    let own = [
        "generate",
        "--base",
        &base,
        "--device",
        "cpu",
        "--max-tokens",
        "8",
        "--prompt",
    ];
    let given = ok(&[&own[..], &["two\nlines"]].concat());
    let (code, said, _) = with_input(&[&own[..], &["-"]].concat(), "two\nlines");
    assert_eq!((code, said), (0, given));
}

#[test]
fn turns_are_answered_behind_those_before_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("talk.jsonl");
    let base = tiny();
    let own = [
        "chat",
        "--base",
        &base,
        "--device",
        "cpu",
        "--template",
        "chatml",
        "--max-tokens",
        "8",
    ];
    let lora = golden("tiny-llama-lora").display().to_string();
    let save = format!("/save {}", file.display());
    let input = format!(
        "first\nsecond\n{save}\n/lora x={lora}\nthird\n/weights 0.0\n/weights\n/system Be brief.\nfirst\n"
    );
    let (code, said, errors) = with_input(&own, &input);
    let saved = format!("saved: {}", file.display());
    assert_eq!((code, errors.trim()), (0, &*format!("{saved}\nx 0")));
    let row: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let turns = row["messages"].as_array().unwrap();
    let of = |at: usize| {
        (
            turns[at]["role"].as_str().unwrap(),
            turns[at]["content"].as_str().unwrap(),
        )
    };
    assert_eq!(
        (turns.len(), of(0), of(2)),
        (4, ("user", "first"), ("user", "second"))
    );
    assert!(
        said.starts_with(&format!("{}\n{}\n", of(1).1, of(3).1)),
        "{said}"
    );
    // As a whole: the same bytes as without a cache that stays.
    let rows = dir.path().join("rows.jsonl");
    let asked = serde_json::json!({"messages": turns[..3]});
    std::fs::write(&rows, format!("{asked}\n")).unwrap();
    let out = dir.path().join("out.jsonl");
    ok(&[
        "generate",
        "--base",
        &base,
        "--device",
        "cpu",
        "--template",
        "chatml",
        "--max-tokens",
        "8",
        "--data",
        rows.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]);
    let answered: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(answered["predicted_sql"].as_str().unwrap(), of(3).1);

    let (code, _, errors) = with_input(&own, "/nothing at all\n");
    assert!(code == 1 && errors.contains("/help names them"), "{errors}");
    let (code, _, errors) = with_input(&own, "/weights 1 2\n");
    assert!(code == 1 && errors.contains("give 0 numbers"), "{errors}");
}
