//! `factory generate` where things go wrong: interrupted at any moment, out of disk or memory, a row too long or without numbers;
//! and how answers end.

mod common;

use common::{answers, base, factory, fails, golden, greedy, ok, refs, text, tiny};
use factory::generation::engine::Engine;
use factory::generation::sampler::SamplerConfig;
use factory::generation::sequence::{Answer, Finish};
use factory::generation::stop::StopConfig;
use factory::model::ops::Path as OpsPath;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn write_rows(path: &Path, count: usize) {
    let row = |i: usize| json!({"id": i, "prompt": format!("item {i}")}).to_string() + "\n";
    fs::write(path, (0..count).map(row).collect::<String>()).unwrap();
}

/// Rows enough to be interrupted, sampled, so that each row's own stream shows; by integer products, which a row's neighbours do not
/// change.
fn command(dir: &Path, out: &str, more: &[&str]) -> Vec<String> {
    let (data, out, base) = (text(&dir.join("p.jsonl")), text(&dir.join(out)), tiny());
    let fixed = [
        "generate",
        "--data",
        &data,
        "--base",
        &base,
        "--out",
        &out,
        "--device",
        "cpu",
        "--batch",
        "4",
        "--max-tokens",
        "60",
        "--temperature",
        "0.9",
        "--seed",
        "3",
        "--weights",
        "q8",
        "--finish",
    ];
    let all = [&fixed[..], more].concat();
    all.into_iter().map(str::to_owned).collect()
}

fn start(args: &[String]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Whole lines of a file; a process that is killed may leave half a line, and half a character.
fn whole_lines(path: &Path) -> std::io::Result<usize> {
    let bytes = fs::read(path)?;
    Ok(bytes.iter().filter(|byte| **byte == b'\n').count())
}

/// Waits until that many rows are kept.
fn wait_for(partial: &Path, rows: usize) {
    let begun = Instant::now();
    while whole_lines(partial).unwrap_or(0) < rows + 1 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn kills_at_random_moments_change_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_rows(&at("p.jsonl"), 400);
    ok(&refs(&command(dir.path(), "whole", &[])));
    let mut rng = StdRng::seed_from_u64(7);
    let mut kept = Vec::new();
    while kept.len() < 8 {
        let more: &[&str] = if kept.is_empty() { &[] } else { &["--resume"] };
        let mut child = start(&command(dir.path(), "killed", more));
        wait_for(
            &at("killed.partial"),
            kept.last().map_or(0, |rows| rows + 1),
        );
        sleep(Duration::from_millis(rng.random_range(0..60)));
        child.kill().unwrap();
        let said = child.wait_with_output().unwrap().stderr;
        let said = String::from_utf8(said).unwrap();
        assert!(!at("killed").exists(), "the run was faster: {kept:?}");
        kept.push(whole_lines(&at("killed.partial")).expect(&said) - 1);
    }
    assert!(kept.is_sorted() && kept[7] > 8, "{kept:?}");
    // Other rows in flight together: not another row's tokens.
    let resumed = command(dir.path(), "killed", &["--resume", "--batch", "9"]);
    let batch = resumed.iter().position(|flag| flag == "--batch").unwrap();
    let resumed = [&resumed[..batch], &resumed[batch + 2..]].concat();
    ok(&refs(&resumed));
    assert!(fs::read(at("killed")).unwrap() == fs::read(at("whole")).unwrap());
    assert!(!at("killed.partial").exists());
    // There is nothing more to go on with.
    let said = factory(&refs(&resumed)).stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("killed.partial to go on with"), "{said}");
    assert!(fs::read(at("killed")).unwrap() == fs::read(at("whole")).unwrap());
}

