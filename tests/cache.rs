//! Keys and values that rows share: computed once, never another adapter's, in a table as small as may be; and the answers are
//! those of each row alone.

mod common;
#[path = "common/tiny_gguf.rs"]
#[allow(dead_code)]
mod tiny_gguf;

use anyhow::bail;
use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device};
use common::{base, fails, golden, ok, text, tiny};
use factory::adapters::bank::{Bank, Member, Mixture};
use factory::adapters::lora::Adapter;
use factory::adapters::stored;
use factory::generation::cache::Cache;
use factory::generation::engine::{Adapters, Engine};
use factory::generation::flight::Event;
use factory::generation::sampler::SamplerConfig;
use factory::generation::sequence::Answer;
use factory::generation::stop::StopConfig;
use factory::generation::usage::Usage;
use factory::model::load::Base;
use factory::model::ops::Path as OpsPath;
use factory::model::weight::Held;
use serde_json::{Value, json};
use std::fs;

const TOKENS: usize = 24;

/// Rows over three schemas of a few blocks each, which lie between each other, and some that share nothing.
fn prompts(rows: u32) -> Vec<Vec<u32>> {
    let row = |i: u32| -> Vec<u32> {
        let schema = (i % 4) * 50;
        let shared = (0..[90, 37, 64, 0][i as usize % 4]).map(|j| (schema + j * j) % 251);
        let own = (0..5 + i % 9).map(|j| (i * 37 + j * 11) % 256);
        shared.chain(own).collect()
    };
    (0..rows).map(row).collect()
}

fn engine<'a>(base: &'a Base, adapters: Option<Adapters<'a>>, batch: usize) -> Engine<'a> {
    Engine {
        decoder: &base.decoder,
        tokenizer: &base.tokenizer,
        adapters,
        sampler: SamplerConfig::default(),
        stop: StopConfig {
            max_tokens: TOKENS,
            stop: Vec::new(),
        },
        batch,
        memory: usize::MAX,
        speculation: None,
        grammars: Vec::new(),
    }
}

/// An adapter of the goldens, with all its numbers times `factor`.
fn adapter(base: &Base, name: &str, factor: f64) -> Adapter {
    let mut adapter = stored::load(&golden(name), &base.decoder).unwrap();
    for (_, p) in adapter.parameters_mut() {
        *p = (&*p * factor).unwrap();
    }
    adapter.refresh(&base.decoder).unwrap();
    adapter
}

fn bank(adapters: Vec<Adapter>) -> Bank {
    let members = adapters.into_iter().enumerate().map(|(i, adapter)| Member {
        name: format!("adapter {i}"),
        adapter,
    });
    Bank::new(members.collect()).unwrap()
}

fn over(bank: &Bank) -> Option<Adapters<'_>> {
    Some(Adapters {
        bank,
        mixtures: vec![Mixture::only(0)],
        choice: Vec::new(),
    })
}

/// The same, but for ties.
fn same(a: &[Answer], b: &[Answer], what: &str) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!(
            a.tokens == b.tokens || a.min_gap < 1e-3,
            "{what}: {a:?} is not {b:?}"
        );
    }
}

#[test]
fn a_beginning_that_rows_share_is_computed_once() {
    for path in [OpsPath::Fused, OpsPath::Portable] {
        let mut base = base("tiny-llama");
        base.decoder.path = path;
        let prompts = prompts(40);
        let all: usize = prompts.iter().map(Vec::len).sum();
        let shared = [90, 37, 64].map(|schema| schema * 9).iter().sum::<usize>();
        let alone: Vec<Answer> = prompts
            .iter()
            .flat_map(|p| {
                engine(&base, None, 1)
                    .generate(std::slice::from_ref(p))
                    .unwrap()
            })
            .collect();
        for batch in [1, 7, 64] {
            let engine = engine(&base, None, batch);
            let which: Vec<usize> = (0..prompts.len()).collect();
            let mut cache = engine.cache(&prompts, &which, None).unwrap();
            let (answers, usage) = engine.generate_over(&mut cache, &prompts).unwrap();
            same(&answers, &alone, &format!("{path:?} batch {batch}"));
            assert!(usage.reused >= shared, "{batch}: {}", usage.reused);
            assert_eq!(usage.prefill.tokens + usage.reused, all);
            let generated: usize = answers.iter().map(|answer| answer.tokens.len()).sum();
            // The first of each comes from its prompt; an end token is none.
            assert!(usage.decode.tokens <= generated && usage.decode.tokens > generated / 2);
            assert_eq!(cache.room(), cache.blocks(), "nothing is held any more");
        }
    }
}

