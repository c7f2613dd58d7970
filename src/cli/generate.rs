//! `factory generate`: prompts to answers.

use super::answering::AnsweringArgs;
use super::progress::Progress;
use super::{UsageError, note, route, say};
use crate::data::jsonl;
use crate::data::record;
use crate::generation::engine::{Engine, Event};
use crate::generation::sampler::SamplerConfig;
use crate::run::files::{check_apart, check_writable, write_atomic};
use anyhow::Result;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Two best logits nearer than this may change places with the batch size.
const TIE: f32 = 1e-3;

/// Flags of `factory generate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rows with a prompt (JSONL): `prompt` or `instruction`, `messages` or `conversations`.
    #[arg(long, required_unless_present = "prompt", requires = "out")]
    data: Option<PathBuf>,
    /// One prompt; the answer is streamed to the terminal.
    #[arg(long, conflicts_with_all = ["data", "out", "route"])]
    prompt: Option<String>,
    /// File the answered rows are written to.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    answering: AnsweringArgs,
    /// Field the answer is written to.
    #[arg(long, default_value = "predicted_sql")]
    out_field: String,
    /// 0 is greedy.
    #[arg(long, default_value_t = SamplerConfig::default().temperature)]
    temperature: f64,
    /// Sample from the smallest set of tokens with this probability.
    #[arg(long, default_value_t = SamplerConfig::default().top_p)]
    top_p: f64,
    /// Seed of the sampling; a row's draws do not depend on its neighbours.
    #[arg(long, default_value_t = SamplerConfig::default().seed)]
    seed: u64,
}

/// Answers the prompts.
pub fn run(args: Args) -> Result<()> {
    let sampler = SamplerConfig {
        temperature: args.temperature,
        top_p: args.top_p,
        seed: args.seed,
    };
    sampler.check().map_err(UsageError::of)?;
    args.answering.check()?;
    match (&args.prompt, &args.data, &args.out) {
        (Some(prompt), _, _) => {
            let loaded = args.answering.load()?;
            let adapters = loaded.mixed(loaded.mixture.clone());
            let prompt = loaded.prompt(&record::user(prompt.clone()))?;
            stream(&loaded.engine(adapters, sampler), prompt)
        }
        (None, Some(data), Some(out)) => answer_rows(&args, data, out, sampler),
        // clap requires --prompt, or --data with --out.
        _ => Err(UsageError("give --prompt, or --data and --out".into()).into()),
    }
}

/// Prints the answer as it comes.
fn stream(engine: &Engine, prompt: Vec<u32>) -> Result<()> {
    let prompts = [prompt];
    let mut printed = String::new();
    let mut out = std::io::stdout();
    // A stop text must not be shown in part: this much is held back.
    let held = engine.stop.stop.iter().map(String::len).max().unwrap_or(0);
    engine.generate(&prompts, |event| {
        let text = match event {
            Event::Token { generated, .. } => {
                let text = engine.tokenizer.decode(generated)?;
                let mut end = text.trim_end_matches('\u{fffd}').len().saturating_sub(held);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text[..end].to_string()
            }
            Event::Done { answer, .. } => format!("{}\n", answer.text),
        };
        if let Some(new) = text.strip_prefix(&printed) {
            write!(out, "{new}")?;
            out.flush()?;
            printed = text;
        }
        Ok(())
    })?;
    Ok(())
}

fn answer_rows(args: &Args, data: &Path, out: &Path, sampler: SamplerConfig) -> Result<()> {
    let columns = args.answering.fields.columns()?;
    let (mut lines, turns) = record::read_prompts(data, &columns)?;
    check_apart([data], [out]).map_err(UsageError::of)?;
    check_writable(out)?;
    let loaded = args.answering.load()?;
    let prompts = loaded.prompts(data, &lines, &turns)?;
    let adapters = match args.answering.router(&loaded)? {
        None => loaded.mixed(loaded.mixture.clone()),
        Some(router) => {
            let routing = &args.answering.routing;
            let decisions = routing.decide(&router, data, &lines, &turns)?;
            for (line, decision) in lines.iter_mut().zip(&decisions) {
                route::annotate(line, decision);
            }
            note(route::summary(&decisions));
            Some(loaded.routed(&decisions))
        }
    };
    let engine = loaded.engine(adapters, sampler);
    let progress = Progress::new(prompts.len(), "rows");
    let start = Instant::now();
    let mut done = 0;
    let mut generated = 0;
    let answers = engine.generate(&prompts, |event| {
        if let Event::Done { answer, .. } = event {
            done += 1;
            generated += answer.tokens.len();
            let rate = generated as f64 / start.elapsed().as_secs_f64();
            progress.update(done, format!("{rate:.0} tokens/s"));
        }
        Ok(())
    })?;
    progress.finish();
    let seconds = start.elapsed().as_secs_f64();
    for (line, answer) in lines.iter_mut().zip(&answers) {
        line.set(&args.out_field, answer.text.clone());
    }
    write_atomic(out, &jsonl::to_bytes(&lines)?)?;
    let ties = answers.iter().filter(|a| a.min_gap < TIE).count();
    note(format_args!(
        "{} rows, {generated} tokens, {:.1} rows/s, {:.0} tokens/s; {ties} rows had a tie (two best logits within {TIE})",
        answers.len(),
        answers.len() as f64 / seconds,
        generated as f64 / seconds
    ));
    say(format_args!("predictions: {}", out.display()))
}