#[cfg(unix)]
#[test]
fn signals_keep_what_is_done_and_say_how_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_rows(&at("p.jsonl"), 400);
    ok(&refs(&command(dir.path(), "whole", &[])));
    for signal in ["-INT", "-TERM"] {
        let child = start(&command(dir.path(), "out", &[]));
        wait_for(&at("out.partial"), 3);
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        let error = said
            .lines()
            .find(|line| line.starts_with("error: "))
            .unwrap();
        assert!(error.contains("of 400 rows are kept in "), "{error}");
        assert!(
            error.contains("the same command and --resume: interrupted"),
            "{error}"
        );
        assert!(!at("out").exists());

        // A fresh start does not trample on it, and neither does another run.
        let other = |more: &[&str]| command(dir.path(), "out", more);
        fails(
            &refs(&other(&[])),
            1,
            &["out.partial", "go on with --resume"],
        );
        let rows = fs::read_to_string(at("p.jsonl")).unwrap();
        fs::write(at("p.jsonl"), rows.replace("item 7\"", "item seven\"")).unwrap();
        fails(
            &refs(&other(&["--resume"])),
            1,
            &["other inputs or flags (--data, tokens of the prompts)"],
        );
        fs::write(at("p.jsonl"), rows).unwrap();
        let lora = text(&golden("tiny-llama-lora"));
        let parts = ["(--lora, --lora-weight, --route, --stop, --top-p)"];
        fails(
            &refs(&other(&[
                "--resume", "--lora", &lora, "--stop", ";", "--top-p", "0.5",
            ])),
            1,
            &parts,
        );

        // What changes no answer may be another.
        let out = factory(&refs(&other(&["--resume", "--on-long", "skip"])));
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(
            out.status.success() && said.contains("going on after "),
            "{said}"
        );
        assert!(said.contains("400 rows (stop "), "{said}");
        assert!(fs::read(at("out")).unwrap() == fs::read(at("whole")).unwrap());
        fs::remove_file(at("out")).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_the_run_and_spares_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_rows(&at("p.jsonl"), 40);
    ok(&refs(&command(dir.path(), "whole", &[])));
    let limited = |kib: u32, more: &[&str]| {
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$@\"");
        let out = Command::new("bash")
            .args(["-c", &script, "bash", env!("CARGO_BIN_EXE_factory")])
            .args(command(dir.path(), "out", more))
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(1));
        String::from_utf8(out.stderr).unwrap()
    };
    // No file may become longer: first the rows, then more of them.
    for (kib, more) in [(2, &[][..]), (4, &["--resume"])] {
        let said = limited(kib, more);
        assert!(
            said.contains("cannot write") && said.contains("out.partial"),
            "{said}"
        );
        assert!(said.contains("and --resume: "), "{said}");
        assert!(!at("out").exists());
    }
    ok(&refs(&command(dir.path(), "out", &["--resume"])));
    assert!(fs::read(at("out")).unwrap() == fs::read(at("whole")).unwrap());
}

#[test]
fn rows_that_are_too_long_are_named_or_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let prompts = ["short", &"long ".repeat(110), "x", &"longer ".repeat(71)];
    let rows = prompts.map(|prompt| json!({"prompt": prompt, "_finish": "old"}).to_string() + "\n");
    fs::write(at("p.jsonl"), rows.concat()).unwrap();
    let (data, out) = (text(&at("p.jsonl")), text(&at("o.jsonl")));
    let base = tiny();
    let flags = [
        "generate", "--data", &data, "--out", &out, "--base", &base, "--device", "cpu",
    ];
    let short = [&flags[..], &["--max-tokens", "20"]].concat();
    fails(
        &short,
        1,
        &[
            "p.jsonl:2: the prompt has 551 tokens; with an answer of 20 it exceeds the model's 512 positions: shorten it; ",
            "p.jsonl:4: the prompt has 498 tokens",
            "lower --max-tokens to 14",
            "--on-long skip",
        ],
    );
    let skip = factory(&[&short[..], &["--on-long", "skip"]].concat());
    let said = String::from_utf8(skip.stderr).unwrap();
    assert!(skip.status.success(), "{said}");
    assert!(said.contains("too_long 2"), "{said}");
    let answered: Vec<Value> = fs::read_to_string(&out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // A mark that a former answer left is renewed.
    let finish = answered.iter().map(|row| row["_finish"].as_str().unwrap());
    let finish: Vec<_> = finish.collect();
    assert_eq!(finish, ["length", "too_long", "length", "too_long"]);
    assert!(answered[1]["predicted_sql"].is_null() && answered[0]["predicted_sql"].is_string());
    let one = [
        "generate", "--base", &base, "--device", "cpu", "--prompt", prompts[1],
    ];
    fails(&one, 1, &["551 tokens"]);
}

