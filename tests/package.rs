//! `factory package`: what a run ships, whole or not at all; its lock; its GGUF; its upload.

mod common;
#[path = "common/http.rs"]
mod http;
#[path = "common/hub.rs"]
mod hub;
#[path = "common/place.rs"]
mod place;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candle_core::quantized::gguf_file::Content;
use candle_core::{DType, Device};
use common::{factory, golden, text};
use factory::model::load::Base;
use factory::run::words::hex;
use place::{Place, RECIPE, errors};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A place whose run is decided, with a copy of the base that tests may spoil.
struct Made {
    place: Place,
}

impl Made {
    fn new(base: &str, more: &str) -> Self {
        let place =
            Place::new(&RECIPE.replace("max-tokens = 8", &format!("max-tokens = 8\n{more}")));
        let own = place.path("base");
        fs::create_dir(&own).unwrap();
        for entry in fs::read_dir(golden(base)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), own.join(entry.file_name())).unwrap();
        }
        let made = Self { place };
        let output = made.factory(&["run", "r.toml", "--set", "base=base"]);
        assert!(output.status.success(), "{}", errors(&output));
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
        command
            .current_dir(self.place.0.path())
            .env("HF_HUB_OFFLINE", "1")
            .args(args);
        command
    }

    /// Answers again with a package in the flag's place: the run's own answers, byte for byte.
    fn answers_again(&self, flag: &str, package: &str) {
        let again = self.factory(&[
            "generate",
            flag,
            package,
            "--data",
            "dev.jsonl",
            "--max-tokens",
            "8",
            "--device",
            "cpu",
            "--out",
            "again.jsonl",
        ]);
        assert!(again.status.success(), "{}", errors(&again));
        let before = self.place.stage("runs", "answers");
        assert_eq!(
            fs::read(self.path("again.jsonl")).unwrap(),
            fs::read(before.join("predictions.jsonl")).unwrap()
        );
    }

    fn factory(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn run(&self) -> PathBuf {
        let mut runs = fs::read_dir(self.path("runs"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        runs.find(|path| path.join("decision.json").exists())
            .unwrap()
    }

    /// Packages the run into `out`; what is said.
    fn package(&self, out: &str, more: &[&str]) -> String {
        let run = text(&self.run());
        let output = self.factory(&[&["package", &run, "--out", out][..], more].concat());
        assert!(output.status.success(), "{}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The one error of a package that must not be made; nothing may be left of it.
    fn refused(&self, code: i32, more: &[&str]) -> String {
        let run = text(&self.run());
        let output = self.factory(&[&["package", &run, "--out", "out"][..], more].concat());
        let said = errors(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        let entries = fs::read_dir(self.place.0.path()).unwrap();
        let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(
            !names.any(|name| name.contains("out")),
            "something was written"
        );
        said.lines()
            .find(|line| line.starts_with("error: "))
            .unwrap()
            .to_owned()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn has(text: &str, part: &str) {
    assert!(text.contains(part), "{text:?} lacks {part:?}");
}

#[test]
fn a_package_is_an_adapter_that_answers_and_is_what_its_lock_says() {
    let made = Made::new("tiny-llama", "");
    made.package("a", &["--base-id", "some/base"]);
    made.package("b", &["--base-id", "some/base"]);
    let (a, b) = (made.path("a"), made.path("b"));
    let expected = "README.md adapter_config.json adapter_model.safetensors config.toml decision.json gates.json package.lock.json prompt.json recipe.toml report.html report.md";
    assert_eq!(names(&a).join(" "), expected);
    for name in names(&a) {
        assert_eq!(
            fs::read(a.join(&name)).unwrap(),
            fs::read(b.join(&name)).unwrap(),
            "{name}"
        );
    }
    let card = fs::read_to_string(a.join("README.md")).unwrap();
    has(
        &card,
        "---\nbase_model: \"some/base\"\nlibrary_name: peft\npipeline_tag: text-generation\n",
    );
    has(&card, "| all | execution\\_accuracy (factory) | 0.000");
    has(&card, "(n=6) | baseline - 3 points | pass |");
    has(&card, "PeftModel.from_pretrained(base, \"THIS-FOLDER\")");
    assert!(
        !card.contains("ticket 1") && !card.contains("select 1"),
        "a row's text is on the card"
    );
    let prompt = json_of(&a.join("prompt.json"));
    assert_eq!(
        (&prompt["template"], &prompt["after"]),
        (&json!("plain"), &json!("\n"))
    );
    assert_eq!(
        (&prompt["max_tokens"], &prompt["form"]["prompts"]),
        (&json!(8), &json!(6))
    );
    made.answers_again("--lora", "a");

    let check = |args: &[&str]| {
        let output = made.factory(&[&["package", "check", "a"][..], args].concat());
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    assert_eq!(check(&[]), (0, "a is as it was made\n".to_owned()));
    fs::write(a.join("config.toml"), "template = \"chatml\"\n").unwrap();
    fs::write(a.join("more.txt"), "").unwrap();
    fs::remove_file(a.join("gates.json")).unwrap();
    let (code, said) = check(&["--base", "elsewhere"]);
    assert_eq!(code, 1);
    for part in [
        "config.toml has changed: its sha256 is ",
        "gates.json is missing\n",
        "more.txt is no file of the package\n",
        "the base elsewhere is not here",
    ] {
        has(&said, part);
    }
    fs::write(made.path("base/more.json"), "{}").unwrap();
    has(&check(&[]).1, "the base base is another: its sha256 is ");
}

#[test]
fn what_is_not_decided_true_and_at_hand_is_refused_and_nothing_is_written() {
    let made = Made::new("tiny-llama", "");
    let run = made.run();
    let said = made.refused(1, &["--gguf", "q8_0"]);
    has(
        &said,
        "blk.0.ffn_down.weight has rows of 80 weights, and q8_0 has blocks of 32: store it as f16",
    );
    made.refused(2, &["--ollama"]);
    has(
        &made.refused(2, &["--hub", "me/desk"]),
        "HF_HUB_OFFLINE is set",
    );
    has(
        &made.refused(2, &["--base-id", "x"]),
        "--base-id x is no id of a hub",
    );

    let rows = run.join("rows/all.candidate.jsonl");
    let own = fs::read_to_string(&rows).unwrap();
    fs::write(
        &rows,
        own.replace("\"exec_match\":false", "\"exec_match\":true"),
    )
    .unwrap();
    has(&made.refused(1, &[]), "may not be published, ");
    fs::write(&rows, own).unwrap();

    let base = made.path("base");
    fs::write(base.join("notes.txt"), "another").unwrap();
    has(
        &made.refused(1, &[]),
        "the base base is not the one that run ",
    );
    fs::remove_dir_all(&base).unwrap();
    let said = made.refused(1, &["--gguf", "f16"]);
    has(&said, "error: the base base of run ");
    has(
        &said,
        " is not here: put it back, or call from the folder that the run was made in",
    );

    let decide = [
        "runs",
        "decide",
        &text(&run),
        "--decision",
        "park",
        "--reason",
        "too slow",
        "--lesson",
        "speed counts",
    ];
    assert!(made.factory(&decide).status.success());
    has(
        &made.refused(1, &[]),
        "was decided park, not to ship: too slow (--allow-not-shipped packages it all the same)",
    );
}

#[test]
fn what_was_parked_is_packaged_where_a_flag_says_so() {
    let made = Made::new("tiny-llama", "");
    let run = text(&made.run());
    let decide = [
        "runs",
        "decide",
        &run,
        "--decision",
        "park",
        "--reason",
        "too slow",
        "--lesson",
        "speed counts",
    ];
    assert!(made.factory(&decide).status.success());
    made.package("a", &["--allow-not-shipped", "--merged"]);
    let card = fs::read_to_string(made.path("a/README.md")).unwrap();
    has(&card, "**Not decided to ship (park): too slow**");
    has(&card, "library_name: transformers");
    has(
        &card,
        "| all | 0.000 | 0.000 | 0.000 to 0.390 | pass | 6 of 6 |",
    );
    let compared = json_of(&made.path("a/compared.json"));
    // Stored as bf16, as the base is.
    let largest = compared["logits"]["largest"].as_f64().unwrap();
    assert!(largest > 0.0 && largest < 1.0, "{largest}");
    // The merged folder is a base of its own, which says how it is asked.
    made.answers_again("--base", "a");
    // It needs no base.
    fs::remove_dir_all(made.path("base")).unwrap();
    assert!(made.factory(&["package", "check", "a"]).status.success());
}

#[test]
fn a_gguf_says_how_far_it_is_from_the_adapter() {
    // Every width of this model is a multiple of a block.
    let made = Made::new("tiny-qwen3", "stop = [\";\", \"\\n\"]");
    let mut last = 0.0;
    for (kind, most) in [("f16", 0.1), ("q8_0", 1.0), ("q4_0", 20.0)] {
        let said = made.package(kind, &["--gguf", kind, "--ollama"]);
        has(&said, "gate all: execution_accuracy ");
        let folder = made.path(kind);
        let compared = json_of(&folder.join("compared.json"));
        let largest = compared["logits"]["largest"].as_f64().unwrap();
        assert!(largest > last && largest < most, "{kind}: {largest}");
        last = largest;
        assert_eq!(
            (&compared["logits"]["prompts"], &compared["gates"][0]["n"]),
            (&json!(6), &json!(6))
        );
        let card = fs::read_to_string(folder.join("README.md")).unwrap();
        has(&card, "library_name: gguf");
        has(&card, " of 6 |\n");
        let base = Base::load(
            folder.join("model.gguf").to_str().unwrap(),
            DType::F32,
            &Device::Cpu,
        )
        .unwrap();
        assert_eq!(base.decoder.config.num_hidden_layers, 2);
        let content =
            Content::read(&mut fs::File::open(folder.join("model.gguf")).unwrap()).unwrap();
        has(
            content.metadata["tokenizer.chat_template"]
                .to_string()
                .unwrap(),
            "message.content",
        );
    }
    let modelfile = fs::read_to_string(made.path("f16/Modelfile")).unwrap();
    has(
        &modelfile,
        "FROM ./model.gguf\nTEMPLATE \"\"\"{{ range .Messages }}",
    );
    has(
        &modelfile,
        "PARAMETER stop \"\"\";\"\"\"\nPARAMETER stop \"\"\"\n\"\"\"\nPARAMETER temperature 0\nPARAMETER repeat_penalty 1\nPARAMETER num_predict 8\n",
    );
    // A GGUF base keeps its own metadata, and is merged again.
    let file = text(&made.path("f16/model.gguf"));
    assert!(factory(&["model", "inspect", &file]).status.success());
}

#[test]
fn a_package_is_uploaded_in_one_commit() {
    let made = Made::new("tiny-llama", "");
    let hub = hub::start(|name| name.ends_with(".safetensors"));
    let upload = |token: &str, args: &[&str]| {
        let mut command = made.command(args);
        command
            .env_remove("HF_HUB_OFFLINE")
            .env("HF_ENDPOINT", &hub.endpoint)
            .env("HF_TOKEN", token);
        command.output().unwrap()
    };
    let run = text(&made.run());
    let output = upload(
        "wrong",
        &["package", &run, "--out", "a", "--hub", "me/desk"],
    );
    assert_eq!(output.status.code(), Some(1));
    let said = errors(&output);
    has(
        &said,
        "nothing was committed; a is whole, go on with: factory package upload a --hub REPO",
    );
    has(
        &said,
        "401 Unauthorized (the token may not write there): {\"error\":\"Invalid credentials\"}",
    );
    let output = upload("right", &["package", "upload", "a", "--hub", "me/desk"]);
    assert!(output.status.success(), "{}", errors(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        said,
        format!("uploaded: {}/me/desk/commit/c0\n", hub.endpoint)
    );

    let asked = hub.asked();
    let of = |line: &str| asked.iter().rfind(|asked| asked.line == line).unwrap();
    let created: Value = serde_json::from_slice(&of("POST /api/repos/create").body).unwrap();
    assert_eq!(
        created,
        json!({"type": "model", "name": "desk", "organization": "me"})
    );
    let weights = fs::read(made.path("a/adapter_model.safetensors")).unwrap();
    let put = of("PUT /store/object");
    assert_eq!(put.body, weights);
    assert_eq!(
        (
            put.headers.get("authorization"),
            &put.headers["x-signed"][..]
        ),
        (None, "yes")
    );
    let oid = hex(&Sha256::digest(&weights));
    let verified: Value = serde_json::from_slice(&of("POST /verify/object").body).unwrap();
    assert_eq!(verified, json!({"oid": oid, "size": weights.len()}));
    let commit = &of("POST /api/models/me/desk/commit/main").body;
    let lines: Vec<Value> = commit
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    assert_eq!(lines[0]["key"], "header");
    let mut sent = Vec::new();
    for line in &lines[1..] {
        let path = line["value"]["path"].as_str().unwrap();
        sent.push(path.to_owned());
        match line["key"].as_str().unwrap() {
            "lfsFile" => assert_eq!(
                (&line["value"]["oid"], path),
                (&json!(oid), "adapter_model.safetensors")
            ),
            key => {
                assert_eq!(key, "file");
                let content = STANDARD
                    .decode(line["value"]["content"].as_str().unwrap())
                    .unwrap();
                assert_eq!(content, fs::read(made.path("a").join(path)).unwrap());
            }
        }
    }
    assert_eq!(sent, names(&made.path("a")));

    // What was changed since is not sent.
    fs::write(made.path("a/README.md"), "mine").unwrap();
    let count = hub.asked().len();
    let output = upload("right", &["package", "upload", "a", "--hub", "me/desk"]);
    has(&errors(&output), "error: a: README.md has changed");
    let empty = tempfile::tempdir().unwrap();
    let mut command = made.command(&["package", "upload", "a", "--hub", "me/desk"]);
    command
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_TOKEN")
        .env("HF_HOME", empty.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    has(&errors(&output), "no token for the hub: set HF_TOKEN");
    assert_eq!(hub.asked().len(), count);
}
