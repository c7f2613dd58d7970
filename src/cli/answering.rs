//! What every command that answers prompts is told, and loads.

use super::device::{DTypeArg, DeviceArg};
use super::fields::FieldArgs;
use super::loras::Loras;
use super::one_line::plain;
use super::route::{self, RouteArgs};
use super::{UsageError, note, size};
use crate::adapters::bank::{Bank, Mixture};
use crate::answering::rows::{named, too_long};
use crate::data::jsonl;
use crate::data::record::Conversation;
use crate::data::template::{Renderer, Template};
use crate::generation::engine::{Adapters, Engine};
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::model::load::Base;
use crate::model::memory;
use crate::router::{self, Decision};
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// The flags.
#[derive(Debug, clap::Args)]
pub struct AnsweringArgs {
    #[command(flatten)]
    pub loras: Loras,
    /// Router that gives each row one of the adapters, by its name; a row that it abstains from gets the base.
    #[arg(long, value_name = "FILE")]
    pub route: Option<PathBuf>,
    #[command(flatten)]
    pub routing: RouteArgs,
    #[command(flatten)]
    pub fields: FieldArgs,
    /// Base model: a folder, a .gguf file or a hub id [default: the adapter's, else Qwen/Qwen3-0.6B].
    #[arg(long)]
    base: Option<String>,
    /// How a prompt becomes text [default: as the adapter was trained here, else plain].
    #[arg(long, value_enum)]
    template: Option<Template>,
    /// Longest answer in tokens.
    #[arg(long, default_value_t = StopConfig::default().max_tokens as u64, value_parser = clap::value_parser!(u64).range(1..))]
    max_tokens: u64,
    /// Text that ends an answer (repeatable); it is cut off. Taken as it is: a newline is $'\n' in bash. A special token is
    /// given by its name, as in '<|im_end|>'.
    #[arg(long)]
    stop: Vec<String>,
    /// What to do with rows whose prompt does not fit the model with its longest answer: name them and stop, or skip them,
    /// which leaves them without an answer.
    #[arg(long, value_enum, default_value_t = OnLong::Error)]
    pub on_long: OnLong,
    /// Rows answered at once, at most: fewer where the memory that is free does not hold them.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1024))]
    batch: u64,
    /// Where to run.
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    device: DeviceArg,
    /// Type of the base's weights and activations; adapters and softmax are f32.
    #[arg(long, value_enum, default_value_t = DTypeArg::Auto)]
    dtype: DTypeArg,
    #[cfg(feature = "metal")]
    #[command(flatten)]
    memory: super::device::MemoryArgs,
}

/// See [`AnsweringArgs::on_long`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnLong {
    Error,
    Skip,
}

/// Says what the template leaves out that the base's own has.
pub fn remark(renderer: &Renderer) {
    if let Some(remark) = renderer.remark() {
        note(format_args!("{}", plain(&remark)));
    }
}

/// A base with its adapters.
pub struct Loaded {
    pub base: Base,
    pub bank: Bank,
    /// The adapters with the weights of the command line.
    pub mixture: Mixture,
    template: Template,
    stop: StopConfig,
    on_long: OnLong,
    batch: usize,
    /// Bytes that answering may take.
    memory: usize,
}

impl AnsweringArgs {
    /// Errors where a flag alone is a mistake.
    pub fn check(&self) -> Result<()> {
        if self.stop.iter().any(String::is_empty) {
            return Err(UsageError("--stop must not be empty".into()).into());
        }
        self.fields.columns()?;
        match self.route {
            Some(_) => Ok(()),
            None => self.routing.refuse(),
        }
    }

    /// Loads the base and the adapters.
    pub fn load(&self) -> Result<Loaded> {
        let device = self.device.open()?;
        let name = match &self.base {
            Some(base) => base.clone(),
            None => self.loras.base()?,
        };
        let base = Base::load(&name, self.dtype.on(&device), &device)?;
        #[cfg(feature = "metal")]
        let base = self.memory.limit(base)?;
        let mut base = base;
        let template = match self.template {
            Some(template) => {
                template.prepare(&mut base.tokenizer);
                template
            }
            None => {
                let template = self.loras.template(&name)?;
                self.loras.prepare(template, &mut base.tokenizer)?;
                template
            }
        };
        if self.loras.is_empty() {
            remark(&Renderer::new(template, &base.tokenizer)?);
        }
        let (bank, mixture) = self.loras.load(&base.decoder, &name)?;
        Ok(Loaded {
            base,
            bank,
            mixture,
            template,
            stop: StopConfig {
                max_tokens: self.max_tokens as usize,
                stop: self.stop.clone(),
            },
            on_long: self.on_long,
            batch: self.batch as usize,
            memory: match device.is_cpu() {
                true => (memory::SHARE * memory::free() as f64) as usize,
                // Its own allocator says when it is full.
                false => usize::MAX,
            },
        })
    }

