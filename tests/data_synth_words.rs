//! `factory data synth --db` with others: rows that are held out, hints of values, a paraphraser.

#[path = "common/http.rs"]
mod http;

use http::{Answer, Asked, Server};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// A database of ships in `folder`.
fn ships(folder: &Path) {
    let connection = Connection::open(folder.join("ships.db")).unwrap();
    let tables = "create table ports(id integer primary key, name text);
        create table ships(id integer primary key, name text, port_id integer references ports(id), kind text, tons integer,
            contact text);
        insert into ports values (1, 'Skagen'), (2, 'Bergen'), (3, 'Gdynia');";
    connection.execute_batch(tables).unwrap();
    for at in 1..=40i64 {
        let kind = ["trawler", "ferry", "tug"][(at * 7 % 3) as usize];
        let row = (
            at,
            format!("Ship {at}"),
            1 + at * 11 % 3,
            kind,
            100 + at * 37 % 83,
            format!("master{at}@ships.no"),
        );
        let sql = "insert into ships values (?1, ?2, ?3, ?4, ?5, ?6)";
        connection.execute(sql, row).unwrap();
    }
}

/// Makes the set `out` of the ships.
fn synth(folder: &Path, out: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_factory"))
        .current_dir(folder)
        .env("OPENAI_API_KEY", "right")
        .args(["data", "synth", "--db", "ships.db", "--out", out])
        .args(["--rows", "120", "--dev", "20", "--preferences", "10"])
        .args(more)
        .output()
        .unwrap()
}

/// The rows of a file of a set that must be there.
fn rows(folder: &Path, output: &Output, file: &str) -> Vec<Value> {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let text = fs::read_to_string(folder.join(file)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn texts(rows: &[Value], field: &str) -> BTreeSet<String> {
    rows.iter()
        .map(|row| row[field].as_str().unwrap().to_owned())
        .collect()
}

fn failure(folder: &Path, output: &Output, expected: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains(expected) && error.lines().count() == 1,
        "{error}"
    );
    assert!(!folder.join("out").exists());
}

#[test]
fn held_out_rows_stay_held_out() {
    let folder = TempDir::new().unwrap();
    ships(folder.path());
    let first = synth(folder.path(), "first", &[]);
    let taken = rows(folder.path(), &first, "first/train.jsonl");
    let apart = synth(folder.path(), "apart", &["--heldout", "first/train.jsonl"]);
    let other = rows(folder.path(), &apart, "apart/train.jsonl");
    assert!(texts(&taken, "response").is_disjoint(&texts(&other, "response")));
    assert!(texts(&taken, "question").is_disjoint(&texts(&other, "question")));

    fs::write(
        folder.path().join("bare.jsonl"),
        "{\"question\": \"Who?\"}\n",
    )
    .unwrap();
    let bare = synth(folder.path(), "out", &["--heldout", "bare.jsonl"]);
    failure(folder.path(), &bare, "bare.jsonl:1: the row has no query");
}

#[test]
fn no_question_has_an_address_in_it() {
    let folder = TempDir::new().unwrap();
    ships(folder.path());
    let made = synth(
        folder.path(),
        "set",
        &["--mix", "pattern=50", "--mix", "filter=50"],
    );
    let all = rows(folder.path(), &made, "set/train.jsonl");
    assert!(
        texts(&all, "response")
            .iter()
            .any(|sql| sql.contains("contact"))
    );
    assert!(texts(&all, "response").iter().all(|sql| !sql.contains('@')));
}

#[test]
fn prompts_name_the_values_that_questions_do() {
    let folder = TempDir::new().unwrap();
    ships(folder.path());
    let made = synth(folder.path(), "set", &["--value-hints", "3"]);
    for (file, field) in [
        ("set/train.jsonl", "instruction"),
        ("set/dev.jsonl", "prompt"),
        ("set/preferences.jsonl", "prompt"),
    ] {
        let all = rows(folder.path(), &made, file);
        let prompts = texts(&all, field);
        let hinted = prompts
            .iter()
            .filter(|prompt| prompt.contains("\nValues: "));
        let named = |prompt: &&String| {
            let question = prompt.rsplit("Question: ").next().unwrap();
            question.contains("Bergen") || question.contains("ferry")
        };
        assert!(hinted.clone().count() > 0, "{file}");
        for prompt in prompts.iter().filter(named) {
            let expected = ["ports.name = 'Bergen'", "ships.kind = 'ferry'"];
            assert!(
                expected.iter().any(|hint| prompt.contains(hint)),
                "{prompt}"
            );
        }
    }
    let plain = synth(folder.path(), "plain", &[]);
    let all = rows(folder.path(), &plain, "plain/train.jsonl");
    assert!(
        texts(&all, "instruction")
            .iter()
            .all(|p| !p.contains("Values:"))
    );
}

fn said(text: impl Into<Value>) -> Answer {
    let message = json!({"role": "assistant", "content": text.into()});
    ("200 OK", json!({"choices": [{"message": message}]}))
}

/// The question that a paraphraser was asked.
fn question(asked: &Asked) -> String {
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    let message = body["messages"][0]["content"].as_str().unwrap();
    message.rsplit("Question: ").next().unwrap().to_owned()
}

fn paraphrase(
    folder: &Path,
    answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
) -> (Output, Server) {
    let server = Server::start(move |asked, _| match asked.line.as_str() {
        "GET /v1/models" => ("200 OK", json!({"data": [{"id": "poet\u{1b}[31m red"}]})),
        "POST /v1/chat/completions" => answer(asked),
        line => panic!("{line}"),
    });
    let url = format!("{}/v1/", server.endpoint);
    let output = synth(folder, "out", &["--paraphrase", &url, "--value-hints", "2"]);
    (output, server)
}

#[test]
fn a_paraphraser_says_questions_in_other_words() {
    let folder = TempDir::new().unwrap();
    ships(folder.path());
    // The first call fails and is made again; of "Bergen" it makes a mess. Of one later question it says nothing twice, and of
    // another it refuses to speak.
    let calls = AtomicUsize::new(0);
    let chosen: Mutex<[Option<String>; 2]> = Mutex::default();
    let (output, server) = paraphrase(folder.path(), move |asked| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        if call == 0 {
            return ("503 Service Unavailable", json!({"error": "loading"}));
        }
        let own = Some(question(asked)).filter(|own| !own.contains("Bergen"));
        let mut chosen = chosen.lock().unwrap();
        let taken = chosen.contains(&own);
        for (after, place) in [60, 80].into_iter().zip(chosen.iter_mut()) {
            if call > after && place.is_none() && !taken {
                *place = own.clone();
            }
        }
        if own.is_some() && own == chosen[0] {
            return ("400 Bad Request", json!({"error": "no"}));
        }
        if own.is_some() && own == chosen[1] {
            return said(Value::Null);
        }
        said(format!(
            "\"Tell me: {}\"",
            question(asked).replace("Bergen", "Oslo")
        ))
    });
    let (mut bergen, mut plain) = (0, 0);
    for (file, field) in [
        ("out/train.jsonl", "instruction"),
        ("out/dev.jsonl", "prompt"),
    ] {
        for row in rows(folder.path(), &output, file) {
            let (asked, prompt) = (
                row["question"].as_str().unwrap(),
                row[field].as_str().unwrap(),
            );
            let kept = asked.contains("Bergen") && prompt.contains("'Bergen'");
            bergen += usize::from(kept);
            plain += usize::from(!kept && !asked.starts_with("Tell me: "));
            assert!(prompt.ends_with(&format!("Question: {asked}")), "{prompt}");
        }
    }
    assert!(bergen > 0);
    assert_eq!(plain, 2);
    let manifest = fs::read(folder.path().join("out/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let expected = json!({"model": "poet red", "rewritten": 138 - bergen,
        "kept": {"are empty": 1, "did not come": 1, "lose a value": bergen}});
    assert_eq!(manifest["paraphrased"], expected);
    let asked = server.asked();
    assert!(
        asked
            .iter()
            .all(|asked| asked.headers["authorization"] == "Bearer right")
    );
    let body: Value = serde_json::from_slice(&asked[2].body).unwrap();
    assert_eq!(body["model"], "poet red");
}

