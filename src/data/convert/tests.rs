use super::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

fn write(folder: &TempDir, name: &str, rows: &[Value]) -> PathBuf {
    let path = folder.path().join(name);
    let lines: Vec<Line> = rows
        .iter()
        .map(|row| Line::new(1, row.as_object().unwrap().clone()))
        .collect();
    std::fs::write(&path, to_bytes(&path, &lines).unwrap()).unwrap();
    path
}

fn converted(
    data: &Path,
    to: Option<Layout>,
    drop: &[&str],
    fields: &[&str],
) -> Result<Vec<Value>> {
    let drop: Vec<String> = drop.iter().map(|field| (*field).to_owned()).collect();
    let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    let request = Request {
        data,
        columns: &Columns::parse(&fields).unwrap(),
        to,
        drop: &drop,
    };
    let rows = convert(&request)?;
    Ok(rows
        .into_iter()
        .map(|row| row.into_fields().into())
        .collect())
}

/// The same question and answer in every layout that is about one.
fn layouts() -> Vec<(Layout, Value)> {
    let said = |ask: &str, text: &str| {
        json!([{ask: if ask == "role" { "user" } else { "human" }, text: "Which bees are old?"},
            {ask: if ask == "role" { "assistant" } else { "gpt" }, text: "select 1;"}])
    };
    vec![
        (
            Layout::Rows,
            json!({"id": 7, "instruction": "Which bees are old?", "response": "select 1;", "source": "x"}),
        ),
        (
            Layout::Alpaca,
            json!({"id": 7, "instruction": "Which bees are old?", "input": "", "output": "select 1;", "source": "x"}),
        ),
        (
            Layout::PromptCompletion,
            json!({"id": 7, "prompt": "Which bees are old?", "completion": "select 1;", "source": "x"}),
        ),
        (
            Layout::Messages,
            json!({"id": 7, "messages": said("role", "content"), "source": "x"}),
        ),
        (
            Layout::Sharegpt,
            json!({"id": 7, "conversations": said("from", "value"), "source": "x"}),
        ),
    ]
}

#[test]
fn every_layout_becomes_every_other_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    for (from, row) in layouts() {
        for ending in ["jsonl", "json", "parquet"] {
            let data = write(&folder, &format!("in.{ending}"), std::slice::from_ref(&row));
            for (to, expected) in layouts() {
                let rows = converted(&data, Some(to), &[], &[]).unwrap();
                assert_eq!(rows, [expected], "{from:?} to {to:?} by {ending}");
            }
        }
    }
    // Texts alone go through CSV.
    for (_, row) in layouts().into_iter().take(3) {
        for ending in ["csv", "tsv"] {
            let data = write(&folder, &format!("in.{ending}"), std::slice::from_ref(&row));
            let rows = converted(&data, Some(Layout::Messages), &[], &[]).unwrap();
            assert_eq!(rows[0]["messages"], layouts()[3].1["messages"]);
            assert_eq!(rows[0]["id"], "7");
        }
    }
}

#[test]
fn whole_conversations_keep_their_parts() {
    let folder = tempfile::tempdir().unwrap();
    let call = json!([{"type": "function", "function": {"name": "run", "arguments": {"sql": "select 1"}}}]);
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How many?"},
        {"role": "assistant", "content": "", "tool_calls": call},
        {"role": "tool", "content": "3", "name": "run"},
        {"role": "assistant", "content": "Three.", "reasoning_content": "One row."},
    ]);
    let tools = json!([{"type": "function", "function": {"name": "run"}}]);
    let whole = json!({"messages": messages, "tools": tools});
    for ending in ["jsonl", "parquet"] {
        let data = write(
            &folder,
            &format!("whole.{ending}"),
            std::slice::from_ref(&whole),
        );
        let pair = converted(&data, Some(Layout::PromptCompletion), &[], &[]).unwrap();
        assert_eq!(pair[0]["prompt"], json!([messages[0], messages[1]]));
        assert_eq!(pair[0]["completion"].as_array().unwrap().len(), 3);
        let data = write(&folder, &format!("pair.{ending}"), &pair);
        assert_eq!(
            converted(&data, Some(Layout::Messages), &[], &[]).unwrap(),
            std::slice::from_ref(&whole)
        );
        let refused = |to| {
            converted(&data, Some(to), &[], &[])
                .unwrap_err()
                .to_string()
        };
        assert!(refused(Layout::Rows).contains(":1: has 4 messages, and rows holds one question and one answer: --to messages keeps them"));
        assert!(
            refused(Layout::Sharegpt).contains("field \"tool_calls\" would be lost in sharegpt")
        );
    }
    // What is given is not learned, and says so where it could be.
    let given = json!({"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],
        "completion": [{"role": "assistant", "content": "d"}]});
    let data = write(&folder, "given.jsonl", std::slice::from_ref(&given));
    let rows = converted(&data, Some(Layout::Messages), &[], &[]).unwrap();
    assert_eq!(
        rows[0]["messages"][1],
        json!({"role": "assistant", "content": "b", "weight": 0})
    );
    let back = write(&folder, "back.jsonl", &rows);
    assert_eq!(
        converted(&back, Some(Layout::PromptCompletion), &[], &[]).unwrap(),
        [given]
    );
    let error = converted(&back, Some(Layout::Sharegpt), &[], &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("field \"weight\" would be lost in sharegpt"),
        "{error}"
    );
}

