//! Safetensors: model weights, adapters, and a few tokens from them.
//!
//! An input is a byte that says what it is, a header and, behind a line feed, data. The header's
//! length is put before it and the data cut or padded to what the header claims, which no mutation
//! would hit; from 8 on, the byte says to take the rest as the file it is.
#![no_main]

use factory::adapters::stored;
use factory::model::load::Base;
use factory_fuzz::{folder, generate, load, model, outcome, seed};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::OnceLock;

const HIDDEN: usize = 4;
/// Longest data a header is believed.
const MOST: u64 = 1 << 16;

fuzz_target!(init: seed(seeds(), run), |bytes: &[u8]| { run(bytes); });

fn seeds() -> Vec<Vec<u8>> {
    let model = model::weights(HIDDEN, false, |_| true);
    let (lora, dora) = (model::adapter(HIDDEN, false), model::adapter(HIDDEN, true));
    let split = |kind: u8, file: &[u8]| {
        let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let (header, data) = file[8..].split_at(length);
        [&[kind], header, b"\n", data].concat()
    };
    vec![
        split(0, &model),
        split(1, &lora),
        split(2, &dora),
        [&[8], &model[..]].concat(),
        [&[9], &lora[..]].concat(),
    ]
}

fn file(rest: &[u8]) -> Vec<u8> {
    let end = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
    let header = &rest[..end];
    let mut data = rest.get(end + 1..).unwrap_or_default().to_vec();
    let tensors: serde_json::Map<_, _> = serde_json::from_slice(header).unwrap_or_default();
    let ends = tensors
        .values()
        .filter_map(|t| t["data_offsets"][1].as_u64());
    data.resize(ends.max().unwrap_or(0).min(MOST) as usize, 0x3c);
    [&(header.len() as u64).to_le_bytes(), header, &data].concat()
}

fn run(bytes: &[u8]) -> Option<()> {
    let (kind, rest) = bytes.split_first()?;
    let bytes = match kind {
        ..8 => file(rest),
        _ => rest.to_vec(),
    };
    match kind % 8 {
        0 => weights(&bytes),
        1 => adapter(&bytes, false),
        _ => adapter(&bytes, true),
    }
}

fn weights(bytes: &[u8]) -> Option<()> {
    static BASE: OnceLock<()> = OnceLock::new();
    let base = folder().join("fuzzed-base");
    BASE.get_or_init(|| model::write(&base, HIDDEN, "llama"));
    std::fs::write(base.join("model.safetensors"), bytes).unwrap();
    let base = load(&base, "fuzzed-base")?;
    generate(&base, None)
}

fn adapter(bytes: &[u8], dora: bool) -> Option<()> {
    static BASE: OnceLock<Base> = OnceLock::new();
    let base = BASE.get_or_init(|| {
        let path = folder().join("base");
        model::write(&path, HIDDEN, "llama");
        for dora in [false, true] {
            let adapter = folder().join(adapter_name(dora));
            std::fs::create_dir(&adapter).unwrap();
            let config = model::adapter_config(dora).to_string();
            std::fs::write(adapter.join("adapter_config.json"), config).unwrap();
        }
        load(&path, "base").unwrap()
    });
    let path = folder().join(adapter_name(dora));
    std::fs::write(path.join("adapter_model.safetensors"), bytes).unwrap();
    load_adapter(&path, base)
}

fn load_adapter(path: &Path, base: &Base) -> Option<()> {
    let name = path.file_name()?.to_str()?;
    let adapter = outcome(stored::load(path, &base.decoder), name)?;
    for (name, tensor) in adapter.parameters() {
        let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        assert!(values.iter().all(|v| v.is_finite()), "{name} is not finite");
    }
    generate(base, Some(adapter))
}

fn adapter_name(dora: bool) -> &'static str {
    if dora { "fuzzed-dora" } else { "fuzzed-lora" }
}
