//! `factory sft` and its relatives as a user meets them: row formats, templates, settings from a
//! file, validation, saved adapters, what a batch looks like, what a base is.

mod common;

use common::{fails, golden, ok, text, tiny, workplace};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs `sft` on `data` with the tiny base into `dir/out`.
fn sft(dir: &Path, data: &str, out: &str, more: &[&str]) -> String {
    let (data, out, base) = (text(&dir.join(data)), text(&dir.join(out)), tiny());
    let args = ["sft", "--data", &data, "--base", &base, "--out", &out];
    ok(&[&args[..], &["--device", "cpu", "--batch", "2"], more].concat())
}

fn metrics(folder: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

const CHATS: &str = r#"{"messages":[{"role":"system","content":"sys"},{"role":"user","content":"ask"},{"role":"assistant","content":"one"},{"role":"user","content":"more"},{"role":"assistant","content":"two"}]}
{"text":"free text"}
{"instruction":"ask","response":"sql"}
"#;

#[test]
fn a_batch_shows_what_the_loss_sees() {
    let dir = workplace();
    fs::write(dir.path().join("chat.jsonl"), CHATS).unwrap();
    let show = |template| {
        let more = [
            "--inspect-batch",
            "2",
            "--no-shuffle",
            "--template",
            template,
        ];
        sft(dir.path(), "chat.jsonl", "none", &more)
    };
    let plain = show("plain");
    // Three rows are two batches: none goes on in the next epoch.
    assert!(plain.contains("batch 1: 2 segments") && plain.contains("batch 2: 1 segment"));
    for part in [
        "chat.jsonl:1: tokens 0..",
        "given \"sys\\nask\\n\"",
        "loss  \"one<|im_end|>\"",
        "given \"more\\n\"",
        "loss  \"two<|im_end|>\"",
        // The first token of a text has nothing to be predicted from.
        "given \"f\"",
        "loss  \"ree text<|im_end|>\"",
    ] {
        assert!(plain.contains(part), "{part} is not in {plain}");
    }
    let chatml = show("chatml");
    for part in [
        "given \"<|im_start|>system\\nsys<|im_end|>\\n<|im_start|>user\\nask<|im_end|>\\n<|im_start|>assistant\\n\"",
        "loss  \"one<|im_end|>\"",
        "given \"<|im_start|>user\\nask<|im_end|>\\n<|im_start|>assistant\\n\"\n",
        "loss  \"sql<|im_end|>\"",
    ] {
        assert!(chatml.contains(part), "{part} is not in {chatml}");
    }
    assert!(!dir.path().join("none").exists());
}

#[test]
fn a_run_repeats_from_its_resolved_config() {
    let dir = workplace();
    let recipe = [
        "--rank",
        "4",
        "--rslora",
        "--steps",
        "3",
        "--lr",
        "0.01",
        "--dropout",
        "0.2",
        "--rank-pattern",
        "layers.1.mlp.up_proj=2",
        "--rank-pattern",
        "up_proj=3",
        "--alpha-pattern",
        "q_proj=3",
        "--target-modules",
        "q_proj,up_proj",
    ];
    sft(dir.path(), "train.jsonl", "a", &recipe);
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let config = text(&a.join("config.toml"));
    ok(&["sft", "--config", &config, "--out", &text(&b)]);
    for file in [
        "adapter_model.safetensors",
        "adapter_config.json",
        "config.toml",
    ] {
        let [a, b] = [&a, &b].map(|f| fs::read(f.join(file)).unwrap());
        assert!(a == b, "{file}");
    }
    // A flag wins over the file, also one that excludes the file's.
    let c = dir.path().join("c");
    ok(&[
        "sft",
        "--config",
        &config,
        "--out",
        &text(&c),
        "--epochs",
        "1",
    ]);
    assert_eq!(metrics(&c).len(), 3);
    let bytes = fs::read(a.join("adapter_model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| {
        file.tensor(&format!("base_model.model.model.layers.{name}"))
            .unwrap()
            .shape()
            .to_vec()
    };
    assert_eq!(shape("1.mlp.up_proj.lora_A.weight"), [2, 64]);
    assert_eq!(shape("0.mlp.up_proj.lora_A.weight"), [3, 64]);
    assert_eq!(shape("0.self_attn.q_proj.lora_A.weight"), [4, 64]);
}

#[test]
fn what_the_command_line_lacks_may_be_in_the_file() {
    let dir = workplace();
    let (rows, file) = (
        text(&dir.path().join("train.jsonl")),
        dir.path().join("c.toml"),
    );
    let (base, out) = (tiny(), dir.path().join("out"));
    let settings = format!("data = {rows:?}\nval_data = {rows:?}\nbase = {base:?}\nsteps = 2\n");
    fs::write(&file, settings).unwrap();
    ok(&[
        "sft",
        "--config",
        &text(&file),
        "--val-every",
        "1",
        "--out",
        &text(&out),
        "--device",
        "cpu",
    ]);
    assert!(metrics(&out).iter().all(|m| m["val_loss"].is_number()));
    // A mistake on the command line is not the file's.
    let wrong = ["sft", "--config", &text(&file), "--rank", "four"];
    fails(&wrong, 2, &["error: invalid value 'four' for '--rank"]);
    let wrong = ["sft", "--config", &text(&file), "--lrr", "4"];
    fails(&wrong, 2, &["error: unexpected argument '--lrr'"]);
}

#[test]
fn a_config_in_the_folder_is_not_the_adapters() {
    let dir = workplace();
    fs::write(dir.path().join("config.toml"), "template = \"chatml\"").unwrap();
    let base = tiny();
    let args = [
        "generate",
        "--base",
        &base,
        "--prompt",
        "x",
        "--max-tokens",
        "4",
    ];
    let here = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(args)
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(here.stdout).unwrap(), ok(&args));
}

#[test]
fn an_adapter_of_some_layers_goes_on_as_one() {
    let dir = workplace();
    let first = dir.path().join("some");
    fs::create_dir(&first).unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(golden("tiny-llama-lora").join(file), first.join(file)).unwrap();
    }
    let bytes = fs::read(first.join("adapter_model.safetensors")).unwrap();
    let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let some = all
        .tensors()
        .into_iter()
        .filter(|(name, _)| name.contains("layers.1."));
    let some = safetensors::serialize(some.collect::<Vec<_>>(), None).unwrap();
    fs::write(first.join("adapter_model.safetensors"), some).unwrap();
    let config = fs::read_to_string(first.join("adapter_config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["target_modules"] = serde_json::json!(".*layers.1..*_proj");
    fs::write(first.join("adapter_config.json"), config.to_string()).unwrap();
    sft(
        dir.path(),
        "train.jsonl",
        "more",
        &["--init", &text(&first), "--steps", "1"],
    );
    let more = text(&dir.path().join("more"));
    ok(&[
        "generate",
        "--base",
        &tiny(),
        "--lora",
        &more,
        "--prompt",
        "x",
        "--max-tokens",
        "2",
    ]);
}

#[test]
fn config_mistakes_name_the_file_and_the_key() {
    let dir = workplace();
    let file = dir.path().join("c.toml");
    for (content, parts) in [
        (
            "rnak = 4",
            vec!["c.toml", "unknown key rnak", "did you mean rank?"],
        ),
        ("frobnicate = 4", vec!["unknown key frobnicate"]),
        (
            "rank = \"four\"",
            vec!["c.toml", "invalid value 'four'", "--rank"],
        ),
        ("rank = 4.5", vec!["invalid value '4.5'"]),
        ("dora = 1", vec!["dora must be true or false"]),
        (
            "steps = 1\nepochs = 2",
            vec!["c.toml", "cannot be used with"],
        ),
        ("rank = 4\nlr 3", vec!["c.toml", "line 2"]),
        ("rank = 4", vec!["the training rows are not named"]),
        (
            "data = \"x\"\nval_every = 4",
            vec!["not provided", "--val-data"],
        ),
    ] {
        fs::write(&file, content).unwrap();
        fails(&["sft", "--config", &text(&file)], 2, &parts);
    }
    fails(
        &["sft", "--config", "no.toml"],
        2,
        &["no.toml", "cannot be read"],
    );
}

#[test]
fn adapter_mistakes_are_usage_errors() {
    let dir = workplace();
    let (rows, out) = (
        text(&dir.path().join("train.jsonl")),
        text(&dir.path().join("out")),
    );
    let base = tiny();
    let data = ["sft", "--data", &rows, "--base", &base, "--out", &out];
    for (flags, part) in [
        (["--rank-pattern", "q_proj"], "MODULE=VALUE"),
        (["--rank-pattern", "q_proj=0"], "MODULE=VALUE"),
        (["--rank-pattern", "(=2"], "regular expression"),
        (["--alpha-pattern", "qproj=2"], "matches no adapted module"),
        (
            ["--rank-pattern", "layers.7.mlp.up_proj=2"],
            "matches no adapted module",
        ),
        (["--dropout", "1"], "--dropout"),
        (["--alpha", "1e10"], "--alpha"),
    ] {
        fails(&[&data[..], &flags].concat(), 2, &[part]);
    }
    #[cfg(target_os = "linux")]
    fails(
        &[
            "sft",
            "--data",
            &rows,
            "--base",
            &base,
            "--out",
            "/proc/out",
        ],
        1,
        &["cannot write /proc/out"],
    );
    let twice = ["--rank-pattern", "q_proj=2", "--rank-pattern", "q_proj=4"];
    fails(&[&data[..], &twice].concat(), 2, &["q_proj", "twice"]);
    assert!(!Path::new(&out).exists());
}

#[test]
fn validation_loss_falls_and_adapters_are_saved_on_the_way() {
    let dir = workplace();
    let val = text(&dir.path().join("train.jsonl"));
    let recipe = [
        "--steps",
        "20",
        "--lr",
        "0.02",
        "--val-data",
        &val,
        "--val-every",
        "8",
        "--save-every",
        "10",
    ];
    sft(dir.path(), "train.jsonl", "run", &recipe);
    let run = dir.path().join("run");
    let measured: Vec<(u64, f64)> = metrics(&run)
        .iter()
        .filter_map(|m| Some((m["step"].as_u64()?, m["val_loss"].as_f64()?)))
        .collect();
    let steps: Vec<u64> = measured.iter().map(|m| m.0).collect();
    assert_eq!(steps, [8, 16, 20]);
    assert!(measured[2].1 < 0.8 * measured[0].1, "{measured:?}");
    assert!(
        !run.join("checkpoint-20").exists(),
        "the last one is the run's own"
    );
    let saved = text(&run.join("checkpoint-10"));
    ok(&[
        "generate",
        "--lora",
        &saved,
        "--prompt",
        "count 1",
        "--max-tokens",
        "2",
    ]);
}

#[test]
fn rows_of_many_formats_are_checked_one_by_one() {
    let dir = workplace();
    let bad = dir.path().join("bad.jsonl");
    for (row, part) in [
        (
            r#"{"messages":[{"role":"user","content":"q"}]}"#,
            "no assistant turn",
        ),
        (r#"{"messages":[{"role":"robot","content":"q"}]}"#, "robot"),
        (r#"{"text":3}"#, "\"text\" must be a string"),
        (r#"{"answer":"x"}"#, "no known format"),
    ] {
        fs::write(&bad, format!("{CHATS}{row}\n")).unwrap();
        let args = [
            "sft",
            "--data",
            &text(&bad),
            "--base",
            &tiny(),
            "--inspect-batch",
            "1",
        ];
        fails(&args, 1, &["bad.jsonl:4", part]);
    }
}

#[test]
fn a_base_is_described() {
    let shown = ok(&["model", "inspect", &text(&golden("tiny-qwen2"))]);
    for part in [
        "qwen2",
        "tied head",
        "with bias",
        "x BF16",
        "chatml yes",
        "memory in bf16 on a GPU",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
}

#[test]
fn the_doctor_finds_this_machine_well() {
    let report = ok(&["doctor", "--device", "cpu"]);
    assert!(report.contains("all checks passed"), "{report}");
    assert!(report.contains("10/10"), "{report}");
    assert!(report.lines().count() <= 25, "one screen: {report}");
}

/// Rows of two schemas, which alternate.
fn schemas(dir: &Path) {
    let row = |i: usize| {
        let schema = ["pens(id, colour, price)", "ships(name, flag, tons)"][i % 2];
        let prompt = format!("Schema: {schema}\nCount {i}");
        serde_json::json!({"instruction": prompt, "response": format!("select {i};")}).to_string()
    };
    let rows: String = (0..8).map(|i| row(i) + "\n").collect();
    fs::write(dir.join("schemas.jsonl"), rows).unwrap();
}

#[test]
fn a_shared_prefix_is_computed_once_and_changes_no_loss() {
    let dir = workplace();
    schemas(dir.path());
    let recipe = ["--dora", "--steps", "12", "--lr", "0.01"];
    let run = |out: &str, more: &[&str]| {
        sft(
            dir.path(),
            "schemas.jsonl",
            out,
            &[&recipe[..], more].concat(),
        );
        let metrics = metrics(&dir.path().join(out)).into_iter();
        let values = metrics.map(|m| ["loss", "shared"].map(|key| m[key].as_f64().unwrap()));
        values.collect::<Vec<_>>()
    };
    let (shared, whole) = (run("shared", &[]), run("whole", &["--no-share-prefix"]));
    let mut spared = 0.0;
    for ([loss, share], [expected, none]) in shared.iter().zip(&whole) {
        assert!((loss - expected).abs() < 1e-4, "{loss} is not {expected}");
        assert_eq!(*none, 0.0);
        spared += share / shared.len() as f64;
    }
    assert!(shared[0][0] > shared[11][0], "nothing was learned");
    // Grouped, both rows of a batch have one schema.
    let grouped = run("grouped", &["--group-prefix"]);
    assert!(
        spared > 0.05 && grouped.iter().all(|[_, share]| *share > 0.25),
        "{spared} {grouped:?}"
    );
    // Every row has a mask of its own.
    let dropped = run("dropped", &["--dropout", "0.1"]);
    assert!(dropped.iter().all(|[_, share]| *share == 0.0));
}

#[test]
fn an_inspected_batch_shows_what_is_shared() {
    let dir = workplace();
    schemas(dir.path());
    let more = ["--inspect-batch", "1", "--group-prefix"];
    let shown = sft(dir.path(), "schemas.jsonl", "none", &more);
    for part in [
        "batch 1: 3 segments",
        "  shared: tokens 0..",
        "Schema: ",
        " behind the ",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
}

#[test]
fn the_adapter_that_answers_best_is_kept_and_patience_ends_the_run() {
    let dir = workplace();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("pens.sql"), "CREATE TABLE pens (id INTEGER);").unwrap();
    let row = serde_json::json!({"id": "a", "prompt": "count 1", "gold_sql": "SELECT id FROM pens", "db": "pens"});
    fs::write(path("eval.jsonl"), row.to_string() + "\n").unwrap();
    let (rows, db) = (text(&path("eval.jsonl")), text(dir.path()));
    let eval = ["--eval-data", &rows, "--eval-db", &db, "--eval-every", "4"];
    let recipe = [
        "--steps",
        "100",
        "--save-every",
        "4",
        "--lr",
        "0.01",
        "--patience",
        "2",
    ];
    sft(
        dir.path(),
        "train.jsonl",
        "run",
        &[&recipe[..], &eval].concat(),
    );
    // No answer is ever right: the first evaluation stays the best, and two more are waited for.
    let metrics = metrics(&path("run"));
    assert_eq!(metrics.len(), 12);
    let measured = |m: &serde_json::Value| m["execution_accuracy"].as_f64();
    let evaluated: Vec<usize> = (0..12)
        .filter(|&i| measured(&metrics[i]).is_some())
        .collect();
    assert_eq!(evaluated, [3, 7, 11]);
    let adapter = |folder: &str| fs::read(path(folder).join("adapter_model.safetensors")).unwrap();
    assert!(
        adapter("run") == adapter("run/checkpoint-4"),
        "another adapter"
    );
    assert!(adapter("run") != adapter("run/checkpoint-8"));
    assert!(!path("run/best").exists());
    let missing = ["sft", "--data", "x", "--eval-data", &rows];
    fails(&missing, 2, &["required arguments"]);
}

#[test]
fn activations_computed_again_change_no_byte() {
    let dir = workplace();
    for (name, more) in [
        ("lora", &[][..]),
        ("dora", &["--dora", "--dropout", "0.1"][..]),
    ] {
        let adapter = |recompute: &str| {
            let out = format!("{name}-{recompute}");
            let flags = ["--steps", "4", "--lr", "0.01", "--recompute", recompute];
            sft(dir.path(), "train.jsonl", &out, &[&flags, more].concat());
            fs::read(dir.path().join(out).join("adapter_model.safetensors")).unwrap()
        };
        assert_eq!(adapter("on"), adapter("off"), "{name}");
    }
}

#[test]
fn tensorboard_has_every_step() {
    let dir = workplace();
    let more = ["--steps", "3", "--tensorboard"];
    sft(dir.path(), "train.jsonl", "run", &more);
    let events = fs::read(dir.path().join("run/events.out.tfevents.factory")).unwrap();
    let tags = events.windows(9).filter(|w| *w == b"grad_norm");
    assert_eq!(tags.count(), 3);
}
