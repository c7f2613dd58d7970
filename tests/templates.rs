//! Templates as a user meets them: what an adapter was trained in, what a base must have, where an answer ends.

mod common;

use common::{answered_rows, fails, golden, ok, text, tiny, workplace};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A copy of the tiny base in `dir`, with `from` as `to` in some of its files.
fn changed_base(dir: &Path, changes: &[(&str, &str, &str)]) -> String {
    let base = dir.join("base");
    fs::create_dir(&base).unwrap();
    for entry in fs::read_dir(golden("tiny-llama")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), base.join(entry.file_name())).unwrap();
    }
    for (file, from, to) in changes {
        let said = fs::read_to_string(base.join(file)).unwrap();
        fs::write(base.join(file), said.replace(from, to)).unwrap();
    }
    text(&base)
}

#[test]
fn an_adapter_is_asked_in_the_template_it_was_trained_in() {
    let dir = workplace();
    let (data, base) = (text(&dir.path().join("train.jsonl")), tiny());
    let chat = text(&dir.path().join("chat"));
    let recipe = ["--template", "chatml", "--steps", "12", "--lr", "0.02"];
    let args = ["sft", "--data", &data, "--base", &base, "--out", &chat];
    ok(&[&args[..], &["--device", "cpu", "--batch", "2"], &recipe].concat());
    let ask = |more: &[&str]| {
        let args = [
            "generate", "--base", &base, "--lora", &chat, "--prompt", "count 3",
        ];
        ok(&[&args[..], &["--max-tokens", "6"], more].concat())
    };
    assert_eq!(ask(&[]), ask(&["--template", "chatml"]));
    assert_ne!(ask(&[]), ask(&["--template", "plain"]));
    // What is made of it says so too.
    let (composed, converted) = (dir.path().join("composed"), dir.path().join("mlx"));
    let make = |what: &[&str], out: &Path| {
        ok(&[
            &["adapter"],
            what,
            &["--base", &base, "--device", "cpu", "--out", &text(out)],
        ]
        .concat());
        fs::read_to_string(out.join("config.toml")).unwrap()
    };
    let said = "template = \"chatml\"\n";
    assert_eq!(make(&["compose", "--lora", &chat], &composed), said);
    assert_eq!(make(&["convert", &chat, "--to", "mlx"], &converted), said);
}

#[test]
fn an_adapter_remembers_the_base_s_own_template() {
    let dir = workplace();
    let base = changed_base(dir.path(), &[]);
    let template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
    let file = Path::new(&base).join("chat_template.jinja");
    fs::write(&file, template).unwrap();
    let (data, own) = (
        text(&dir.path().join("train.jsonl")),
        text(&dir.path().join("own")),
    );
    let recipe = ["--template", "base", "--steps", "12", "--lr", "0.02"];
    let args = ["sft", "--data", &data, "--base", &base, "--out", &own];
    ok(&[&args[..], &["--device", "cpu", "--batch", "2"], &recipe].concat());
    let kept = fs::read_to_string(Path::new(&own).join("chat_template.jinja"));
    assert_eq!(kept.unwrap(), template);
    let ask = |more: &[&str]| {
        let args = [
            "generate", "--base", &base, "--lora", &own, "--prompt", "count 3",
        ];
        ok(&[&args[..], &["--max-tokens", "6"], more].concat())
    };
    let answer = ask(&[]);
    assert_eq!(answer, ask(&["--template", "base"]));
    assert_ne!(answer, ask(&["--template", "plain"]));
    // Another template of the base's changes nothing, but where it is asked for.
    fs::write(&file, template.replace('[', "((")).unwrap();
    assert_eq!(answer, ask(&[]));
    assert_ne!(answer, ask(&["--template", "base"]));
    fs::remove_file(Path::new(&own).join("chat_template.jinja")).unwrap();
    let lost = ["generate", "--base", &base, "--lora", &own, "--prompt", "x"];
    fails(&lost, 1, &["chat_template.jinja"]);
}

