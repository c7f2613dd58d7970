//! A base with its adapters, ready to answer.

use super::config::{Config, OnLong};
use super::loras::Lora;
use super::rows::{named, too_long};
use super::{policy, routing, trained};
use crate::adapters::bank::{Bank, Member, Mixture};
use crate::adapters::lora::Adapter;
use crate::adapters::ngrams::Ngrams;
use crate::adapters::stored;
use crate::data::jsonl;
use crate::data::record::{Conversation, Role};
use crate::data::template::{Renderer, Template};
use crate::db::notes::Dialect;
use crate::generation::cache::Cache;
use crate::generation::engine::{Adapters, Engine};
use crate::generation::memory::Need;
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::model::decoder::Decoder;
use crate::model::load::Base;
use crate::model::place::Place;
use crate::model::weight::{Held, Weight};
use crate::router::{self, Decision, Router};
use crate::run::observer::Observer;
use crate::run::words::size;
use anyhow::{Context, Result, bail, ensure};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

/// Bytes for keys and values of prompts that come one after another, unless said otherwise: of SmolLM2-135M 23,000 tokens.
const KV_MEMORY: usize = 1_073_741_824;

/// A base with its adapters.
pub struct Loaded {
    /// What the base was called.
    pub name: String,
    pub base: Base,
    pub bank: Bank,
    /// The adapters with their weights.
    pub mixture: Mixture,
    template: Template,
    pub stop: StopConfig,
    on_long: OnLong,
    notes: Option<Dialect>,
    /// Rows answered at once, at most.
    pub batch: usize,
    pub kv_memory: Option<usize>,
    /// Bytes that answering may take.
    pub memory: usize,
    /// Whether tokens are guessed ahead.
    speculation: bool,
    /// Of each member of the bank; `None` where nothing is guessed.
    ngrams: Option<Vec<Option<Ngrams>>>,
}

impl Loaded {
    /// Loads at `place` what `config` names.
    pub fn load(config: &Config, place: &Place, observer: &dyn Observer) -> Result<Self> {
        let loras = &config.loras;
        let name = match &config.base {
            Some(base) => base.clone(),
            None => loras.base()?,
        };
        let mut base = place.load(&name)?;
        note_whole(&base.decoder, observer);
        let template = match config.template {
            Some(template) => {
                template.prepare(&mut base.tokenizer);
                template
            }
            None => {
                let template = loras.template(&name, observer)?;
                loras.prepare(template, &mut base.tokenizer, observer)?;
                template
            }
        };
        if loras.is_empty() {
            trained::remark(&Renderer::new(template, &base.tokenizer)?, observer);
        }
        let (bank, mixture) = loras.load(&base.decoder, &name, observer)?;
        let ngrams = config
            .speculation
            .then(|| loras.ngrams(&bank, &base.decoder));
        Ok(Self {
            speculation: config.speculation,
            ngrams: ngrams.transpose()?,
            name,
            base,
            bank,
            mixture,
            template,
            stop: config.stop.clone(),
            on_long: config.on_long,
            notes: config.notes,
            batch: config.batch,
            kv_memory: config.kv_memory,
            memory: policy::memory(&place.device),
        })
    }

    /// The adapters with their tables, for who adds and takes away some while answering; none stay here.
    pub fn take_adapters(&mut self) -> Result<(Bank, Option<Vec<Option<Ngrams>>>)> {
        let none = Bank::new(Vec::new())?;
        Ok((std::mem::replace(&mut self.bank, none), self.ngrams.take()))
    }

