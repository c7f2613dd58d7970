//! Adapters of mlx-lm and llama.cpp: the first byte of an input says which file of them it is.
#![no_main]

use factory::adapters::measure;
use factory::adapters::stored::{self, Format};
use factory::model::load::Base;
use factory_fuzz::{folder, generate, load, model, outcome, seed};
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

const HIDDEN: usize = 4;

fuzz_target!(init: seed(seeds(), run), |bytes: &[u8]| { run(bytes); });

/// A base, and where a file goes: mlx-lm's two of a LoRA and of a DoRA, llama.cpp's one.
fn place() -> &'static (Base, [PathBuf; 5]) {
    static PLACE: OnceLock<(Base, [PathBuf; 5])> = OnceLock::new();
    PLACE.get_or_init(|| {
        let path = folder().join("base");
        model::write(&path, HIDDEN, "llama");
        let base = load(&path, "base").unwrap();
        let mut files = Vec::new();
        for dora in [false, true] {
            let peft = folder().join("peft");
            let _ = fs::create_dir(&peft);
            let config = model::adapter_config(dora).to_string();
            fs::write(peft.join("adapter_config.json"), config).unwrap();
            fs::write(peft.join("adapter_model.safetensors"), model::adapter(HIDDEN, dora)).unwrap();
            let adapter = stored::load(&peft, &base.decoder).unwrap();
            for format in [Format::Mlx, Format::Gguf] {
                let name = format!("fuzzed-{dora}{}", if format == Format::Gguf { ".gguf" } else { "" });
                let target = folder().join(name);
                let Ok(made) = format.files(&adapter, &base.decoder.config) else {
                    continue;
                };
                if format == Format::Mlx {
                    fs::create_dir(&target).unwrap();
                }
                for (name, bytes) in made {
                    let file = if name.is_empty() { target.clone() } else { target.join(name) };
                    fs::write(&file, bytes).unwrap();
                    files.push(file);
                }
            }
        }
        (base, files.try_into().unwrap())
    })
}

fn seeds() -> Vec<Vec<u8>> {
    let (_, files) = place();
    let seed = |(i, file): (usize, &PathBuf)| [&[i as u8], &fs::read(file).unwrap()[..]].concat();
    files.iter().enumerate().map(seed).collect()
}

fn run(bytes: &[u8]) -> Option<()> {
    let (base, files) = place();
    let (first, bytes) = bytes.split_first()?;
    let file = &files[*first as usize % files.len()];
    let whole = fs::read(file).unwrap();
    fs::write(file, bytes).unwrap();
    let path = match file.extension() {
        Some(end) if end == "gguf" => file.clone(),
        _ => file.parent()?.to_owned(),
    };
    let found = outcome(stored::read(&path), "fuzzed-").and_then(|stored| {
        for site in stored.modules.keys() {
            let change = measure::change(&stored, *site).unwrap();
            assert!(change >= 0.0, "{site} changes by {change}");
        }
        let adapter = outcome(stored::load(&path, &base.decoder), "fuzzed-")?;
        generate(base, Some(adapter))
    });
    fs::write(file, whole).unwrap();
    found
}
