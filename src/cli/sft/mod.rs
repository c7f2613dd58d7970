//! `factory sft`: rows to an adapter.

mod curve;
mod estimate;
mod flags;
mod inspect;
mod recompute;
mod selection;
mod session;

use super::answering::remark;
use super::{UsageError, loras, note, say};
use crate::adapters::lora::Adapter;
use crate::adapters::stored;
use crate::data::record::{self, Record};
use crate::data::template::Renderer;
use crate::model::config::Config;
use crate::model::linear::Site;
use crate::model::load::{Base, Source};
use crate::model::tokenizer::Tokenizer;
use crate::run::folder::default_path;
use crate::run::training_run::TrainingRun;
use crate::training::allocator;
use crate::training::config::TrainConfig;
use crate::training::sft::{self, Encoded};
use anyhow::{Context, Result, ensure};
pub use flags::{Args, DEFAULT_BASE};
use session::Session;
use std::path::Path;

/// Trains an adapter and writes its folder.
pub fn run(args: Args) -> Result<()> {
    let resumed = args
        .resume
        .as_deref()
        .map(TrainingRun::resume)
        .transpose()?;
    let (train, fresh) = (args.train_config()?, args.adapter_config()?);
    let (name, template) = (args.base()?, args.template()?);
    let data = args.data()?;
    let out = args.resume.as_ref().or(args.out.as_ref());
    let out = out.cloned().unwrap_or_else(|| {
        let stem = data.file_stem().unwrap_or_default().to_string_lossy();
        default_path("sft", &stem)
    });
    let columns = args.fields.columns()?;
    let mut rows = record::read(data, &columns)?;
    let validation = args.val_data.as_deref();
    let mut validation = validation
        .map(|from| record::read(from, &columns))
        .transpose()?;
    let trained = args.init.as_deref().map(loras::chat_template).transpose()?;
    let trained = trained.flatten();
    if let Some(batches) = args.inspect_batch {
        let mut source = Source::open(&name)?;
        loras::take_template(template, trained, &mut source.tokenizer);
        let renderer = Renderer::new(template, &source.tokenizer)?;
        remark(&renderer);
        strip_ends(&mut rows, &source.tokenizer)?;
        let encoded = sft::encode(&rows, &renderer, &train)?;
        fit(&encoded, &source.config, &train, data)?;
        let adapter = match &args.init {
            Some(folder) => stored::read(folder)?.config,
            None => fresh,
        };
        let batches = batches as usize;
        return inspect::print(&encoded, &train, &adapter, &source.tokenizer, batches);
    }
    // Before the base is loaded: a folder that cannot be made is known at once.
    let folder = match resumed {
        None if !args.dry_run => Some(TrainingRun::begin(&out)?),
        resumed => resumed,
    };
    allocator::keep_freed_memory();
    let device = args.device.open()?;
    let base = Base::load(&name, args.dtype.on(&device), &device)?;
    #[cfg(feature = "metal")]
    let base = args.memory.limit(base)?;
    let mut base = base;
    loras::take_template(template, trained, &mut base.tokenizer);
    let renderer = Renderer::new(template, &base.tokenizer)?;
    remark(&renderer);
    for rows in [Some(&mut rows), validation.as_mut()].into_iter().flatten() {
        strip_ends(rows, &base.tokenizer)?;
    }
    let encode = |rows: &[_], from: &Path| {
        let encoded = sft::encode(rows, &renderer, &train)?;
        fit(&encoded, &base.decoder.config, &train, from)?;
        Ok::<_, anyhow::Error>(encoded)
    };
    let encoded = encode(&rows, data)?;
    let validation = match (&validation, &args.val_data) {
        (Some(rows), Some(from)) => Some(encode(rows, from)?),
        _ => None,
    };

    let mut adapter = match &args.init {
        Some(folder) => {
            let adapter = stored::load(folder, &base.decoder)?;
            loras::note_other_bases([folder.as_path()], &name);
            adapter
        }
        None => Adapter::init(fresh, &base.decoder, train.seed)?,
    };
    adapter.config.base = Some(name);
    let sites: Vec<Site> = adapter.modules.keys().copied().collect();
    let idle = [
        adapter.config.rank_pattern.idle(&sites),
        adapter.config.alpha_pattern.idle(&sites),
    ];
    if let Some(pattern) = idle.into_iter().flatten().next() {
        let message = format!("pattern {pattern:?} matches no adapted module of this base");
        return Err(UsageError(message).into());
    }
    let (examples, decoder) = (&encoded.examples, &mut base.decoder);
    decoder.recompute = recompute::decide(decoder, &adapter.config, examples, &train);
    let validation = validation.as_ref().map(|v| v.examples.as_slice());
    let Some(mut folder) = folder else {
        let evaluates = args.eval_data.is_some();
        return estimate::print(&base, &mut adapter, &encoded, validation, &train, evaluates);
    };
    let settings =
        toml::to_string(&args.resolved(data, template, &device, &adapter.config, &train));
    let session = Session {
        args: &args,
        out: &out,
        base: &base,
        renderer: &renderer,
        encoded: &encoded,
        validation,
        train: &train,
        settings: settings.context("writing the resolved config")?,
    };
    session.run(&mut adapter, &mut folder)?;
    folder.finish()?;
    say(format_args!("adapter: {}", out.display()))
}

/// Leaves out end tokens that answers bring along, and says so: with the template's own, two would be learned.
fn strip_ends(rows: &mut [Record], tokenizer: &Tokenizer) -> Result<()> {
    let ends = tokenizer.ends().iter().map(|id| tokenizer.show(&[*id]));
    let ends: Vec<String> = ends.collect::<Result<_>>()?;
    let places = record::strip_ends(rows, &ends)?;
    if let Some(first) = places.first() {
        note(format_args!(
            "{first}: the answer ends with an end token ({}), which the template adds too: one is learned ({} such rows)",
            ends.join(", "),
            places.len()
        ));
    }
    Ok(())
}

/// Says which rows were left out, and refuses rows longer than the base can take.
fn fit(encoded: &Encoded, base: &Config, train: &TrainConfig, from: &Path) -> Result<()> {
    let (skipped, examples) = (encoded.skipped, &encoded.examples);
    if skipped > 0 {
        note(format_args!(
            "{}: left out {skipped} of {} rows longer than --max-seq {}",
            from.display(),
            skipped + examples.len(),
            train.max_seq
        ));
    }
    if encoded.split > 0 {
        note(format_args!(
            "{}: {} rows are several examples each: the template shows their earlier answers otherwise than it asks for them",
            from.display(),
            encoded.split
        ));
    }
    let longest = examples.iter().map(|e| e.len()).max().unwrap_or(0);
    let most = base.max_position_embeddings;
    ensure!(
        longest <= most,
        "{}: a row has {longest} tokens, more than the base's {most} positions; lower --max-seq",
        from.display()
    );
    Ok(())
}