/// `tiny-llama` in `folder` with no numbers in the embedding of `z`.
fn broken(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for entry in fs::read_dir(golden("tiny-llama")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    // Its head is a matrix of its own, so that other rows' logits stay numbers.
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let embedding = file.tensor("model.embed_tokens.weight").unwrap();
    let mut changed = embedding.data().to_vec();
    let row = changed.len() / embedding.shape()[0];
    let z = base("tiny-llama").tokenizer.encode("z").unwrap()[0] as usize;
    // All bits set are NaN in every float.
    changed[z * row..(z + 1) * row].fill(0xff);
    let view = |data| {
        safetensors::tensor::TensorView::new(embedding.dtype(), embedding.shape().to_vec(), data)
    };
    let mut all: Vec<(String, _)> = file.tensors();
    all.retain(|(name, _)| name != "model.embed_tokens.weight");
    all.push(("model.embed_tokens.weight".into(), view(&changed).unwrap()));
    all.push(("lm_head.weight".into(), view(embedding.data()).unwrap()));
    fs::write(&path, safetensors::serialize(all, None).unwrap()).unwrap();
    let config = folder.join("config.json");
    let said = fs::read_to_string(&config).unwrap();
    let untied = said.replace(
        "\"tie_word_embeddings\": true",
        "\"tie_word_embeddings\": false",
    );
    assert_ne!(said, untied);
    fs::write(config, untied).unwrap();
}

#[test]
fn a_row_without_numbers_is_named_and_spoils_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    broken(&at("base"));
    let prompts = ["zoo", "one", "a maze of twelve", "two", "three"];
    let rows = prompts.map(|prompt| json!({"prompt": prompt}).to_string() + "\n");
    fs::write(at("p.jsonl"), rows.concat()).unwrap();
    let (data, out, broken) = (
        text(&at("p.jsonl")),
        text(&at("o.jsonl")),
        text(&at("base")),
    );
    let flags = [
        "--max-tokens",
        "8",
        "--batch",
        "3",
        "--finish",
        "--device",
        "cpu",
    ];
    let args = [
        "generate", "--data", &data, "--out", &out, "--base", &broken,
    ];
    fails(
        &[&args[..], &flags].concat(),
        1,
        &["2 of 5 rows have no answer", "p.jsonl:1; ", "p.jsonl:3"],
    );
    assert!(!at("o.jsonl.partial").exists());
    let found = fs::read_to_string(&out).unwrap();
    let rows: Vec<Value> = found
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    for row in [0, 2] {
        assert!(rows[row]["predicted_sql"].is_null(), "{found}");
        assert_eq!(rows[row]["_finish"], "error");
    }
    // The others answer as the base that is whole does.
    let sound =
        prompts.map(|prompt| json!({"prompt": prompt.replace('z', "s")}).to_string() + "\n");
    fs::write(at("sound.jsonl"), sound.concat()).unwrap();
    let expected = answers(&at("sound.jsonl"), &tiny(), &[]);
    let expected: Vec<Value> = expected
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    for row in [1, 3, 4] {
        assert_eq!(rows[row]["predicted_sql"], expected[row]["predicted_sql"]);
    }
    let one = [
        "generate", "--base", &broken, "--device", "cpu", "--prompt", "zoo",
    ];
    fails(&one, 1, &["no answer", "no numbers"]);

    // Padding on other devices' path must not read the broken row's keys.
    let mut base = factory::model::load::Base::load(
        &broken,
        candle_core::DType::F32,
        &candle_core::Device::Cpu,
    )
    .unwrap();
    let tokens = prompts.map(|prompt| base.tokenizer.encode(prompt).unwrap());
    let fused = greedy(&base, &tokens, 8, 3);
    base.decoder.path = OpsPath::Portable;
    let portable = greedy(&base, &tokens, 8, 3);
    for (fused, portable) in fused.iter().zip(&portable) {
        assert_eq!(fused.finish, portable.finish);
        assert!(fused.text == portable.text || fused.min_gap < 1e-3);
    }
}

#[test]
fn a_run_is_measured_on_rows_of_which_one_has_no_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    broken(&at("base"));
    fs::write(at("pens.sql"), "CREATE TABLE pens (id INTEGER);").unwrap();
    let row = |prompt: &str| json!({"prompt": prompt, "completion": "x", "gold_sql": "select 1", "db": "pens"});
    let rows = ["one", "zero"].map(|prompt| row(prompt).to_string() + "\n");
    fs::write(at("eval.jsonl"), rows.concat()).unwrap();
    fs::write(at("train.jsonl"), &rows[0]).unwrap();
    let [base, train, eval, out] =
        ["base", "train.jsonl", "eval.jsonl", "run"].map(|name| text(&at(name)));
    let run = factory(&[
        "sft",
        "--data",
        &train,
        "--base",
        &base,
        "--eval-data",
        &eval,
        "--eval-db",
        &text(dir.path()),
        "--steps",
        "1",
        "--device",
        "cpu",
        "--out",
        &out,
    ]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{said}");
    assert!(
        said.contains("no numbers: ") && said.contains("eval.jsonl:2"),
        "{said}"
    );
    assert!(said.contains("(0/2)"), "{said}");
}

/// Sampled so wildly that special tokens are among the answers.
fn wild(stop: &[&str], memory: usize) -> Vec<Answer> {
    let base = base("tiny-llama");
    let engine = Engine {
        decoder: &base.decoder,
        tokenizer: &base.tokenizer,
        adapters: None,
        sampler: SamplerConfig {
            temperature: 4.0,
            top_p: 1.0,
            seed: 2,
            ..SamplerConfig::default()
        },
        stop: StopConfig {
            max_tokens: 200,
            stop: stop.iter().map(|stop| stop.to_string()).collect(),
        },
        batch: 8,
        memory,
        speculation: None,
        grammars: Vec::new(),
    };
    let prompts: Vec<_> = (0..12u32).map(|i| vec![i + 65, 66, 67]).collect();
    engine.generate(&prompts).unwrap()
}

