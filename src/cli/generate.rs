//! `factory generate`: prompts to answers.

use super::device::{DTypeArg, DeviceArg};
use super::loras::Loras;
use super::progress::Progress;
use super::route::{self, RouteArgs};
use super::{UsageError, note, say};
use crate::adapters::bank::{Bank, Mixture};
use crate::data::jsonl;
use crate::data::record::{self, Turn};
use crate::data::template::{Renderer, Template};
use crate::generation::engine::{Adapters, Engine, Event};
use crate::generation::sampler::SamplerConfig;
use crate::generation::sequence::StopConfig;
use crate::model::load::Base;
use crate::router::{self, Decision};
use crate::run::files::{check_writable, write_atomic};
use anyhow::{Context, Result};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Two best logits nearer than this may change places with the batch size.
const TIE: f32 = 1e-3;

/// Flags of `factory generate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rows with a prompt (JSONL): `prompt`, else `instruction`, else `messages`.
    #[arg(long, required_unless_present = "prompt", requires = "out")]
    data: Option<PathBuf>,
    /// One prompt; the answer is streamed to the terminal.
    #[arg(long, conflicts_with_all = ["data", "out"])]
    prompt: Option<String>,
    /// File the answered rows are written to.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    loras: Loras,
    /// Router that gives each row one of the adapters, by its name; a row that it abstains from gets the base.
    #[arg(long, value_name = "FILE", requires = "data")]
    route: Option<PathBuf>,
    #[command(flatten)]
    routing: RouteArgs,
    /// Base model: a folder, a .gguf file or a hub id [default: the adapter's, else Qwen/Qwen3-0.6B].
    #[arg(long)]
    base: Option<String>,
    /// How a prompt becomes text [default: as the adapter was trained here, else plain].
    #[arg(long, value_enum)]
    template: Option<Template>,
    /// Field the answer is written to.
    #[arg(long, default_value = "predicted_sql")]
    out_field: String,
    /// Longest answer in tokens.
    #[arg(long, default_value_t = StopConfig::default().max_tokens as u64, value_parser = clap::value_parser!(u64).range(1..))]
    max_tokens: u64,
    /// Text that ends an answer (repeatable); it is cut off. Taken as it is: a newline is $'\\n' in bash.
    #[arg(long)]
    stop: Vec<String>,
    /// 0 is greedy.
    #[arg(long, default_value_t = SamplerConfig::default().temperature)]
    temperature: f64,
    /// Sample from the smallest set of tokens with this probability.
    #[arg(long, default_value_t = SamplerConfig::default().top_p)]
    top_p: f64,
    /// Seed of the sampling; a row's draws do not depend on its neighbours.
    #[arg(long, default_value_t = SamplerConfig::default().seed)]
    seed: u64,
    /// Rows answered at once.
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

