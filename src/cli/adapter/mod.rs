//! `factory adapter`: what adapters are, and what can be made of them. Everything made is checked before it is there.

mod convert;
mod diff;
mod inspect;
mod parity;

use super::device::DeviceArg;
use super::loras::LoraArgs;
use super::terminal::Terminal;
use super::{UsageError, note, say};
use crate::adapters::asked::Asked;
use crate::adapters::bank::Bank;
use crate::adapters::{compose, merge, ngrams, peft};
use crate::answering::loras::Loras;
use crate::answering::trained;
use crate::data::template::Template;
use crate::model::load::{self, Base};
use crate::model::tokenizer::Tokenizer;
use crate::run::folder::RunFolder;
use anyhow::{Context, Result};
use candle_core::DType;
use std::path::PathBuf;

/// Look at adapters, convert them, and make one adapter or a merged model of several.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say what an adapter is: format, kind, projections, how much it changes.
    Inspect(inspect::Args),
    /// Say how far two adapters are apart, by projection, and with --base on prompts.
    Diff(diff::Args),
    /// Write an adapter in another format: PEFT, mlx-lm or llama.cpp.
    Convert(convert::Args),
    /// Write one adapter that is the weighted sum of several, where that is exact (LoRA).
    Compose(Made),
    /// Write the base with adapters merged into its weights, as a folder that transformers loads.
    Merge {
        #[command(flatten)]
        made: Made,
        /// Type of the merged weights [default: as the base stores them].
        #[arg(long, value_enum)]
        dtype: Option<StoredType>,
    },
}

/// What is made of adapters, and how it is checked.
#[derive(Debug, clap::Args)]
struct Made {
    #[command(flatten)]
    loras: LoraArgs,
    /// Base model [default: the adapters'].
    #[arg(long)]
    base: Option<String>,
    /// Template that the adapters were trained with [default: as they say].
    #[arg(long, value_enum)]
    template: Option<Template>,
    /// Rows whose prompts the result is checked with (JSONL) [default: a few texts of its own].
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Folder to write, which must not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where to compute the check.
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    device: DeviceArg,
}

/// Types that weights are stored in.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum StoredType {
    F32,
    Bf16,
    F16,
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Diff(args) => diff::diff(&args),
        Command::Convert(args) => convert::convert(&args),
        Command::Compose(made) => compose_into(&made),
        Command::Merge { made, dtype } => merge_into(&made, dtype),
    }
}

impl Made {
    fn loras(&self) -> &Loras {
        &self.loras.0
    }

    /// The template: as given, else as the adapters say.
    fn template(&self) -> Result<Option<Template>> {
        match self.template {
            Some(template) => Ok(Some(template)),
            None => self.loras().said_template(),
        }
    }

    fn base(&self) -> Result<String> {
        if self.loras().is_empty() {
            let message = "give adapters: --lora A --lora-weight 0.75 --lora B";
            return Err(UsageError(message.into()).into());
        }
        match &self.base {
            Some(base) => Ok(base.clone()),
            None => self.loras().base(),
        }
    }
}

/// Says so where adapters have n-grams, which what is made of them has not.
fn note_ngrams(loras: &Loras) {
    if loras
        .0
        .iter()
        .any(|lora| lora.folder.join(ngrams::FILE).exists())
    {
        note(
            "the adapters' n-grams are left out: answers are guessed by what a row has said alone",
        );
    }
}

fn compose_into(made: &Made) -> Result<()> {
    let name = made.base()?;
    let texts = parity::texts(made.data.as_deref())?;
    let folder = RunFolder::create(&made.out)?;
    let base = Base::load(&name, DType::F32, &made.device.open()?)?;
    let (bank, mixture) = made
        .loras()
        .load(&base.decoder, &name, &Terminal::default())?;
    let template = made.template()?;
    let mut composed = compose::compose(&bank, &mixture, &base.decoder)?;
    composed.config.base = Some(name);
    let sum = parity::logits(&base, &texts, |rows| bank.rows(vec![(rows, &mixture)]))?;
    let one = parity::logits(&base, &texts, |_| &composed)?;
    let difference = parity::difference(&sum, &one);
    difference
        .refuse_above(1e-4)
        .context("the composed adapter is not the sum of its parts")?;
    if let Some(template) = template {
        for (name, content) in trained::template_files(template, made.loras().chat_template()?) {
            folder.write(name, &content)?;
        }
    }
    for (name, content) in peft::files(&composed)? {
        folder.write(name, &content)?;
    }
    folder.finish()?;
    note_ngrams(made.loras());
    say(format_args!(
        "largest difference to the sum of its parts: {difference}"
    ))?;
    let rank = composed.config.rank;
    say(format_args!(
        "adapter: {} (rank {rank})",
        made.out.display()
    ))
}

/// How the merged model is to be asked: as its adapters were trained.
fn asked(made: &Made, tokenizer: &mut Tokenizer) -> Result<Option<(Template, Asked)>> {
    let Some(template) = made.template()? else {
        note(
            "no adapter says with which template it was trained: the base's own stays in the folder (--template names another)",
        );
        return Ok(None);
    };
    let own = tokenizer.chat().templates.get("default").cloned();
    made.loras()
        .prepare(template, tokenizer, &Terminal::default())?;
    let asked = trained::asked(template, own.as_ref(), tokenizer)?;
    Ok(Some((template, asked)))
}

fn merge_into(made: &Made, dtype: Option<StoredType>) -> Result<()> {
    let name = made.base()?;
    let texts = parity::texts(made.data.as_deref())?;
    let source = load::whole_folder(&name)?;
    let dtype = dtype.map(|dtype| match dtype {
        StoredType::F32 => DType::F32,
        StoredType::Bf16 => DType::BF16,
        StoredType::F16 => DType::F16,
    });
    let folder = RunFolder::create(&made.out)?;
    let device = made.device.open()?;
    let mut base = Base::load(&name, DType::F32, &device)?;
    let (bank, mixture) = made
        .loras()
        .load(&base.decoder, &name, &Terminal::default())?;
    let asked = asked(made, &mut base.tokenizer)?;
    let apart = parity::logits(&base, &texts, |rows| bank.rows(vec![(rows, &mixture)]))?;
    drop(base);
    let mut files = merge::files(&source, &bank, &mixture, dtype)?;
    if let Some((template, asked)) = &asked {
        asked.keep(&mut files)?;
        for (name, content) in trained::template_files(*template, None) {
            files.insert(name.to_owned(), content);
        }
    }
    for (name, content) in files {
        folder.write(&name, &content)?;
    }
    drop(bank);
    // What was written is what is checked, with no adapter at all.
    let none = Bank::new(Vec::new())?;
    let written = folder.path().to_string_lossy().into_owned();
    let merged = Base::load(&written, DType::F32, &device)?;
    let difference = parity::difference(
        &apart,
        &parity::logits(&merged, &texts, |_| none.rows(Vec::new()))?,
    );
    let share = match dtype {
        Some(DType::F32) => 1e-4,
        _ => 0.05,
    };
    difference.refuse_above(share).context(
        "the merged model is not the base with its adapters (--dtype f32 keeps more digits)",
    )?;
    drop(merged);
    folder.finish()?;
    note_ngrams(made.loras());
    say(format_args!(
        "largest difference to the base with its adapters: {difference}"
    ))?;
    say(format_args!("model: {}", made.out.display()))
}
