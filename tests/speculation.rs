//! Tokens that are guessed ahead: the answers are the same with and without, and a table that is not the adapter's is refused.

mod common;
#[path = "common/tiny_gguf.rs"]
#[allow(dead_code)] // its other kinds of file
mod tiny_gguf;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device};
use common::{base, fails, golden, ok, text, tiny, workplace};
use factory::adapters::bank::{Bank, Member, Mixture};
use factory::adapters::ngrams::Ngrams;
use factory::adapters::stored;
use factory::generation::engine::{Adapters, Engine};
use factory::generation::sampler::SamplerConfig;
use factory::generation::sequence::Answer;
use factory::generation::stop::StopConfig;
use factory::generation::usage::Usage;
use factory::model::load::Base;
use factory::model::ops::Path as OpsPath;
use factory::model::weight::Held;
use serde_json::Value;
use std::fs;
use std::path::Path;

const ROWS: usize = 120;

/// Rows of which some begin alike, and many say a thing twice.
fn prompts() -> Vec<Vec<u32>> {
    let row = |i: usize| -> Vec<u32> {
        let shared = (0..[40, 0, 23][i % 3]).map(|j| (i % 3 * 60 + j * j) % 251);
        let own = (0..4 + i % 9).map(|j| (i * 37 + j * 11) % 256);
        let own: Vec<usize> = own.collect();
        let all = shared
            .chain(own.iter().copied())
            .chain([7])
            .chain(own.iter().copied());
        all.map(|token| token as u32).collect()
    };
    (0..ROWS).map(row).collect()
}

fn bank(base: &Base) -> Bank {
    let members = ["tiny-llama-lora", "tiny-llama-dora"].map(|name| Member {
        name: name.to_owned(),
        adapter: stored::load(&golden(name), &base.decoder).unwrap(),
    });
    Bank::new(members.into()).unwrap()
}

/// How rows are answered.
#[derive(Clone, Copy)]
struct How<'a> {
    batch: usize,
    temperature: f64,
    stop: &'a [&'a str],
    speculation: Option<&'a [Option<Ngrams>]>,
}

/// Every row gets one of four mixtures, in a table that holds few rows.
fn answer(base: &Base, bank: &Bank, how: How) -> (Vec<Answer>, Usage) {
    let mixtures = vec![
        Mixture::default(),
        Mixture::only(0),
        Mixture::only(1),
        Mixture(vec![(0, 0.5), (1, 0.7)]),
    ];
    let engine = Engine {
        decoder: &base.decoder,
        tokenizer: &base.tokenizer,
        adapters: Some(Adapters {
            bank,
            mixtures,
            choice: (0..ROWS).map(|row| row / 3 % 4).collect(),
        }),
        sampler: SamplerConfig {
            temperature: how.temperature,
            ..SamplerConfig::default()
        },
        stop: StopConfig {
            max_tokens: 24,
            stop: how.stop.iter().map(|text| text.to_string()).collect(),
        },
        batch: how.batch,
        memory: usize::MAX,
        speculation: how.speculation,
        grammars: Vec::new(),
    };
    let prompts = prompts();
    let which: Vec<usize> = (0..ROWS).collect();
    let row = engine.need(&prompts, &which).unwrap().row;
    let mut cache = engine
        .cache(&prompts, &which, Some(row * how.batch))
        .unwrap();
    let found = engine.generate_over(&mut cache, &prompts).unwrap();
    assert_eq!(cache.room(), cache.blocks(), "nothing is held any more");
    found
}

/// What the rows answer, and the same with every sixth token another: mostly sure guesses, and often wrong ones.
fn tables(answers: &[Answer]) -> [Option<Ngrams>; 2] {
    let right = answers.iter().map(|answer| answer.tokens.clone());
    let right: Vec<Vec<u32>> = right.collect();
    let mut wrong = right.clone();
    for tokens in &mut wrong {
        tokens.iter_mut().skip(3).step_by(6).for_each(|t| *t ^= 1);
    }
    [right, wrong].map(|all| Some(Ngrams::of(all.iter().map(|tokens| &tokens[..]))))
}

