//! `factory sft`: rows to an adapter.

mod flags;
mod inspect;

use super::note;
use super::progress::Progress;
use super::say;
use crate::adapters::lora::Adapter;
use crate::adapters::peft;
use crate::data::record;
use crate::data::template::Renderer;
use crate::model::load::{Base, Source};
use crate::run::folder::{RunFolder, default_path};
use crate::training::config::TrainConfig;
use crate::training::sft::{self, Encoded};
use crate::training::trainer;
use anyhow::{Context, Result, ensure};
pub use flags::{Args, DEFAULT_BASE};
use std::path::Path;

/// Trains an adapter and writes its folder.
pub fn run(args: Args) -> Result<()> {
    let (train, fresh) = (args.train_config()?, args.adapter_config()?);
    let data = args.data()?;
    let out = args.out.clone().unwrap_or_else(|| {
        let name = data.file_stem().unwrap_or_default().to_string_lossy();
        default_path("sft", &name)
    });
    let rows = record::read(data)?;
    let validation = args.val_data.as_deref().map(record::read).transpose()?;
    if let Some(batches) = args.inspect_batch {
        let source = Source::open(&args.base)?;
        let renderer = Renderer::new(args.template, &source.tokenizer)?;
        let encoded = sft::encode(&rows, &renderer, &train)?;
        return inspect::print(&encoded, &train, &source.tokenizer, batches as usize);
    }
    // Before the base is loaded: a folder that cannot be made is known at once.
    let mut folder = RunFolder::create(&out)?;
    let device = args.device.open()?;
    let base = Base::load(&args.base, args.dtype.on(&device), &device)?;
    #[cfg(feature = "metal")]
    let base = args.memory.limit(base)?;
    let renderer = Renderer::new(args.template, &base.tokenizer)?;
    let encode = |rows: &[_], from: &Path| {
        let encoded = sft::encode(rows, &renderer, &train)?;
        fit(&encoded, &base, &train, from)?;
        Ok::<_, anyhow::Error>(encoded)
    };
    let encoded = encode(&rows, data)?;
    let validation = match (&validation, &args.val_data) {
        (Some(rows), Some(from)) => Some(encode(rows, from)?),
        _ => None,
    };

    let mut adapter = match &args.init {
        Some(folder) => peft::load(folder, &base.decoder)?,
        None => Adapter::init(fresh, &base.decoder, train.seed)?,
    };
    adapter.config.base = Some(args.base.clone());
    let resolved = toml::to_string(&args.resolved(data, &adapter.config, &train));
    let resolved = resolved.context("writing the resolved config")?;
    let total = train.total_steps(encoded.examples.len());
    let tokens: usize = encoded.examples.iter().map(|e| e.len()).sum();
    note(format_args!(
        "{} rows, {tokens} tokens, {total} steps",
        encoded.examples.len()
    ));
    let progress = Progress::new(total, "steps");
    let examples = validation.as_ref().map(|v| v.examples.as_slice());
    let trained = trainer::train(
        &base.decoder,
        &mut adapter,
        &encoded.examples,
        examples,
        &train,
        |m, adapter| {
            let mut message = format!("loss {:.4}  {:.0} tokens/s", m.loss, m.tokens_per_s);
            if let Some(loss) = m.val_loss {
                message += &format!("  val loss {loss:.4}");
            }
            progress.update(m.step, message);
            if train.saves(m.step, total) {
                let place = format!("checkpoint-{}/", m.step);
                save(&folder, &place, adapter, &resolved)?;
                folder.keep();
            }
            folder.metric(m)
        },
    );
    progress.finish();
    trained.map_err(|e| match folder.kept() {
        Some(path) => e.context(format!("stopped; saved adapters are in {}", path.display())),
        None => e,
    })?;
    save(&folder, "", &adapter, &resolved)?;
    folder.finish()?;
    say(format_args!("adapter: {}", out.display()))
}

/// Writes the adapter's files and the run's config under `place` in the run's folder.
fn save(folder: &RunFolder, place: &str, adapter: &Adapter, config: &str) -> Result<()> {
    folder.write(&format!("{place}config.toml"), config.as_bytes())?;
    for (name, content) in peft::files(adapter)? {
        folder.write(&format!("{place}{name}"), &content)?;
    }
    Ok(())
}

/// Says which rows were left out, and refuses rows longer than the base can take.
fn fit(encoded: &Encoded, base: &Base, train: &TrainConfig, from: &Path) -> Result<()> {
    let (skipped, examples) = (encoded.skipped, &encoded.examples);
    if skipped > 0 {
        note(format_args!(
            "{}: left out {skipped} of {} rows longer than --max-seq {}",
            from.display(),
            skipped + examples.len(),
            train.max_seq
        ));
    }
    let longest = examples.iter().map(|e| e.len()).max().unwrap_or(0);
    let most = base.decoder.config.max_position_embeddings;
    ensure!(
        longest <= most,
        "{}: a row has {longest} tokens, more than the base's {most} positions; lower --max-seq",
        from.display()
    );
    Ok(())
}
