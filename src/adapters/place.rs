//! What lies where an adapter should be.

use super::stored::CONFIG;
use super::{mlx, peft};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// PEFT's weights as torch stores them.
const PICKLE: &str = "adapter_model.bin";

/// Errors where what is at `path` is no adapter's file or folder, and says what it is instead.
pub fn check(path: &Path) -> Result<()> {
    if path.is_file() {
        return check_file(path);
    }
    if !path.is_dir() {
        bail!(
            "no such file or folder (adapters are not fetched from the hub: hf download ID --local-dir FOLDER)"
        );
    }
    let has = |name: &str| path.join(name).exists();
    let weights = has(peft::WEIGHTS) || has(mlx::WEIGHTS);
    match (has(CONFIG), weights) {
        (true, true) => Ok(()),
        (true, false) if has(PICKLE) => bail!(
            "its weights are a pickle ({PICKLE}), which can run code and is not read; convert them once, in the folder: \
             python -c \"import torch, safetensors.torch as s; w = torch.load('{PICKLE}', weights_only=True); \
             s.save_file({{k: v.contiguous() for k, v in w.items()}}, '{}')\"",
            peft::WEIGHTS
        ),
        (true, false) => bail!(
            "it has {CONFIG} but no weights ({}, or mlx-lm's {})",
            peft::WEIGHTS,
            mlx::WEIGHTS
        ),
        (false, true) => bail!("{CONFIG} is missing, which says its rank and alpha"),
        (false, false) if has("config.json") => {
            bail!("it is a base model, not an adapter: give it as --base")
        }
        (false, false) => not_in(path),
    }
}

fn check_file(path: &Path) -> Result<()> {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    if read.is_ok() && &magic == b"GGUF" {
        return Ok(());
    }
    let folder = path.with_file_name("");
    if folder.join(CONFIG).exists() {
        bail!(
            "it is one file of an adapter: give its folder, {}",
            folder.display()
        );
    }
    bail!("it is no GGUF file; an adapter is a folder with {CONFIG}, or llama.cpp's .gguf")
}

/// What a folder without any file of an adapter's may have instead.
fn not_in(path: &Path) -> Result<()> {
    let cannot = || "cannot be read";
    let mut inside = Vec::new();
    for entry in fs::read_dir(path).with_context(cannot)? {
        inside.push(entry.with_context(cannot)?.path());
    }
    inside.sort();
    if inside.is_empty() {
        bail!("the folder is empty");
    }
    let adapters = inside.iter().filter(|path| {
        let gguf = path.extension().is_some_and(|end| end == "gguf");
        gguf || path.join(CONFIG).exists()
    });
    let adapters: Vec<_> = adapters.map(|path| path.display().to_string()).collect();
    match adapters.is_empty() {
        true => bail!("{CONFIG} is missing: it is no adapter's folder"),
        false => bail!(
            "{CONFIG} is not in this folder; what may be meant: {}",
            adapters.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_there_instead() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let said = |name: &str| check(&path(name)).unwrap_err().to_string();
        assert!(said("owner/name").contains("hf download"));
        let folder = |name: &str, files: &[&str]| {
            fs::create_dir_all(path(name)).unwrap();
            for file in files {
                fs::write(path(name).join(file), "{}").unwrap();
            }
        };
        folder("empty", &[]);
        assert!(said("empty").contains("the folder is empty"));
        folder("base", &["config.json", "model.safetensors"]);
        assert!(said("base").contains("give it as --base"));
        folder("pickle", &[CONFIG, PICKLE]);
        assert!(said("pickle").contains("pickle") && said("pickle").contains("weights_only=True"));
        folder("bare", &[CONFIG]);
        assert!(said("bare").contains("no weights"));
        folder("unsaid", &[peft::WEIGHTS]);
        assert!(said("unsaid").contains("adapter_config.json is missing, which says its rank"));
        folder("other", &["notes.txt"]);
        assert!(said("other").contains("no adapter's folder"));
        folder("run/checkpoint-7", &[CONFIG, peft::WEIGHTS]);
        assert!(said("run").contains("run/checkpoint-7"));
        check(&path("run/checkpoint-7")).unwrap();
        assert!(said("run/checkpoint-7/adapter_model.safetensors").contains("give its folder"));
        assert!(said("other/notes.txt").contains("no GGUF file"));
        folder("mlx", &[CONFIG, mlx::WEIGHTS]);
        check(&path("mlx")).unwrap();
    }
}