    /// The router of `config`, held against the adapters that are there.
    pub fn router(&self, config: &Config) -> Result<Option<Router>> {
        let Some(file) = &config.route else {
            return Ok(None);
        };
        let router = routing::read(file)?;
        let members = self.bank.members();
        let names: Vec<&str> = members.iter().map(|m| m.name.as_str()).collect();
        router::check_known(&router, &names)?;
        config.routing.check(&names)?;
        Ok(Some(router))
    }

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
            speculation: self.ngrams.as_deref(),
            grammars: Vec::new(),
        }
    }

    /// The tokens of the prompts of a file's rows.
    pub fn prompts(
        &self,
        path: &Path,
        lines: &[jsonl::Line],
        turns: &[Conversation],
        observer: &dyn Observer,
    ) -> Result<Vec<Vec<u32>>> {
        let renderer = self.renderer()?;
        let prompts = lines.iter().zip(turns).map(|(line, turns)| {
            let prompt = renderer.prompt(&self.noted(turns)).and_then(filled);
            prompt.with_context(|| format!("{}:{}", path.display(), line.number))
        });
        let prompts: Vec<_> = prompts.collect::<Result<_>>()?;
        let config = &self.base.decoder.config;
        let long = too_long(path, lines, &prompts, &self.stop, config);
        if !long.is_empty() && self.on_long == OnLong::Error {
            bail!("{} (--on-long skip leaves such rows out)", named(&long));
        }
        for fault in &long {
            observer.note(format_args!("skipped: {fault}"));
        }
        Ok(prompts)
    }

    /// A conversation as it is asked: with the notes, where there are to be any, before what the user says first.
    fn noted<'t>(&self, turns: &'t Conversation) -> Cow<'t, Conversation> {
        let Some(dialect) = self.notes else {
            return Cow::Borrowed(turns);
        };
        let mut noted = turns.clone();
        let mut users = noted.turns.iter_mut();
        if let Some(first) = users.find(|turn| turn.role == Role::User) {
            first.content = dialect.before(&first.content);
        }
        Cow::Owned(noted)
    }

    /// The tokens of one prompt.
    pub fn prompt(&self, turns: &Conversation) -> Result<Vec<u32>> {
        let prompt = self
            .renderer()?
            .prompt(&self.noted(turns))
            .and_then(filled)?;
        match self.stop.too_long(prompt.len(), &self.base.decoder.config) {
            Some(reason) => bail!(reason),
            None => Ok(prompt),
        }
    }

    /// An empty cache for answers to the rows `which` of `prompts`. Says where fewer rows than asked for fit in memory at once. Errors
    /// where not one does.
    pub fn cache(
        &self,
        engine: &Engine,
        prompts: &[Vec<u32>],
        which: &[usize],
        observer: &dyn Observer,
    ) -> Result<Cache> {
        let cache = engine.cache(prompts, which, self.kv_memory)?;
        let Some(need) = engine.need(prompts, which) else {
            return Ok(cache);
        };
        let (rows, wanted) = (need.rows(cache.blocks()), self.batch.min(which.len()));
        if rows < wanted {
            observer.note(format_args!(
                "answering {rows} of {wanted} rows at once: each may take {} for the keys and values of {} tokens, and there are {} (a lower --max-tokens makes room for more)",
                size(need.row),
                need.positions,
                size(need.bytes(cache.blocks()))
            ));
        }
        Ok(cache)
    }

    /// An empty cache for prompts that come one after another, each with its longest answer no longer than `context`, which is longer than
    /// that. Errors where not one such row fits.
    pub fn standing_cache(&self, context: usize) -> Result<Cache> {
        let lengths = vec![context.saturating_sub(self.stop.max_tokens); self.batch];
        let decoder = &self.base.decoder;
        let need = Need::of(decoder, &lengths, &self.stop, self.batch);
        let need = need.context("no rows are to be answered at once")?;
        let wanted = self.kv_memory.unwrap_or(KV_MEMORY.max(need.row));
        let blocks = need.blocks(self.batch, self.memory, Some(wanted))?;
        Cache::new(decoder, blocks)
    }

    /// The adapter in a folder with its table, where there is one and there is guessing.
    pub fn read(&self, folder: &Path) -> Result<(Adapter, Option<Ngrams>)> {
        let decoder = &self.base.decoder;
        let adapter = stored::load(folder, decoder)?;
        let ngrams = match self.speculation {
            true => Ngrams::read(folder, &adapter, decoder)?,
            false => None,
        };
        Ok((adapter, ngrams))
    }

    /// Adds an adapter, which is not in the mixture.
    pub fn add(&mut self, lora: &Lora) -> Result<()> {
        let (adapter, mut ngrams) = self.read(&lora.folder)?;
        let name = lora.name.clone();
        self.bank.add(Member { name, adapter })?;
        self.ngrams
            .iter_mut()
            .for_each(|all| all.push(ngrams.take()));
        Ok(())
    }

    /// How conversations become prompts.
    pub fn template(&self) -> Template {
        self.template
    }

    /// What makes prompts of conversations.
    pub fn renderer(&self) -> Result<Renderer<'_>> {
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

/// Says which projections are numbers although quantized ones were asked for.
fn note_whole(decoder: &Decoder, observer: &dyn Observer) {
    let quantized = matches!(decoder.held, Held::Q8 | Held::Native);
    let whole = decoder
        .projections()
        .filter(|(_, weight)| quantized && matches!(weight, Weight::Numbers(_)));
    let whole: BTreeSet<&str> = whole.map(|(site, _)| site.projection.name()).collect();
    if !whole.is_empty() {
        observer.note(format_args!(
            "not quantized, since no blocks of 32 fit their width: {}",
            Vec::from_iter(whole).join(", ")
        ));
    }
}

fn filled(prompt: Vec<u32>) -> Result<Vec<u32>> {
    ensure!(!prompt.is_empty(), "the prompt has no tokens");
    Ok(prompt)
}