/// Answers the prompts.
pub fn run(args: Args) -> Result<()> {
    let sampler = SamplerConfig {
        temperature: args.temperature,
        top_p: args.top_p,
        seed: args.seed,
    };
    sampler.check().map_err(UsageError::of)?;
    if args.stop.iter().any(String::is_empty) {
        return Err(UsageError("--stop must not be empty".into()).into());
    }
    let rows = args.data.as_deref().map(read_prompts).transpose()?;
    if let (Some(out), Some(data)) = (&args.out, &args.data) {
        let same = out.canonicalize().ok().zip(data.canonicalize().ok());
        if same.is_some_and(|(out, data)| out == data) {
            return Err(UsageError("--out is the same file as --data".into()).into());
        }
        check_writable(out)?;
    }
    let device = args.device.open()?;
    let base = match &args.base {
        Some(base) => base.clone(),
        None => args.loras.base()?,
    };
    let base = Base::load(&base, args.dtype.on(&device), &device)?;
    #[cfg(feature = "metal")]
    let base = args.memory.limit(base)?;
    let mut base = base;
    let template = match args.template {
        Some(template) => template,
        None => args.loras.template()?,
    };
    template.prepare(&mut base.tokenizer);
    let renderer = Renderer::new(template, &base.tokenizer)?;
    let (bank, mixture) = args.loras.load(&base.decoder)?;
    let decisions = match (&args.route, &args.data, &rows) {
        (Some(router), Some(data), Some((lines, _))) => {
            let router = route::read(router)?;
            let names: Vec<&str> = bank.members().iter().map(|m| m.name.as_str()).collect();
            router::check_known(&router, &names)?;
            args.routing.check(&names)?;
            Some(args.routing.decide(&router, data, lines)?)
        }
        _ => None,
    };
    let adapters = (!args.loras.is_empty()).then(|| match &decisions {
        None => Adapters {
            bank: &bank,
            mixtures: vec![mixture],
            choice: Vec::new(),
        },
        Some(decisions) => routed(&bank, mixture, decisions),
    });
    let engine = Engine {
        decoder: &base.decoder,
        tokenizer: &base.tokenizer,
        adapters,
        sampler,
        stop: StopConfig {
            max_tokens: args.max_tokens as usize,
            stop: args.stop.clone(),
        },
        batch: args.batch as usize,
    };
    match (&args.prompt, rows, &args.out) {
        (Some(prompt), _, _) => {
            let turns = record::user(prompt.clone());
            stream(&engine, renderer.prompt(&turns)?)
        }
        (None, Some((lines, prompts)), Some(out)) => {
            let data = args.data.as_deref().unwrap_or(Path::new("")).display();
            let prompts = lines.iter().zip(&prompts).map(|(line, turns)| {
                let prompt = renderer.prompt(turns);
                prompt.with_context(|| format!("{data}:{}", line.number))
            });
            let prompts: Vec<_> = prompts.collect::<Result<_>>()?;
            let mut lines = lines;
            if let Some(decisions) = &decisions {
                for (line, decision) in lines.iter_mut().zip(decisions) {
                    route::annotate(line, decision);
                }
                note(route::summary(decisions));
            }
            answer_rows(&engine, lines, &prompts, &args.out_field, out)
        }
        // clap requires --prompt, or --data with --out.
        _ => Err(UsageError("give --prompt, or --data and --out".into()).into()),
    }
}

/// Each row the adapter of its route, with that adapter's weight; none where the router abstained.
fn routed<'a>(bank: &'a Bank, weights: Mixture, decisions: &[Decision]) -> Adapters<'a> {
    let mut mixtures = vec![Mixture::default()];
    mixtures.extend(weights.0.into_iter().map(|part| Mixture(vec![part])));
    let place = |decision: &Decision| {
        let route = decision.route.as_ref()?;
        bank.members()
            .iter()
            .position(|member| member.name == *route)
    };
    Adapters {
        bank,
        mixtures,
        choice: decisions
            .iter()
            .map(|decision| place(decision).map_or(0, |member| member + 1))
            .collect(),
    }
}

fn read_prompts(path: &Path) -> Result<(Vec<jsonl::Line>, Vec<Vec<Turn>>)> {
    let lines = jsonl::read(path)?;
    let prompts = lines.iter().map(|line| record::prompt(path, line));
    let prompts = prompts.collect::<Result<_>>()?;
    Ok((lines, prompts))
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

fn answer_rows(
    engine: &Engine,
    mut lines: Vec<jsonl::Line>,
    prompts: &[Vec<u32>],
    field: &str,
    out: &Path,
) -> Result<()> {
    let progress = Progress::new(prompts.len(), "rows");
    let start = Instant::now();
    let mut done = 0;
    let mut generated = 0;
    let answers = engine.generate(prompts, |event| {
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
        line.fields
            .insert(field.to_string(), answer.text.clone().into());
    }
    write_atomic(out, &jsonl::to_bytes(lines.iter().map(|l| &l.fields))?)?;
    let ties = answers.iter().filter(|a| a.min_gap < TIE).count();
    note(format_args!(
        "{} rows, {generated} tokens, {:.1} rows/s, {:.0} tokens/s; {ties} rows had a tie (two best logits within {TIE})",
        answers.len(),
        answers.len() as f64 / seconds,
        generated as f64 / seconds
    ));
    say(format_args!("predictions: {}", out.display()))
}
