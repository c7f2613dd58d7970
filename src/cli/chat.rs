//! `factory chat`: a conversation in the terminal.

use super::answering::AnsweringArgs;
use super::lines;
use super::loras;
use super::terminal::Terminal;
use super::{UsageError, note};
use crate::answering::loaded::Loaded;
use crate::answering::talk::Talk;
use crate::generation::sampler::SamplerConfig;
use crate::run::words::plain;
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::path::Path;

const HELP: &str = "\
/system TEXT       begin anew, with this system text
/lora [NAME=]FOLDER  add an adapter, with weight 1
/weights [W W ...]  show the adapters' weights, or set them
/save FILE         write the conversation as a row to train on
/help              show this; Ctrl-D ends";

/// Talk with a base model, with adapters or without.
///
/// What begins with a slash is a command: /help names them.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    answering: AnsweringArgs,
    /// System text that the conversation begins with.
    #[arg(long, value_name = "TEXT", default_value = "")]
    system: String,
    /// 0 is greedy.
    #[arg(long, default_value_t = SamplerConfig::default().temperature)]
    temperature: f64,
    /// Sample from the smallest set of tokens with this probability.
    #[arg(long, default_value_t = SamplerConfig::default().top_p)]
    top_p: f64,
    /// Seed of the sampling.
    #[arg(long, default_value_t = SamplerConfig::default().seed)]
    seed: u64,
}

/// Talks until the input ends.
pub fn run(args: Args) -> Result<()> {
    let sampler = SamplerConfig {
        temperature: args.temperature,
        top_p: args.top_p,
        seed: args.seed,
        ..SamplerConfig::default()
    };
    sampler.check().map_err(UsageError::of)?;
    let config = args.answering.config()?;
    if config.route.is_some() {
        let message = "chat takes no --route: an adapter is chosen by --lora, or /lora";
        return Err(UsageError(message.into()).into());
    }
    let place = args.answering.place()?;
    let loaded = Loaded::load(&config, &place, &Terminal::default())?;
    let mut talk = Talk::new(loaded, sampler)?;
    talk.begin(&args.system);
    lines::each("/help names the commands; Ctrl-D ends.", |line| {
        take(&mut talk, line)
    })
}

/// Does what a line says.
fn take(talk: &mut Talk, line: &str) -> Result<()> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(());
    }
    let Some(command) = line.strip_prefix('/') else {
        let mut out = std::io::stdout();
        talk.say(line, |piece| {
            write!(out, "{piece}")?;
            Ok(out.flush()?)
        })?;
        return Ok(writeln!(out)?);
    };
    let (command, rest) = command.split_once(' ').unwrap_or((command, ""));
    match (command, rest.trim()) {
        ("help", "") => note(HELP),
        ("system", text) => talk.begin(text),
        ("lora", folder) if !folder.is_empty() => talk.add(&loras::parse(folder))?,
        ("weights", "") => {
            for (name, weight) in talk.weights() {
                note(format_args!("{name} {weight}"));
            }
        }
        ("weights", numbers) => {
            let read = |text: &str| {
                text.parse()
                    .with_context(|| format!("{text:?} is no number"))
            };
            let weights: Vec<f64> = numbers
                .split_whitespace()
                .map(read)
                .collect::<Result<_>>()?;
            talk.weigh(&weights)?;
        }
        ("save", file) if !file.is_empty() => {
            talk.save(Path::new(file))?;
            note(format_args!("saved: {}", plain(file)));
        }
        _ => bail!("/{command} {} is no command: /help names them", rest.trim()),
    }
    Ok(())
}