    /// The router, held against the adapters that are there.
    pub fn router(&self, loaded: &Loaded) -> Result<Option<router::Router>> {
        let Some(file) = &self.route else {
            return Ok(None);
        };
        let router = route::read(file)?;
        let names: Vec<&str> = loaded
            .bank
            .members()
            .iter()
            .map(|m| m.name.as_str())
            .collect();
        router::check_known(&router, &names)?;
        self.routing.check(&names)?;
        Ok(Some(router))
    }
}

impl Loaded {
    /// What answers prompts, changed by `adapters`.
    pub fn engine<'a>(
        &'a self,
        adapters: Option<Adapters<'a>>,
        sampler: SamplerConfig,
    ) -> Engine<'a> {
        Engine {
            decoder: &self.base.decoder,
            tokenizer: &self.base.tokenizer,
            adapters,
            sampler,
            stop: self.stop.clone(),
            batch: self.batch,
            memory: self.memory,
        }
    }

    /// The tokens of the prompts of a file's rows.
    pub fn prompts(
        &self,
        path: &Path,
        lines: &[jsonl::Line],
        turns: &[Conversation],
    ) -> Result<Vec<Vec<u32>>> {
        let renderer = self.renderer()?;
        let prompts = lines.iter().zip(turns).map(|(line, turns)| {
            let prompt = renderer.prompt(turns).and_then(filled);
            prompt.with_context(|| format!("{}:{}", path.display(), line.number))
        });
        let prompts: Vec<_> = prompts.collect::<Result<_>>()?;
        let config = &self.base.decoder.config;
        let long = too_long(path, lines, &prompts, &self.stop, config);
        if !long.is_empty() && self.on_long == OnLong::Error {
            bail!("{} (--on-long skip leaves such rows out)", named(&long));
        }
        for fault in &long {
            note(format_args!("skipped: {fault}"));
        }
        Ok(prompts)
    }

    /// The tokens of one prompt.
    pub fn prompt(&self, turns: &Conversation) -> Result<Vec<u32>> {
        let prompt = self.renderer()?.prompt(turns).and_then(filled)?;
        match self.stop.too_long(prompt.len(), &self.base.decoder.config) {
            Some(reason) => bail!(reason),
            None => Ok(prompt),
        }
    }

    /// Says where fewer rows than asked for fit in memory at once. Errors where not one does.
    pub fn check_memory(&self, engine: &Engine, prompts: &[Vec<u32>]) -> Result<()> {
        let all: Vec<usize> = (0..prompts.len()).collect();
        let Some(need) = engine.need(prompts, &all) else {
            return Ok(());
        };
        let rows = need.rows(self.memory)?;
        if rows < self.batch.min(prompts.len()) {
            note(format_args!(
                "answering {rows} of {} rows at once: each may take {} for the keys and values of {} tokens, and {} can be had (a lower --max-tokens makes room for more)",
                self.batch.min(prompts.len()),
                size(need.row),
                need.positions,
                size(self.memory)
            ));
        }
        Ok(())
    }

    fn renderer(&self) -> Result<Renderer<'_>> {
        Renderer::new(self.template, &self.base.tokenizer)
    }

    /// One mixture for all prompts; the base alone where there are no adapters.
    pub fn mixed(&self, mixture: Mixture) -> Option<Adapters<'_>> {
        (!mixture.0.is_empty()).then(|| Adapters {
            bank: &self.bank,
            mixtures: vec![mixture],
            choice: Vec::new(),
        })
    }

    /// Each prompt the adapter of its decision, with that adapter's weight; none where the router abstained.
    pub fn routed(&self, decisions: &[Decision]) -> Adapters<'_> {
        let mut mixtures = vec![Mixture::default()];
        let alone = self.mixture.0.iter().map(|part| Mixture(vec![*part]));
        mixtures.extend(alone);
        let place = |decision: &Decision| {
            let route = decision.route.as_ref()?;
            let members = self.bank.members();
            members.iter().position(|member| member.name == *route)
        };
        Adapters {
            bank: &self.bank,
            mixtures,
            choice: decisions
                .iter()
                .map(|decision| place(decision).map_or(0, |member| member + 1))
                .collect(),
        }
    }
}

fn filled(prompt: Vec<u32>) -> Result<Vec<u32>> {
    ensure!(!prompt.is_empty(), "the prompt has no tokens");
    Ok(prompt)
}
