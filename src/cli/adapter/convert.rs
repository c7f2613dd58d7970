//! `factory adapter convert`: an adapter in another format, checked on prompts before it is there.

use super::parity;
use crate::adapters::ngrams::{self, Ngrams};
use crate::adapters::stored::{self, Format};
use crate::answering::trained;
use crate::cli::device::DeviceArg;
use crate::cli::{UsageError, note, say};
use crate::data::template::Template;
use crate::model::load::Base;
use crate::run::files::{check_writable, write_atomic};
use crate::run::folder::{RunFolder, check_free};
use anyhow::{Context, Result};
use candle_core::DType;
use std::path::PathBuf;

/// Flags of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The adapter: a folder of PEFT's or mlx-lm's, or a .gguf file.
    adapter: PathBuf,
    /// Format to convert to.
    #[arg(long, value_enum)]
    to: Format,
    /// Folder, or .gguf file, to write, which must not exist.
    #[arg(long)]
    out: PathBuf,
    /// Base model [default: the adapter's].
    #[arg(long)]
    base: Option<String>,
    /// Rows whose prompts the result is checked with (JSONL) [default: a few texts of its own].
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Where to compute the check.
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    device: DeviceArg,
}

/// Runs the command.
pub fn convert(args: &Args) -> Result<()> {
    let (path, out) = (args.adapter.display(), args.out.display());
    let from = Format::of(&args.adapter);
    if from == args.to {
        let message = format!("{path} is a {} already", from.name());
        return Err(UsageError(message).into());
    }
    let base = match &args.base {
        Some(base) => base.clone(),
        None => trained::base_of(&args.adapter)?,
    };
    let texts = parity::texts(args.data.as_deref())?;
    // Known before the base is loaded: where it cannot be written.
    let folder = match args.to {
        Format::Gguf => {
            let gguf = args.out.extension().is_some_and(|end| end == "gguf");
            if !gguf {
                return Err(UsageError(format!("--out {out}: give a .gguf file")).into());
            }
            check_free(&args.out)?;
            check_writable(&args.out)?;
            None
        }
        Format::Peft | Format::Mlx => Some(RunFolder::create(&args.out)?),
    };
    let base = Base::load(&base, DType::F32, &args.device.open()?)?;
    let adapter = stored::load(&args.adapter, &base.decoder)?;
    let table = Ngrams::read(&args.adapter, &adapter, &base.decoder)?;
    let files = args.to.files(&adapter, &base.decoder.config);
    let files =
        files.with_context(|| format!("{path} has no exact form as a {}", args.to.name()))?;
    let file = |name: &str| {
        let found = files.iter().find(|(file, _)| *file == name);
        found
            .map(|(_, bytes)| bytes.clone())
            .context("no such file")
    };
    let converted = args.to.parse(file)?.fit(&base.decoder)?;
    let before = parity::logits(&base, &texts, |_| &adapter)?;
    let after = parity::logits(&base, &texts, |_| &converted)?;
    let difference = parity::difference(&before, &after);
    difference
        .refuse_above(1e-4)
        .context("the converted adapter is not the same")?;
    let template = trained::template(&args.adapter)?;
    if template.is_none() {
        note("the adapter does not say with which template it was trained: answer with --template");
    }
    match folder {
        Some(folder) => {
            if let Some(template) = template {
                let text = trained::chat_template(&args.adapter)?;
                for (name, content) in trained::template_files(template, text) {
                    folder.write(name, &content)?;
                }
            }
            for (name, content) in &files {
                folder.write(name, content)?;
            }
            if let Some(table) = &table {
                folder.write(ngrams::FILE, &table.to_bytes(&converted, &base.decoder)?)?;
            }
            folder.finish()?;
            if let (Format::Mlx, Some(template @ (Template::Plain | Template::Chatml))) =
                (args.to, template)
            {
                note(format_args!(
                    "mlx-lm asks in the base's own chat template, not in {}: a merged model brings its own (factory adapter merge)",
                    template.name()
                ));
            }
        }
        None => {
            write_atomic(&args.out, &file("")?)?;
            let name = template.map_or(String::new(), |template| format!(" {}", template.name()));
            note(format_args!(
                "a {} has no place for the template that an adapter was trained with: answer with --template{name}",
                args.to.name()
            ));
            if table.is_some() {
                note("nor has it one for the adapter's n-grams: they are left out");
            }
        }
    }
    say(format_args!("largest difference of a logit: {difference}"))?;
    say(format_args!("adapter: {out} ({})", args.to.name()))
}