#[test]
fn a_stop_text_that_is_a_special_token_stops_there() {
    let tokenizer = base("tiny-llama").tokenizer;
    let special = tokenizer.id("<|im_start|>").unwrap();
    let (free, stopped) = (wild(&[], usize::MAX), wild(&["<|im_start|>"], usize::MAX));
    let mut seen = 0;
    for (free, stopped) in free.iter().zip(&stopped) {
        let Some(at) = free.tokens.iter().position(|token| *token == special) else {
            assert_eq!((&free.text, free.finish), (&stopped.text, stopped.finish));
            continue;
        };
        seen += 1;
        let before = tokenizer.decode(&free.tokens[..at]).unwrap();
        assert_eq!(stopped.text.as_deref(), Some(before.as_str()));
        assert_eq!(stopped.finish, Finish::StopText);
        assert_eq!(stopped.tokens, free.tokens[..=at]);
    }
    assert!(seen > 2 && seen < 12, "{seen}");
    // The same, streamed: no part of a stop text is shown.
    let plain = free[0].text.as_ref().unwrap();
    assert!(plain.len() > 8);
    let streamed = |more: &[&str]| {
        let base = tiny();
        let flags = [
            "generate",
            "--base",
            &base,
            "--device",
            "cpu",
            "--prompt",
            "ab",
            "--max-tokens",
            "300",
        ];
        let sampled = ["--temperature", "4", "--seed", "14"];
        ok(&[&flags[..], &sampled, more].concat())
    };
    let (all, cut) = (streamed(&[]), streamed(&["--stop", "<|im_start|>"]));
    assert!(cut.len() < all.len() && all.starts_with(cut.trim_end_matches('\n')));
}

#[test]
fn answers_do_not_depend_on_the_memory_there_is() {
    let all = wild(&[], usize::MAX);
    // Three rows of 203 positions and a step.
    let few = wild(&[], 700_000);
    for (all, few) in all.iter().zip(&few) {
        assert!(all.tokens == few.tokens || all.min_gap < 1e-3);
    }
}

#[test]
fn half_a_character_at_the_limit_is_left_out() {
    let answers = wild(&[], usize::MAX);
    let tokenizer = base("tiny-llama").tokenizer;
    let mut halves = 0;
    for answer in &answers {
        let text = answer.text.as_ref().unwrap();
        let whole = tokenizer.decode(&answer.tokens).unwrap();
        match answer.finish {
            Finish::Length => {
                assert!(!text.ends_with('\u{fffd}') && whole.starts_with(text.as_str()));
                halves += usize::from(whole.len() > text.len());
            }
            _ => assert_eq!(*text, whole),
        }
    }
    assert!(halves > 0);
}

#[cfg(target_os = "linux")]
#[test]
fn too_little_memory_is_an_error_or_fewer_rows_never_an_abort() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_rows(&at("p.jsonl"), 300);
    // A cache of 2 MB a row needs positions that the golden model does not have.
    fs::create_dir(at("base")).unwrap();
    for entry in fs::read_dir(golden("tiny-llama")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, at("base").join(path.file_name().unwrap())).unwrap();
    }
    let config = at("base/config.json");
    let said = fs::read_to_string(&config).unwrap();
    let longer = said.replace(
        "\"max_position_embeddings\": 512",
        "\"max_position_embeddings\": 4000000",
    );
    fs::write(config, longer).unwrap();
    let run = |kib: usize, tokens: &str, out: &str| {
        let (data, out, base) = (text(&at("p.jsonl")), text(&at(out)), text(&at("base")));
        let script = format!("ulimit -v {kib}; exec \"$@\"");
        let args = [
            "generate",
            "--data",
            &data,
            "--base",
            &base,
            "--out",
            &out,
            "--device",
            "cpu",
            "--batch",
            "300",
            "--max-tokens",
            tokens,
            "--stop",
            "e",
            "--stop",
            "a",
            "--stop",
            "\u{fffd}",
            "--temperature",
            "2",
        ];
        let out = Command::new("bash")
            .args(["-c", &script, "bash", env!("CARGO_BIN_EXE_factory")])
            .args(args)
            .env("RAYON_NUM_THREADS", "2")
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, said) = run(1_500_000, "20000", "few");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("of 300 rows at once: each may take"),
        "{said}"
    );
    let (code, said) = run(1_500_000, "3000000", "none");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("error: one row") && said.contains("lower --max-tokens"),
        "{said}"
    );
    assert!(!at("none").exists() && !at("none.partial").exists());
}
