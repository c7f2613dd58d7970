//! What an adapter answers while it is trained: greedily and shortly, by the defaults.

use super::config::Config;
use super::policy::Policy;
use super::rows::{named, too_long};
use crate::adapters::lora::Adapter;
use crate::adapters::ngrams::Ngrams;
use crate::data::jsonl::Line;
use crate::data::record::{self, Columns};
use crate::data::template::Renderer;
use crate::generation::engine::Engine;
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::model::load::Base;
use anyhow::{Result, ensure};
use std::path::Path;

/// The tokens that the rows of `data` ask with, all of which must fit the model with their longest answers.
pub fn prompts(
    base: &Base,
    renderer: &Renderer,
    data: &Path,
    lines: &[Line],
    columns: &Columns,
    stop: &StopConfig,
) -> Result<Vec<Vec<u32>>> {
    let prompts = rendered(renderer, data, lines, columns)?;
    check(base, data, lines, &prompts, stop)?;
    Ok(prompts)
}

/// The tokens that the rows of `data` ask with, however many they are.
pub fn rendered(
    renderer: &Renderer,
    data: &Path,
    lines: &[Line],
    columns: &Columns,
) -> Result<Vec<Vec<u32>>> {
    let asked = record::prompts(data, lines, columns)?;
    let prompts = asked.iter().map(|asked| renderer.prompt(asked));
    prompts.collect()
}

/// Errors where a prompt does not fit the model with its longest answer.
pub fn check(
    base: &Base,
    data: &Path,
    lines: &[Line],
    prompts: &[Vec<u32>],
    stop: &StopConfig,
) -> Result<()> {
    let long = too_long(data, lines, prompts, stop, &base.decoder.config);
    ensure!(long.is_empty(), "{}", named(&long));
    Ok(())
}

/// The answers of `base` under `adapter`, guessed ahead by its `ngrams` too; `None` where the model's logits are no numbers.
pub fn answers(
    base: &Base,
    adapter: &Adapter,
    ngrams: Option<&Ngrams>,
    prompts: &[Vec<u32>],
) -> Result<Vec<Option<String>>> {
    let policy = Policy::new(base, adapter, ngrams)?;
    let engine = Engine {
        // So few short answers take little beside what training holds.
        memory: usize::MAX,
        ..policy.engine(SamplerConfig::default(), Config::default().stop)
    };
    let answers = engine.generate(prompts)?.into_iter();
    Ok(answers.map(|answer| answer.text).collect())
}
