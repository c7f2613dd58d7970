//! The binary as a user meets it: the whole loop on a tiny model, the same bytes twice, and one
//! clear line for every mistake.

mod common;

use common::{factory, fails, golden, ok, text, tiny, workplace};
use std::fs;
use std::path::{Path, PathBuf};

fn sft(dir: &Path, out: &str, more: &[&str]) -> PathBuf {
    let (data, out) = (text(&dir.join("train.jsonl")), dir.join(out));
    let (base, out_text) = (tiny(), text(&out));
    let mut args = vec!["sft", "--data", &data, "--base", &base, "--out", &out_text];
    args.extend(["--device", "cpu", "--batch", "2"]);
    args.extend(more);
    ok(&args);
    out
}

#[test]
fn the_same_command_twice_gives_the_same_bytes() {
    let dir = workplace();
    let recipe = [
        "--dora",
        "--steps",
        "6",
        "--grad-accum",
        "2",
        "--lr",
        "0.01",
    ];
    let adapters = ["a", "b"].map(|out| sft(dir.path(), out, &recipe));
    for file in ["adapter_model.safetensors", "adapter_config.json"] {
        let [a, b] = adapters.clone().map(|f| fs::read(f.join(file)).unwrap());
        assert!(a == b, "{file}");
    }
    let metrics = fs::read_to_string(adapters[0].join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = metrics
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 6);
    for key in [
        "step",
        "loss",
        "lr",
        "grad_norm",
        "rows_per_s",
        "tokens_per_s",
        "elapsed_s",
    ] {
        assert!(lines.iter().all(|l| l[key].is_number()), "{key}");
    }
    assert!(
        lines[5]["loss"].as_f64() < lines[0]["loss"].as_f64(),
        "{metrics}"
    );
    let config = fs::read_to_string(adapters[0].join("config.toml")).unwrap();
    assert!(
        config.contains("lr = 0.01") && config.contains("alpha = 16.0"),
        "{config}"
    );

    let data = text(&dir.path().join("dev.jsonl"));
    let preds = adapters.map(|adapter| {
        let out = adapter.with_extension("jsonl");
        // No --base: the adapter names the one it was made for.
        ok(&[
            "generate",
            "--data",
            &data,
            "--lora",
            &text(&adapter),
            "--out",
            &text(&out),
            "--max-tokens",
            "8",
        ]);
        fs::read_to_string(out).unwrap()
    });
    assert_eq!(preds[0], preds[1]);
    let first: serde_json::Value = serde_json::from_str(preds[0].lines().next().unwrap()).unwrap();
    assert_eq!(first["id"], "d0");
    assert!(first["predicted_sql"].is_string());
}

#[test]
fn another_seed_or_row_order_gives_another_adapter() {
    let dir = workplace();
    let bytes = |out: &str, seed: &str| {
        let folder = sft(dir.path(), out, &["--steps", "2", "--seed", seed]);
        fs::read(folder.join("adapter_model.safetensors")).unwrap()
    };
    assert!(bytes("a", "0") != bytes("b", "1"));
}

#[test]
fn training_goes_on_from_an_adapter() {
    let dir = workplace();
    let first = sft(
        dir.path(),
        "a",
        &["--dora", "--rank", "2", "--steps", "8", "--lr", "0.01"],
    );
    let loss = |folder: &Path, line: usize| {
        let metrics = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
        let line: serde_json::Value =
            serde_json::from_str(metrics.lines().nth(line).unwrap()).unwrap();
        line["loss"].as_f64().unwrap()
    };
    let second = sft(
        dir.path(),
        "b",
        &["--init", &text(&first), "--steps", "1", "--no-shuffle"],
    );
    // Its base need not be said again.
    let third = text(&dir.path().join("c"));
    let (data, init) = (text(&dir.path().join("train.jsonl")), text(&first));
    ok(&[
        "sft",
        "--data",
        &data,
        "--device",
        "cpu",
        "--out",
        &third,
        "--init",
        &init,
        "--steps",
        "1",
        "--no-shuffle",
        "--batch",
        "2",
    ]);
    let adapter = |folder: &Path| fs::read(folder.join("adapter_model.safetensors")).unwrap();
    assert!(adapter(Path::new(&third)) == adapter(&second));
    assert!(loss(&second, 0) < 0.8 * loss(&first, 0));
    let config = fs::read_to_string(second.join("adapter_config.json")).unwrap();
    assert!(
        config.contains("\"use_dora\": true") && config.contains("\"r\": 2"),
        "{config}"
    );
    let all = ["sft", "--data", "x", "--init", "y", "--rank", "4"];
    assert_eq!(
        factory(&all).status.code(),
        Some(2),
        "--init decides the rank"
    );
}

