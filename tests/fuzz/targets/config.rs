//! The JSON files of a model folder and an adapter: the first byte of an input says which.
#![no_main]

use factory::adapters::stored;
use factory::model::load::Base;
use factory_fuzz::{folder, generate, load, model, outcome, seed};
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use std::sync::OnceLock;

const HIDDEN: usize = 4;
const ADAPTER: &str = "adapter_config.json";
const INDEX: &str = "model.safetensors.index.json";
const FILES: [&str; 5] = [
    ADAPTER,
    "config.json",
    "generation_config.json",
    INDEX,
    "tokenizer.json",
];

fuzz_target!(init: seed(seeds(), run), |bytes: &[u8]| { run(bytes); });

fn seeds() -> Vec<Vec<u8>> {
    let index = json!({"metadata": {}, "weight_map": {"a": "1.safetensors", "b": "2.safetensors"}});
    let mut stretched = model::config(HIDDEN, "mistral");
    stretched["sliding_window"] = json!(2);
    stretched["rope_parameters"] = json!({"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "beta_fast": 32, "beta_slow": 1,
        "original_max_position_embeddings": 16, "mscale": 1.0, "mscale_all_dim": 0.5, "truncate": false});
    [
        (0, model::adapter_config(false)),
        (0, model::adapter_config(true)),
        (1, model::config(HIDDEN, "llama")),
        (1, model::config(HIDDEN, "qwen3")),
        (1, model::config(HIDDEN, "smollm3")),
        (1, stretched),
        (2, json!({"eos_token_id": [7, 6], "bos_token_id": 1})),
        (3, index),
        (4, model::tokenizer()),
    ]
    .into_iter()
    .map(|(file, value)| [&[file], value.to_string().as_bytes()].concat())
    .collect()
}

fn run(bytes: &[u8]) -> Option<()> {
    let (first, text) = bytes.split_first()?;
    let name = FILES[*first as usize % FILES.len()];
    if name == ADAPTER {
        return adapter(text);
    }
    let path = folder().join("fuzzed-base-".to_string() + name);
    if !path.exists() {
        model::write(&path, HIDDEN, "llama");
        if name == INDEX {
            // Two shards, and the one file gone that would be read first.
            for (shard, part) in [("1.safetensors", 0), ("2.safetensors", 1)] {
                let bytes = model::weights(HIDDEN, false, |i| i % 2 == part);
                std::fs::write(path.join(shard), bytes).unwrap();
            }
            std::fs::remove_file(path.join("model.safetensors")).unwrap();
        }
    }
    // With the norms of both families, either can be loaded.
    if name == "config.json" {
        std::fs::write(
            path.join("model.safetensors"),
            model::weights(HIDDEN, true, |_| true),
        )
        .unwrap();
    }
    std::fs::write(path.join(name), text).unwrap();
    let base = load(&path, "fuzzed-base")?;
    generate(&base, None)
}

fn adapter(text: &[u8]) -> Option<()> {
    static BASE: OnceLock<Base> = OnceLock::new();
    let base = BASE.get_or_init(|| {
        let path = folder().join("base");
        model::write(&path, HIDDEN, "llama");
        load(&path, "base").unwrap()
    });
    let path = folder().join("fuzzed-adapter");
    if !path.exists() {
        std::fs::create_dir(&path).unwrap();
    }
    // The tensors that the text asks for, so that more than the config is reached.
    let dora = String::from_utf8_lossy(text).contains("\"use_dora\":true");
    std::fs::write(
        path.join("adapter_model.safetensors"),
        model::adapter(HIDDEN, dora),
    )
    .unwrap();
    std::fs::write(path.join(ADAPTER), text).unwrap();
    outcome(stored::base_of(&path), "fuzzed-adapter")?;
    let adapter = outcome(stored::load(&path, &base.decoder), "fuzzed-adapter")?;
    generate(base, Some(adapter))
}