#[test]
fn a_table_of_one_row_answers_as_a_large_one() {
    let base = base("tiny-qwen3");
    let prompts = prompts(30);
    let run = |wanted: Option<usize>| -> (Vec<Answer>, Usage, usize) {
        let engine = engine(&base, None, 8);
        let which: Vec<usize> = (0..prompts.len()).collect();
        let mut cache = engine.cache(&prompts, &which, wanted).unwrap();
        let (answers, usage) = engine.generate_over(&mut cache, &prompts).unwrap();
        assert_eq!(cache.room(), cache.blocks());
        (answers, usage, cache.blocks())
    };
    let (all, usage, _) = run(None);
    assert_eq!(usage.evicted, 0);
    let which: Vec<usize> = (0..prompts.len()).collect();
    // 103 + 24 positions.
    let row = engine(&base, None, 8).need(&prompts, &which).unwrap().row;
    for (wanted, blocks) in [(row, 8), (row + row / 8, 9), (2 * row, 16)] {
        let (few, usage, found) = run(Some(wanted));
        assert_eq!(found, blocks);
        assert!(usage.evicted > 0);
        same(&few, &all, &format!("{blocks} blocks"));
    }
    let refused = engine(&base, None, 8).cache(&prompts, &which, Some(row - 1));
    let error = refused.err().unwrap().to_string();
    assert!(
        error.contains("--kv-memory is 0.1 MB; one row with"),
        "{error}"
    );
}

#[test]
fn a_changed_adapter_never_meets_old_keys() {
    let base = base("tiny-llama");
    let prompts = prompts(12);
    let fresh = |bank: &Bank| engine(&base, over(bank), 4).generate(&prompts).unwrap();
    // Room for all of them.
    let mut cache = Cache::new(&base.decoder, 600).unwrap();
    let mut reused = Vec::new();
    // Called the same in every bank, at the same place: as it was, with other numbers, as it was, and of another kind.
    for (name, factor) in [
        ("tiny-llama-lora", 1.0),
        ("tiny-llama-lora", 1.5),
        ("tiny-llama-lora", 1.0),
        ("tiny-llama-dora", 1.0),
    ] {
        let bank = bank(vec![adapter(&base, name, factor)]);
        let engine = engine(&base, over(&bank), 4);
        let (answers, usage) = engine.generate_over(&mut cache, &prompts).unwrap();
        same(&answers, &fresh(&bank), name);
        reused.push(usage.reused);
    }
    // Nothing but what rows of one run share, and all but a last token where the same comes again.
    assert_eq!((reused[1], reused[3]), (reused[0], reused[0]));
    let all: usize = prompts.iter().map(Vec::len).sum();
    assert_eq!(reused[2], all - prompts.len());
    // Another weight is another mixture, and none at all is one too.
    let bank = bank(vec![adapter(&base, "tiny-llama-lora", 1.0)]);
    for mixture in [Mixture(vec![(0, 0.5)]), Mixture::default()] {
        let adapters = Adapters {
            bank: &bank,
            mixtures: vec![mixture],
            choice: Vec::new(),
        };
        let engine = engine(&base, Some(adapters), 4);
        let (_, usage) = engine.generate_over(&mut cache, &prompts).unwrap();
        assert_eq!(usage.reused, reused[0]);
    }
}

#[test]
fn a_stopped_run_gives_its_memory_back_and_leaves_keys_that_are_right() {
    let base = base("tiny-llama");
    let prompts = prompts(20);
    let engine = engine(&base, None, 6);
    let which: Vec<usize> = (0..prompts.len()).collect();
    let whole = engine.generate(&prompts).unwrap();
    let mut cache = engine.cache(&prompts, &which, None).unwrap();
    for stop_at in [0, 1, 40, 90] {
        let mut events = 0;
        let stopped = engine.answer(&mut cache, &prompts, &which, |_: Event| {
            events += 1;
            if events > stop_at {
                bail!("interrupted")
            }
            Ok(())
        });
        assert!(stopped.is_err());
        assert_eq!(cache.room(), cache.blocks());
    }
    let (answers, usage) = engine.generate_over(&mut cache, &prompts).unwrap();
    same(&answers, &whole, "after stops");
    assert!(usage.prefill.tokens < prompts.iter().map(Vec::len).sum::<usize>() / 2);
}