#[test]
fn one_prompt_is_streamed() {
    let streamed = ok(&[
        "generate",
        "--base",
        &tiny(),
        "--prompt",
        "count 1",
        "--max-tokens",
        "8",
    ]);
    let dir = workplace();
    let (data, out) = (
        text(&dir.path().join("dev.jsonl")),
        dir.path().join("p.jsonl"),
    );
    let field = ["--out-field", "answer", "--max-tokens", "8"];
    let mut args = vec!["generate", "--base"];
    let (base, out_text) = (tiny(), text(&out));
    args.extend([base.as_str(), "--data", &data, "--out", &out_text]);
    args.extend(field);
    ok(&args);
    let preds = fs::read_to_string(out).unwrap();
    let second: serde_json::Value = serde_json::from_str(preds.lines().nth(1).unwrap()).unwrap();
    assert_eq!(
        streamed,
        format!("{}\n", second["answer"].as_str().unwrap())
    );
}

#[test]
fn a_target_subset_is_all_that_is_trained() {
    let dir = workplace();
    let folder = sft(
        dir.path(),
        "a",
        &["--steps", "1", "--target-modules", "q_proj,v_proj"],
    );
    let bytes = fs::read(folder.join("adapter_model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    // Two layers, two modules, A and B.
    assert_eq!(file.names().len(), 8);
    assert!(
        file.names()
            .iter()
            .all(|n| n.contains("q_proj") || n.contains("v_proj"))
    );
}

#[test]
fn long_rows_stop_unless_told_otherwise() {
    let dir = workplace();
    let (data, out) = (
        text(&dir.path().join("train.jsonl")),
        text(&dir.path().join("x")),
    );
    let base = tiny();
    let args = [
        "sft",
        "--data",
        &data,
        "--base",
        &base,
        "--out",
        &out,
        "--steps",
        "1",
        "--max-seq",
        "16",
    ];
    fails(
        &args,
        1,
        &["train.jsonl:1", "18 tokens", "--max-seq 16", "--on-long"],
    );
    assert!(!Path::new(&out).exists());
    sft(
        dir.path(),
        "cut",
        &[
            "--steps",
            "1",
            "--max-seq",
            "16",
            "--on-long",
            "truncate-prompt",
        ],
    );
    let all = [&args[..], &["--on-long", "skip"]].concat();
    fails(&all, 1, &["all 6 rows"]);
    let answer = [&args[..10], &["9", "--on-long", "truncate-prompt"]].concat();
    fails(&answer, 1, &["train.jsonl:1", "an answer is never cut"]);
}

#[test]
fn usage_mistakes_exit_with_2() {
    let dir = workplace();
    let data = text(&dir.path().join("train.jsonl"));
    let sft = |more: &[&str]| {
        let base = tiny();
        let args = [&["sft", "--data", &data, "--base", &base], more].concat();
        factory(&args).status.code()
    };
    for wrong in [
        ["--rank", "0"],
        ["--steps", "0"],
        ["--lr", "-1"],
        ["--warmup", "2"],
        ["--target-modules", "qkv"],
        ["--alpha", "inf"],
        ["--device", "tpu"],
        ["--device", "cuda"],
    ] {
        assert_eq!(sft(&wrong), Some(2), "{wrong:?}");
    }
    assert_eq!(sft(&["--steps", "1", "--epochs", "1"]), Some(2));
    assert_eq!(factory(&["generate"]).status.code(), Some(2));
    assert_eq!(
        factory(&["generate", "--data", &data]).status.code(),
        Some(2)
    );
    assert_eq!(
        factory(&["generate", "--prompt", "x", "--top-p", "0"])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn bad_rows_are_named_by_line() {
    let dir = workplace();
    let (base, out) = (tiny(), text(&dir.path().join("out")));
    for (content, parts) in [
        (
            "{\"instruction\":\"a\",\"response\":\"b\"}\nnope\n",
            ["bad.jsonl:2", "JSON"],
        ),
        ("{\"instruction\":\"a\"}\n", ["bad.jsonl:1", "no answer"]),
        (
            "{\"prompt\":\"a\",\"completion\":3}\n",
            ["bad.jsonl:1", "completion"],
        ),
        ("\n", ["bad.jsonl", "no rows"]),
    ] {
        let bad = dir.path().join("bad.jsonl");
        fs::write(&bad, content).unwrap();
        fails(
            &["sft", "--data", &text(&bad), "--base", &base, "--out", &out],
            1,
            &parts,
        );
    }
    fails(
        &[
            "sft",
            "--data",
            "missing.jsonl",
            "--base",
            &base,
            "--out",
            &out,
        ],
        1,
        &["missing.jsonl"],
    );
    assert!(!Path::new(&out).exists());
}

#[test]
fn bad_bases_are_named() {
    let dir = workplace();
    let copy = |name: &str, file: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        for entry in fs::read_dir(golden("tiny-llama")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        let changed = change(fs::read(folder.join(file)).unwrap());
        fs::write(folder.join(file), changed).unwrap();
        text(&folder)
    };
    let replace = |from: &'static str, to: &'static str| {
        move |bytes: Vec<u8>| {
            String::from_utf8(bytes)
                .unwrap()
                .replace(from, to)
                .into_bytes()
        }
    };
    let weights = "model.safetensors";
    let truncated = copy("truncated", weights, &|b| b[..b.len() / 2].to_vec());
    let garbage = copy("garbage", weights, &|_| b"not a safetensors file".to_vec());
    let mamba = copy("mamba", "config.json", &replace("\"llama\"", "\"mamba\""));
    let wide = copy(
        "wide",
        "config.json",
        &replace("\"intermediate_size\": 80", "\"intermediate_size\": 96"),
    );
    let tokens = copy("tokens", "tokenizer.json", &|_| b"{}".to_vec());
    let gguf = text(&dir.path().join("bad.gguf"));
    fs::write(&gguf, b"GGUF\x03\x00\x00\x00\xff\xff\xff\xff").unwrap();
    for (base, parts) in [
        (truncated.as_str(), vec!["truncated"]),
        (&garbage, vec!["garbage"]),
        (&mamba, vec!["mamba", "not supported", "qwen3"]),
        (
            &wide,
            vec!["layers.0-1.mlp.gate_proj.weight", "[80, 64]", "[96, 64]"],
        ),
        (&tokens, vec!["tokenizer.json"]),
        (&gguf, vec!["bad.gguf", "GGUF"]),
        ("no/such/folder", vec!["no/such/folder"]),
        (
            "no-owner/such-model",
            vec!["no-owner/such-model", "HF_HUB_OFFLINE", "--base"],
        ),
    ] {
        fails(&["generate", "--base", base, "--prompt", "x"], 1, &parts);
    }
}

#[test]
fn an_adapter_for_another_base_is_refused_whole() {
    let adapter = text(&golden("tiny-qwen3-lora"));
    let parts = [
        "does not fit this base",
        "layers.0-1.mlp.down_proj.lora_A is [2, 96], expected [2, 80]",
        "layers.0-1.self_attn.q_proj.lora_B is [128, 2], expected [64, 2]",
    ];
    fails(
        &[
            "generate",
            "--base",
            &tiny(),
            "--lora",
            &adapter,
            "--prompt",
            "x",
        ],
        1,
        &parts,
    );
    let missing = text(&golden("tiny-llama"));
    fails(
        &[
            "generate",
            "--base",
            &tiny(),
            "--lora",
            &missing,
            "--prompt",
            "x",
        ],
        1,
        &["it is a base model, not an adapter"],
    );
}

#[test]
fn an_adapter_that_names_another_base_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    let renamed = dir.path().join("renamed");
    fs::create_dir(&renamed).unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(golden("tiny-llama-lora").join(file), renamed.join(file)).unwrap();
    }
    let config = renamed.join("adapter_config.json");
    let said = fs::read_to_string(&config).unwrap();
    fs::write(&config, said.replace("tiny-llama", "org/other")).unwrap();
    let notes = |lora: &Path| {
        let lora = text(lora);
        let flags = ["--lora", &lora, "--prompt", "x", "--max-tokens", "1"];
        let answered = factory(&[&["generate", "--base", &tiny()], &flags[..]].concat());
        assert!(answered.status.success());
        String::from_utf8(answered.stderr).unwrap()
    };
    let noted = notes(&renamed);
    let expected = format!("not made for {}: {} for org/other", tiny(), text(&renamed));
    assert!(noted.contains(&expected), "{noted}");
    let own = notes(&golden("tiny-llama-lora"));
    assert!(!own.contains("not made for"), "{own}");
}

#[test]
fn outputs_that_cannot_be_written_stop_early() {
    let dir = workplace();
    let (data, base) = (text(&dir.path().join("train.jsonl")), tiny());
    let blocked = text(&dir.path().join("train.jsonl/sub/x"));
    fails(
        &["sft", "--data", &data, "--base", &base, "--out", &blocked],
        1,
        &["train.jsonl"],
    );
    fails(
        &[
            "generate", "--data", &data, "--base", &base, "--out", &blocked,
        ],
        1,
        &["cannot write"],
    );
    let taken = sft(dir.path(), "taken", &["--steps", "1"]);
    fails(
        &[
            "sft",
            "--data",
            &data,
            "--base",
            &base,
            "--out",
            &text(&taken),
        ],
        1,
        &["exists"],
    );
}
