//! What the fuzz targets share: a folder to put files in, what must hold of every outcome, and use
//! of what was loaded.

pub mod gguf;
pub mod model;

use anyhow::Result;
use candle_core::{DType, Device};
use factory::cli::one_line;
use factory::adapters::bank::{Bank, Member, Mixture};
use factory::adapters::lora::Adapter;
use factory::generation::engine::{Adapters, Engine};
use factory::generation::sampler::SamplerConfig;
use factory::generation::stop::StopConfig;
use factory::model::load::Base;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// A folder that this process writes its files into.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

/// Writes the seeds of a target to the folder that FUZZ_SEEDS names, and runs each: a seed is a
/// valid file, so that the target's deep ends are reached from the start.
pub fn seed<T>(seeds: Vec<Vec<u8>>, run: impl Fn(&[u8]) -> Option<T>) {
    let Some(folder) = std::env::var_os("FUZZ_SEEDS").map(PathBuf::from) else {
        return;
    };
    for (i, seed) in seeds.iter().enumerate() {
        assert!(run(seed).is_some(), "seed {i} is refused");
        std::fs::write(folder.join(format!("seed-{i}")), seed).unwrap();
    }
}

/// The value; an error must be one short line that names the file.
pub fn outcome<T>(result: Result<T>, file: &str) -> Option<T> {
    let error = match result {
        Ok(value) => return Some(value),
        Err(error) => one_line(&error),
    };
    print(&error);
    assert!(error.contains(file), "no file named: {error}");
    assert!(!error.contains(char::is_control), "{error:?}");
    assert!(error.len() < 10_000);
    None
}

/// Loads the model at `path`, whose name ends in `file`.
pub fn load(path: &Path, file: &str) -> Option<Base> {
    outcome(Base::load(path.to_str()?, DType::F32, &Device::Cpu), file)
}

/// Answers a prompt: whatever was loaded must run or say why not.
pub fn generate(base: &Base, adapter: Option<Adapter>) -> Option<()> {
    let member = |adapter| Member {
        name: "fuzzed".to_owned(),
        adapter,
    };
    let bank = Bank::new(adapter.into_iter().map(member).collect()).unwrap();
    let adapters = (!bank.members().is_empty()).then(|| Adapters {
        bank: &bank,
        mixtures: vec![Mixture::only(0)],
        choice: Vec::new(),
    });
    let engine = Engine {
        decoder: &base.decoder,
        tokenizer: &base.tokenizer,
        adapters,
        sampler: SamplerConfig::default(),
        stop: StopConfig {
            max_tokens: 3,
            stop: Vec::new(),
        },
        batch: 1,
        memory: usize::MAX,
        speculation: None,
        grammars: Vec::new(),
    };
    let prompt = base.tokenizer.encode("ab <|im_end|>\n");
    let answer = prompt.and_then(|prompt| engine.generate(&[prompt]));
    // Such as NaN in the weights: an error of the sampler, which knows no file.
    answer.map_err(|e| print(&one_line(&e))).ok().map(|_| ())
}

fn print(error: &str) {
    if std::env::var_os("FUZZ_PRINT").is_some() {
        eprintln!("error: {error}");
    }
}