#[test]
fn a_paraphraser_that_fails_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    ships(folder.path());
    let (useless, _) = paraphrase(folder.path(), |_| {
        said("As a language model, I cannot.\nSorry.")
    });
    failure(folder.path(), &useless, "most rewrites are of no use");
    assert!(String::from_utf8_lossy(&useless.stderr).contains("140 are more than a question"));
    let (unwilling, _) = paraphrase(folder.path(), |_| said("I cannot help."));
    failure(folder.path(), &unwilling, "most rewrites are of no use");
    assert!(String::from_utf8_lossy(&unwilling.stderr).contains("140 refuse"));
    let (moved, server) = paraphrase(folder.path(), |_| ("307 Temporary Redirect", json!({})));
    failure(
        folder.path(),
        &moved,
        "leads to elsewhere, which is not followed",
    );
    assert!(server.asked().len() < 8);
    // It answers at first, and then no more.
    let calls = AtomicUsize::new(0);
    let (gone, _) = paraphrase(folder.path(), move |asked| {
        match calls.fetch_add(1, Ordering::SeqCst) < 30 {
            true => said(format!("Tell me: {}", question(asked))),
            false => ("404 Not Found", json!({"error": "no such model"})),
        }
    });
    failure(folder.path(), &gone, "404 Not Found");
    let (refused, _) = paraphrase(folder.path(), |_| {
        (
            "401 Unauthorized",
            json!({"error": "no key", "code": "\u{85}"}),
        )
    });
    failure(
        folder.path(),
        &refused,
        "401 Unauthorized: {\"error\":\"no key\",\"code\":\" \"}",
    );
    let (odd, _) = paraphrase(folder.path(), |_| ("200 OK", json!({"choices": []})));
    failure(folder.path(), &odd, "has no choices[0].message.content");
    let gone = synth(
        folder.path(),
        "out",
        &["--paraphrase", "http://127.0.0.1:1/v1"],
    );
    failure(
        folder.path(),
        &gone,
        "http://127.0.0.1:1/v1/models does not answer",
    );
    let no_address = synth(folder.path(), "out", &["--paraphrase", "localhost"]);
    let error = String::from_utf8_lossy(&no_address.stderr);
    assert_eq!(no_address.status.code(), Some(2), "{error}");
    assert!(error.contains("localhost is no address"), "{error}");
}
