//! What several test files share: the tiny models under tests/goldens and the binary.

use candle_core::{DType, Device, Tensor};
use factory::generation::engine::Engine;
use factory::generation::sampler::SamplerConfig;
use factory::generation::sequence::Answer;
use factory::generation::stop::StopConfig;
use factory::model::load::Base;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

#[allow(dead_code)]
pub const MODELS: [&str; 3] = ["tiny-llama", "tiny-qwen2", "tiny-qwen3"];

pub fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/goldens")
        .join(name)
}

#[allow(dead_code)] // not every test file reads JSON
pub fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(name)).unwrap()).unwrap()
}

#[allow(dead_code)]
pub fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[allow(dead_code)]
pub fn base(name: &str) -> Base {
    Base::load(golden(name).to_str().unwrap(), DType::F32, &Device::Cpu).unwrap()
}

/// Greedy answers to `prompts`.
#[allow(dead_code)]
pub fn greedy(base: &Base, prompts: &[Vec<u32>], max_tokens: usize, batch: usize) -> Vec<Answer> {
    let engine = Engine {
        decoder: &base.decoder,
        tokenizer: &base.tokenizer,
        adapters: None,
        sampler: SamplerConfig::default(),
        stop: StopConfig {
            max_tokens,
            stop: Vec::new(),
        },
        batch,
        memory: usize::MAX,
        speculation: None,
        grammars: Vec::new(),
    };
    engine.generate(prompts).unwrap()
}

/// The words of `factory generate` on the CPU.
#[allow(dead_code)]
pub fn generate<'a>(base: &'a str, data: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let words = [
        "generate", "--base", base, "--data", data, "--out", out, "--device", "cpu",
    ];
    [&words, more].concat()
}

/// ‖a − b‖ / ‖b‖
#[allow(dead_code)]
pub fn distance(a: &Tensor, b: &Tensor) -> f32 {
    let norm = |t: &Tensor| {
        let squares = t.sqr().unwrap().sum_all().unwrap();
        squares.to_scalar::<f32>().unwrap().sqrt()
    };
    norm(&(a - b).unwrap()) / norm(b)
}

/// The largest of some differences; a NaN among them is it.
#[allow(dead_code)]
pub fn largest(differences: impl Iterator<Item = f32>) -> f32 {
    differences.fold(0.0, |a, b| if a.is_nan() || a > b { a } else { b })
}

/// Words as the functions here take them.
#[allow(dead_code)]
pub fn refs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Runs the binary.
#[allow(dead_code)]
pub fn factory(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(args)
        .env("HF_HUB_OFFLINE", "1")
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap()
}

/// A folder with training rows and prompts.
#[allow(dead_code)]
pub fn workplace() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut train = String::new();
    let mut dev = String::new();
    for i in 0..6 {
        train += &format!("{{\"instruction\":\"count {i}\",\"response\":\"select {i};\"}}\n");
        dev += &format!("{{\"id\":\"d{i}\",\"prompt\":\"count {i}\"}}\n");
    }
    fs::write(dir.path().join("train.jsonl"), train).unwrap();
    fs::write(dir.path().join("dev.jsonl"), dev).unwrap();
    dir
}

/// Writes what the rows of [`workplace`] teach as rows to be answered, with their database; both for flags.
#[allow(dead_code)]
pub fn answered_rows(dir: &Path) -> (String, String) {
    fs::write(dir.join("pens.sql"), "CREATE TABLE pens (id INTEGER);").unwrap();
    let row = |i: usize| {
        let gold = format!("select {i};");
        let row = serde_json::json!({"id": i, "prompt": format!("count {i}"), "gold_sql": gold, "db": "pens"});
        row.to_string() + "\n"
    };
    let rows: String = (0..6).map(row).collect();
    fs::write(dir.join("eval.jsonl"), rows).unwrap();
    (text(&dir.join("eval.jsonl")), text(dir))
}

#[allow(dead_code)]
pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_string()
}

#[allow(dead_code)]
pub fn tiny() -> String {
    text(&golden("tiny-llama"))
}

/// A tiny base with room for an episode, in `dir`.
#[allow(dead_code)]
pub fn roomy(dir: &Path, name: &str) -> String {
    let base = dir.join(name);
    fs::create_dir(&base).unwrap();
    for entry in fs::read_dir(golden(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), base.join(entry.file_name())).unwrap();
    }
    let config = base.join("config.json");
    let said = fs::read_to_string(&config).unwrap();
    let more = said.replace(
        "\"max_position_embeddings\": 512",
        "\"max_position_embeddings\": 8192",
    );
    assert_ne!(said, more);
    fs::write(config, more).unwrap();
    text(&base)
}

/// Runs and returns stdout; panics with stderr on failure.
#[allow(dead_code)]
pub fn ok(args: &[&str]) -> String {
    let out = factory(args);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{args:?}: {stderr}");
    String::from_utf8(out.stdout).unwrap()
}

/// The rows of `data` as `factory generate` answers them with `base` and more flags, short and on the CPU.
#[allow(dead_code)]
pub fn answers(data: &Path, base: &str, flags: &[&str]) -> String {
    let out = data.with_extension("preds");
    let (data, out) = (text(data), text(&out));
    let fixed = [
        "generate",
        "--base",
        base,
        "--device",
        "cpu",
        "--max-tokens",
        "8",
        "--data",
        &data,
        "--out",
        &out,
    ];
    ok(&[&fixed[..], flags].concat());
    fs::read_to_string(out).unwrap()
}

/// Runs a command that must fail with `code` and one line on stderr that holds every one of `parts`.
#[allow(dead_code)]
pub fn fails(args: &[&str], code: i32, parts: &[&str]) {
    let out = factory(args);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(!stderr.contains("rust_begin"), "{stderr}");
    let line = stderr.lines().find(|l| l.starts_with("error: "));
    let line = line.unwrap_or_else(|| panic!("no error line: {stderr}"));
    for part in parts {
        assert!(line.contains(part), "{line:?} lacks {part:?}");
    }
}