#[test]
fn inputs_systems_and_other_columns_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let row = json!({"question": "Count.", "input": "a, b", "sql": "2", "system": "Be brief."});
    let data = write(&folder, "own.csv", std::slice::from_ref(&row));
    let fields = ["instruction=question", "response=sql"];
    let rows = converted(&data, Some(Layout::Alpaca), &[], &fields).unwrap();
    assert_eq!(
        rows,
        [json!({"system": "Be brief.", "instruction": "Count.", "input": "a, b", "output": "2"})]
    );
    let rows = converted(&data, Some(Layout::PromptCompletion), &["system"], &fields).unwrap();
    assert_eq!(
        rows,
        [json!({"prompt": "Count.\n\na, b", "completion": "2"})]
    );
    let stays = write(
        &folder,
        "stays.jsonl",
        &[json!({"q": "a", "prompt": "junk", "response": "b"})],
    );
    let fields = ["prompt=q"];
    let error = converted(&stays, Some(Layout::PromptCompletion), &[], &fields)
        .unwrap_err()
        .to_string();
    assert!(error.contains("field \"prompt\" is not what --field reads, and would be lost: leave it out by --drop prompt"), "{error}");
    assert!(converted(&stays, Some(Layout::PromptCompletion), &["prompt"], &fields).is_ok());
    let error = converted(&stays, None, &["gone"], &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("no row has the field \"gone\""), "{error}");
}

#[test]
fn preferences_stay_preferences() {
    let folder = tempfile::tempdir().unwrap();
    let row = json!({"id": "p", "prompt": "Q?", "chosen": "a", "rejected": "b"});
    for ending in ["jsonl", "csv", "parquet"] {
        let data = write(&folder, &format!("p.{ending}"), std::slice::from_ref(&row));
        assert_eq!(
            converted(&data, Some(Layout::Preference), &[], &[]).unwrap(),
            std::slice::from_ref(&row)
        );
        let error = converted(&data, Some(Layout::Rows), &[], &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("field \"rejected\" would be lost: --to preference keeps it"),
            "{error}"
        );
        let chosen = converted(
            &data,
            Some(Layout::Rows),
            &["rejected"],
            &["response=chosen"],
        )
        .unwrap();
        assert_eq!(
            chosen,
            [json!({"id": "p", "instruction": "Q?", "response": "a"})]
        );
    }
    let alike = write(
        &folder,
        "alike.jsonl",
        &[json!({"prompt": "Q?", "chosen": "a", "rejected": "a"})],
    );
    let error = converted(&alike, Some(Layout::Preference), &[], &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("alike.jsonl:1: field \"rejected\" is the chosen answer too"),
        "{error}"
    );
}

#[test]
fn what_a_form_has_no_place_for_is_refused_by_field() {
    let refused = |name: &str, rows: &[Value]| {
        let lines: Vec<Line> = rows
            .iter()
            .zip(1..)
            .map(|(row, number)| Line::new(number, row.as_object().unwrap().clone()))
            .collect();
        format!("{:#}", to_bytes(Path::new(name), &lines).unwrap_err())
    };
    for value in [json!(1), json!(true), json!(["x"]), json!({"a": 1})] {
        let error = refused("o.csv", &[json!({"a": "x"}), json!({"a": "y", "n": value})]);
        assert!(
            error.contains("row 2: field \"n\" is a ") && error.contains("--drop n"),
            "{error}"
        );
    }
    assert!(
        refused("o.parquet", &[json!({"a": "x"}), json!({"a": 1})])
            .contains("row 2: field \"a\": is a number here and text elsewhere")
    );
    assert!(refused("o.parquet", &[json!({"a": {}})]).contains("an object without members"));
    assert!(
        refused("o.parquet", &[json!({"a": u64::MAX})])
            .contains("row 1: field \"a\": a number beyond 64 bits")
    );
    assert!(
        refused(
            "o.parquet",
            &[json!({"a": 0.5}), json!({"a": (1_i64 << 60) + 1})]
        )
        .contains("would be rounded")
    );
    // Null would be shown to the model.
    let calls = |arguments: Value| json!({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}]});
    let error = refused(
        "o.parquet",
        &[calls(json!({"a": 1})), calls(json!({"b": 1}))],
    );
    assert!(
        error.contains("row 1: field \"messages\": an object in it has no \"b\""),
        "{error}"
    );
}

#[test]
fn parquet_comes_back_value_for_value() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Value> = (0..25_000)
        .map(|i| {
            json!({
                "i": i - 9, "f": f64::from(i) / 8.0, "b": i % 3 == 0, "t": format!("é{i}"), "none": null,
                "l": vec![vec![i; i as usize % 3]; i as usize % 4], "o": {"x": [{"y": i}, {"y": null}], "z": null},
                "maybe": if i % 2 == 0 { json!(null) } else { json!([{"k": "v"}]) },
            })
        })
        .collect();
    let data = write(&folder, "many.parquet", &rows);
    assert!(converted(&data, None, &[], &[]).unwrap() == rows);
    assert_eq!(
        std::fs::read(&data).unwrap(),
        std::fs::read(write(&folder, "again.parquet", &rows)).unwrap()
    );
}