/// How many of 200 sampled rows, with adapters of their own, are others than alone and over a large table: in batches and tables of
/// several sizes, by several numbers of threads.
fn changed_by_neighbours(base: &Base) -> usize {
    let mut prompts = prompts(200);
    // Long ones too, which are computed in several steps.
    for prompt in prompts.iter_mut().step_by(50) {
        *prompt = prompt.iter().cycle().take(400).copied().collect();
    }
    let bank = bank(vec![
        adapter(base, "tiny-llama-lora", 1.0),
        adapter(base, "tiny-llama-dora", 1.0),
    ]);
    let mut mixtures = vec![Mixture::default(), Mixture::only(0), Mixture::only(1)];
    mixtures.push(Mixture(vec![(0, 0.5), (1, 0.7)]));
    let run = |batch: usize, wanted: usize| -> Vec<Vec<u32>> {
        let adapters = Adapters {
            bank: &bank,
            mixtures: mixtures.clone(),
            choice: (0..200).map(|row| row / 4 % 4).collect(),
        };
        let mut engine = engine(base, Some(adapters), batch);
        engine.sampler.temperature = 1.0;
        let which: Vec<usize> = (0..prompts.len()).collect();
        let mut cache = engine.cache(&prompts, &which, Some(wanted)).unwrap();
        let (answers, _) = engine.generate_over(&mut cache, &prompts).unwrap();
        answers.into_iter().map(|answer| answer.tokens).collect()
    };
    let by = |threads: usize, batch: usize, wanted: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| run(batch, wanted))
    };
    let alone = by(1, 1, 100_000_000);
    let mut changed = 0;
    for (threads, batch, wanted) in [
        (1, 1, 300_000),
        (2, 7, 2_000_000),
        (8, 16, 300_000),
        (2, 64, 600_000),
        (8, 64, 100_000_000),
    ] {
        let found = by(threads, batch, wanted);
        changed += found.iter().zip(&alone).filter(|(a, b)| a != b).count();
    }
    changed
}

#[test]
fn sampled_rows_depend_on_no_neighbour_but_for_ties() {
    let changed = changed_by_neighbours(&base("tiny-llama"));
    assert!(changed <= 10, "{changed} of 1000 rows");
}

#[test]
fn by_integer_products_sampled_rows_depend_on_no_neighbour_at_all() {
    let golden = golden("tiny-llama");
    let path = golden.to_str().unwrap();
    let base = Base::load_held(path, Some(Held::Q8), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(changed_by_neighbours(&base), 0);
    // 4 bits as a file has them.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    tiny_gguf::write_quantized(&path, "tiny-llama", "llama", GgmlDType::Q4_1);
    let base = Base::load_held(path.to_str().unwrap(), None, DType::F32, &Device::Cpu).unwrap();
    assert_eq!(base.decoder.held, Held::Native);
    assert_eq!(changed_by_neighbours(&base), 0);
}

/// Padding on other devices' path: rows that decode beside pieces of prompts that are cut.
#[test]
fn cut_prompts_beside_decoding_rows_are_the_same_on_both_paths() {
    let mut base = base("tiny-llama");
    let mut prompts = prompts(24);
    for prompt in prompts.iter_mut().step_by(5) {
        *prompt = (0..450).map(|i| (i * i + prompt[0]) % 256).collect();
    }
    let fused = engine(&base, None, 9).generate(&prompts).unwrap();
    base.decoder.path = OpsPath::Portable;
    let portable = engine(&base, None, 9).generate(&prompts).unwrap();
    same(&fused, &portable, "portable");
}

#[test]
fn flags_say_how_much_memory_and_where_the_metrics_go() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&dir.path().join(name));
    let schema = "CREATE TABLE boats (id INTEGER, name TEXT); ".repeat(3);
    let rows = (0..6).map(|i| json!({"prompt": format!("{schema} count {i}")}).to_string() + "\n");
    fs::write(at("p.jsonl"), rows.collect::<String>()).unwrap();
    let (data, out, metrics, base) = (at("p.jsonl"), at("o.jsonl"), at("m.json"), tiny());
    let run = common::generate(&base, &data, &out, &["--max-tokens", "8"]);
    fn with<'a>(run: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
        [run, more].concat()
    }
    fails(
        &with(&run, &["--kv-memory", "40KB"]),
        1,
        &[
            "--kv-memory is 0.0 MB; one row with an answer of the longest kind, ",
            " takes 0.1 MB",
            "raise it",
        ],
    );
    fails(
        &with(&run, &["--kv-memory", "40"]),
        2,
        &["--kv-memory", "with a unit"],
    );
    fails(&with(&run, &["--metrics-out", &data]), 2, &["p.jsonl"]);
    ok(&run);
    let answers = fs::read(at("o.jsonl")).unwrap();
    ok(&with(
        &run,
        &["--kv-memory", "0.2MB", "--metrics-out", &metrics],
    ));
    assert_eq!(fs::read(at("o.jsonl")).unwrap(), answers);
    let found: Value = serde_json::from_slice(&fs::read(&metrics).unwrap()).unwrap();
    let tokens = |field: &str| found[field]["tokens"].as_u64().unwrap();
    let reused = found["reused_tokens"].as_u64().unwrap();
    // Bytes are tokens.
    let all = 6 * (schema.len() as u64 + 8);
    assert!(reused >= 5 * schema.len() as u64 && tokens("prefill") < all - reused + 12);
    assert!(tokens("decode") > 0 && found["decode"]["tokens_per_second"].as_f64().unwrap() > 0.0);
    let ms = |p: &str| found["first_token_ms"][p].as_f64().unwrap();
    assert!(0.0 < ms("p50") && ms("p50") <= ms("p95"));
}