/// How many rows are others with guesses than without; guesses must have been made, and some of them right and some wrong.
fn changed(base: &Base) -> usize {
    let bank = bank(base);
    let (mut changed, mut guesses) = (0, [0, 0]);
    for temperature in [0.0, 1.0] {
        for stop in [&[][..], &["e", " ["]] {
            let plain = How {
                batch: 1,
                temperature,
                stop,
                speculation: None,
            };
            let (alone, usage) = answer(base, &bank, plain);
            assert_eq!(usage.guessed, 0);
            let tables = tables(&alone);
            for batch in [1, 3, 8] {
                let how = How {
                    batch,
                    speculation: Some(&tables),
                    ..plain
                };
                let (found, usage) = answer(base, &bank, how);
                let Usage { guessed, right, .. } = usage;
                println!("{batch} {temperature} {stop:?}: {right} of {guessed} right");
                guesses[0] += right;
                guesses[1] += guessed - right;
                let said = |answers: &[Answer]| -> usize {
                    answers.iter().map(|answer| answer.tokens.len()).sum()
                };
                assert!(usage.decode.tokens <= said(&found));
                for (found, alone) in found.iter().zip(&alone) {
                    let same = (&found.text, &found.tokens, found.finish)
                        == (&alone.text, &alone.tokens, alone.finish);
                    changed += usize::from(!same);
                }
            }
        }
    }
    assert!(guesses.iter().all(|count| *count > 300), "{guesses:?}");
    changed
}

#[test]
fn by_integer_products_guesses_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tiny.gguf");
    tiny_gguf::write_quantized(&file, "tiny-llama", "llama", GgmlDType::Q4_1);
    for (held, path) in [(Held::Q8, golden("tiny-llama")), (Held::Native, file)] {
        let path = path.to_str().unwrap();
        let base = Base::load_held(path, Some(held), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(changed(&base), 0, "{held:?}");
    }
}

/// A product of one row and one of several sum in other orders.
#[test]
fn in_f32_guesses_change_nothing_but_ties() {
    let changed = changed(&base("tiny-llama"));
    assert!(changed <= 10, "{changed} of {} rows", 12 * ROWS);
}

#[test]
fn fewer_steps_give_the_same_tokens() {
    let base = base("tiny-llama");
    let bank = bank(&base);
    let plain = How {
        batch: 1,
        temperature: 0.0,
        stop: &[],
        speculation: None,
    };
    let (alone, before) = answer(&base, &bank, plain);
    let all = [
        Some(Ngrams::of(alone.iter().map(|a| &a.tokens[..]))),
        Some(Ngrams::of(alone.iter().map(|a| &a.tokens[..]))),
    ];
    let how = How {
        speculation: Some(&all),
        ..plain
    };
    let (_, after) = answer(&base, &bank, how);
    assert_eq!(after.decode.tokens, before.decode.tokens);
    assert!(after.steps + after.right == before.steps, "{after:?}");
    assert!(3 * after.steps < 2 * before.steps, "{after:?} {before:?}");
}

#[test]
fn other_devices_guess_nothing() {
    let mut base = base("tiny-llama");
    base.decoder.path = OpsPath::Portable;
    let how = How {
        batch: 1,
        temperature: 0.0,
        stop: &[],
        speculation: Some(&[]),
    };
    assert_eq!(answer(&base, &bank(&base), how).1.guessed, 0);
}

const TABLE: &str = "ngrams.safetensors";

/// Trains for two steps, and returns the adapter's folder.
fn sft(dir: &Path, out: &str, more: &[&str]) -> String {
    let (data, out) = (text(&dir.join("train.jsonl")), text(&dir.join(out)));
    let base = tiny();
    let flags = [
        "sft", "--data", &data, "--base", &base, "--out", &out, "--device", "cpu", "--rank", "4",
    ];
    ok(&[&flags[..], more].concat());
    out
}