#[test]
fn training_answers_as_generate_does() {
    let dir = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    // A base that ends otherwise than the template.
    let changes = ["config.json", "generation_config.json"].map(|file| (file, ": 258", ": 256"));
    let base = changed_base(dir.path(), &changes);
    // What followed an answer would be part of its query.
    let rows = fs::read_to_string(path("train.jsonl")).unwrap();
    fs::write(path("train.jsonl"), rows.replace(';', "")).unwrap();
    let (eval, db) = answered_rows(dir.path());
    let (data, lora, preds) = (path("train.jsonl"), path("chat"), path("preds.jsonl"));
    ok(&[
        "sft",
        "--base",
        &base,
        "--data",
        &data,
        "--device",
        "cpu",
        "--out",
        &lora,
        "--template",
        "chatml",
        "--steps",
        "150",
        "--lr",
        "0.02",
        "--eval-data",
        &eval,
        "--eval-db",
        &db,
    ]);
    let metrics = fs::read_to_string(Path::new(&lora).join("metrics.jsonl")).unwrap();
    let metrics = metrics
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let accuracies = metrics.filter_map(|m| m["execution_accuracy"].as_f64());
    let best = accuracies.fold(0.0, f64::max);
    assert!(best > 0.0, "no answer is right");
    ok(&[
        "generate", "--lora", &lora, "--device", "cpu", "--data", &eval, "--out", &preds,
    ]);
    let said = ok(&[
        "eval-sql",
        &preds,
        "--db-dir",
        &db,
        "--out",
        &path("rows.jsonl"),
    ]);
    assert!(
        said.contains(&format!("execution_accuracy={best:.3}")),
        "{best}: {said}"
    );
}

#[test]
fn a_template_needs_its_tokens() {
    let dir = workplace();
    let base = changed_base(
        dir.path(),
        &[("tokenizer.json", "<|im_start|>", "<|begin|>")],
    );
    let args = [
        "generate",
        "--base",
        &base,
        "--prompt",
        "x",
        "--template",
        "chatml",
    ];
    fails(&args, 1, &["<|im_start|>", "--template plain"]);
}

#[test]
fn a_merged_model_is_asked_as_its_adapter_was() {
    let dir = workplace();
    let path = |name: &str| text(&dir.path().join(name));
    // A base that ends otherwise than the template.
    let changes = ["config.json", "generation_config.json"].map(|file| (file, ": 258", ": 256"));
    let base = changed_base(dir.path(), &changes);
    let (data, chat, merged, gguf) = (
        path("train.jsonl"),
        path("chat"),
        path("merged"),
        path("lora.gguf"),
    );
    let args = [
        "sft",
        "--data",
        &data,
        "--base",
        &base,
        "--out",
        &chat,
        "--template",
        "chatml",
    ];
    ok(&[
        &args[..],
        &[
            "--device", "cpu", "--batch", "6", "--steps", "80", "--lr", "0.02",
        ],
    ]
    .concat());
    ok(&[
        "adapter", "merge", "--lora", &chat, "--dtype", "f32", "--out", &merged, "--device", "cpu",
    ]);
    let prompt = [
        "generate",
        "--device",
        "cpu",
        "--prompt",
        "count 3",
        "--max-tokens",
        "40",
    ];
    let ask = |more: &[&str]| ok(&[&prompt[..], more].concat());
    let answer = ask(&["--lora", &chat]);
    assert_eq!(answer.trim(), "select 3;");
    assert_eq!(ask(&["--base", &merged]), answer);
    assert_ne!(ask(&["--base", &merged, "--template", "plain"]), answer);
    let read = |name: &str| {
        let text = fs::read_to_string(Path::new(&merged).join(name)).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    assert_eq!(read("config.json")["eos_token_id"], 258);
    assert_eq!(
        read("generation_config.json")["eos_token_id"],
        serde_json::json!([258, 256])
    );
    let template = read("tokenizer_config.json")["chat_template"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(template.contains("<|im_start|>"), "{template}");
    assert_eq!(
        fs::read_to_string(Path::new(&merged).join("chat_template.jinja")).unwrap(),
        template
    );

    // llama.cpp's file has no place for it.
    let out = common::factory(&[
        "adapter", "convert", &chat, "--to", "gguf", "--out", &gguf, "--device", "cpu",
    ]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains("answer with --template chatml"), "{said}");
    let lora = ["--base", &base, "--lora", &gguf];
    fails(
        &[&prompt[..], &lora].concat(),
        2,
        &["lora.gguf", "--template plain, chatml or base"],
    );
    assert_eq!(
        ask(&[&lora[..], &["--template", "chatml"]].concat()),
        answer
    );
}
