//! What an adapter answers while it is trained: greedily and shortly, by the defaults.

use super::config::Config;
use super::rows::{named, too_long};
use crate::adapters::bank::{Bank, Member, Mixture};
use crate::adapters::lora::Adapter;
use crate::adapters::ngrams::Ngrams;
use crate::data::jsonl::Line;
use crate::data::record::{self, Columns};
use crate::data::template::Renderer;
use crate::generation::engine::{Adapters, Engine};
use crate::generation::sampler::SamplerConfig;
use crate::model::load::Base;
use anyhow::{Result, ensure};
use std::path::Path;

/// The tokens that the rows of `data` ask with, all of which must fit the model.
pub fn prompts(
    base: &Base,
    renderer: &Renderer,
    data: &Path,
    lines: &[Line],
    columns: &Columns,
) -> Result<Vec<Vec<u32>>> {
    let asked = record::prompts(data, lines, columns)?;
    let prompts = asked.iter().map(|asked| renderer.prompt(asked));
    let prompts: Vec<_> = prompts.collect::<Result<_>>()?;
    let (stop, model) = (Config::default().stop, &base.decoder.config);
    let long = too_long(data, lines, &prompts, &stop, model);
    ensure!(long.is_empty(), "{}", named(&long));
    Ok(prompts)
}

/// The answers of `base` under `adapter`, guessed ahead by its `ngrams` too; `None` where the model's logits are no numbers.
pub fn answers(
    base: &Base,
    adapter: &Adapter,
    ngrams: Option<&Ngrams>,
    prompts: &[Vec<u32>],
) -> Result<Vec<Option<String>>> {
    let mut adapter = adapter.clone();
    adapter.end_training(&base.decoder)?;
    let bank = Bank::new(vec![Member {
        name: String::new(),
        adapter,
    }])?;
    let Config { stop, batch, .. } = Config::default();
    let ngrams = [ngrams.cloned()];
    let engine = Engine {
        decoder: &base.decoder,
        tokenizer: &base.tokenizer,
        adapters: Some(Adapters {
            bank: &bank,
            mixtures: vec![Mixture::only(0)],
            choice: Vec::new(),
        }),
        sampler: SamplerConfig::default(),
        stop,
        batch,
        // So few short answers take little beside what training holds.
        memory: usize::MAX,
        speculation: Some(&ngrams),
        grammars: Vec::new(),
    };
    let answers = engine.generate(prompts)?.into_iter();
    Ok(answers.map(|answer| answer.text).collect())
}