#[test]
fn training_leaves_a_table_that_answers_are_guessed_by() {
    let dir = workplace();
    let at = |name: &str| text(&dir.path().join(name));
    let long = ["--epochs", "60", "--lr", "0.02", "--save-every", "50"];
    let adapter = sft(dir.path(), "a", &long);
    let table = fs::read(at("a").to_owned() + "/" + TABLE).unwrap();
    let again = sft(dir.path(), "again", &long);
    assert_eq!(fs::read(again + "/" + TABLE).unwrap(), table);
    assert!(dir.path().join("a/checkpoint-50").join(TABLE).exists());

    let (data, base) = (at("dev.jsonl"), tiny());
    let generate = |lora: &str, out: &str, more: &[&str]| -> (String, Value) {
        let (out, metrics) = (at(out), at("metrics.json"));
        let fixed = [
            "--lora",
            lora,
            "--batch",
            "1",
            "--max-tokens",
            "20",
            "--metrics-out",
            &metrics,
        ];
        ok(&common::generate(
            &base,
            &data,
            &out,
            &[&fixed, more].concat(),
        ));
        let metrics = serde_json::from_slice(&fs::read(&metrics).unwrap()).unwrap();
        (fs::read_to_string(&out).unwrap(), metrics)
    };
    let (with, metrics) = generate(&adapter, "with.jsonl", &[]);
    let (without, plain) = generate(&adapter, "without.jsonl", &["--no-speculation"]);
    assert!(with.contains("select 3;"), "{with}");
    assert_eq!(with, without);
    let count = |metrics: &Value, field: &str| metrics[field].as_u64().unwrap();
    assert!(count(&metrics, "accepted_tokens") >= 6 * 5, "{metrics}");
    assert!(count(&metrics, "guessed_tokens") >= count(&metrics, "accepted_tokens"));
    assert!(2 * count(&metrics, "steps") < count(&plain, "steps"));
    assert_eq!(count(&plain, "guessed_tokens"), 0);

    // It goes along into another format, for the same numbers are still the same adapter.
    let mlx = at("mlx");
    ok(&[
        "adapter", "convert", &adapter, "--to", "mlx", "--out", &mlx, "--base", &base, "--device",
        "cpu",
    ]);
    let (converted, metrics) = generate(&mlx, "converted.jsonl", &[]);
    assert_eq!(converted, with);
    assert!(count(&metrics, "accepted_tokens") >= 6 * 5, "{metrics}");
}

#[test]
fn a_table_of_another_adapter_or_a_damaged_one_is_refused() {
    let dir = workplace();
    let at = |name: &str| text(&dir.path().join(name));
    let adapter = sft(dir.path(), "a", &["--steps", "2"]);
    let other = sft(dir.path(), "b", &["--steps", "2", "--seed", "5"]);
    let without = sft(dir.path(), "c", &["--steps", "2", "--no-ngrams"]);
    assert!(!dir.path().join("c").join(TABLE).exists());
    let config = fs::read_to_string(at("c/config.toml")).unwrap();
    assert!(config.contains("no_ngrams = true"), "{config}");

    let (data, out, base) = (at("dev.jsonl"), at("out.jsonl"), tiny());
    let refused = |parts: &[&str]| {
        let words = common::generate(
            &base,
            &data,
            &out,
            &["--lora", &adapter, "--max-tokens", "4"],
        );
        fails(&words, 1, parts);
        assert!(!Path::new(&out).exists());
        // It is not looked at where nothing is guessed.
        ok(&[&words[..], &["--no-speculation"]].concat());
        fs::remove_file(&out).unwrap();
    };
    let own = fs::read(adapter.clone() + "/" + TABLE).unwrap();
    let put = |bytes: &[u8]| fs::write(adapter.clone() + "/" + TABLE, bytes).unwrap();
    put(&fs::read(other + "/" + TABLE).unwrap());
    refused(&[TABLE, "of another adapter or base", "--no-speculation"]);
    put(&own[..own.len() - 9]);
    refused(&[TABLE, "damaged"]);
    put(b"");
    refused(&[TABLE, "damaged"]);
    put(&vec![0; 4_000_000]);
    refused(&[TABLE, "larger than any such table"]);
    let version = own.windows(9).position(|part| part == b"n-grams 1");
    let mut newer = own.clone();
    newer[version.unwrap() + 8] = b'2';
    put(&newer);
    refused(&[TABLE, "of another version", "--no-speculation"]);
    #[cfg(unix)]
    for name in [TABLE, "adapter_model.safetensors"] {
        let file = adapter.clone() + "/" + name;
        let before = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        let words = ["--lora", &adapter, "--max-tokens", "4"];
        let words = common::generate(&base, &data, &out, &words);
        fails(&words, 1, &[name, "not a file"]);
        fs::remove_file(&file).unwrap();
        fs::write(&file, before).unwrap();
        put(&own);
    }
    // None is no fault.
    ok(&common::generate(
        &base,
        &data,
        &out,
        &["--lora", &without, "--max-tokens", "4"],
    ));
}
