//! `factory generate`: prompts to answers.

mod stream;

use super::answering::AnsweringArgs;
use super::progress::Progress;
use super::{UsageError, interrupt, note, route, say};
use crate::answering::identity;
use crate::answering::rows::{Row, Rows, TIE, counts, named};
use crate::data::jsonl::{self, Line};
use crate::data::record;
use crate::generation::engine::Engine;
use crate::generation::sampler::SamplerConfig;
use crate::generation::sequence::Finish;
use crate::run::files::{check_apart, check_writable, is_device, partial, write_atomic};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The field that says how an answer ended.
const FINISH: &str = "_finish";

/// Flags of `factory generate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rows with a prompt (JSONL): `prompt` or `instruction`, `messages` or `conversations`.
    #[arg(long, required_unless_present = "prompt", requires = "out")]
    data: Option<PathBuf>,
    /// One prompt; the answer is streamed to the terminal.
    #[arg(long, conflicts_with_all = ["data", "out", "route", "on_long", "finish", "resume"])]
    prompt: Option<String>,
    /// File the answered rows are written to, in the order of the data. Until all are answered they are kept in OUT.partial.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    answering: AnsweringArgs,
    /// Field the answer is written to.
    #[arg(long, default_value = "predicted_sql")]
    out_field: String,
    /// Write how each answer ended to the field _finish: stop, stop_text, length (cut at --max-tokens), too_long or error.
    #[arg(long)]
    finish: bool,
    /// Go on with an interrupted run of the same command, from OUT.partial.
    #[arg(long)]
    resume: bool,
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
    if args.finish && args.out_field == FINISH {
        let message = format!("--out-field {FINISH} is where --finish writes: give another");
        return Err(UsageError(message).into());
    }
    args.answering.check()?;
    match (&args.prompt, &args.data, &args.out) {
        (Some(prompt), _, _) => {
            let loaded = args.answering.load()?;
            let adapters = loaded.mixed(loaded.mixture.clone());
            let prompt = loaded.prompt(&record::user(prompt.clone()))?;
            stream::answer(&loaded.engine(adapters, sampler), prompt)
        }
        (None, Some(data), Some(out)) => answer_rows(&args, data, out, sampler),
        // clap requires --prompt, or --data with --out.
        _ => Err(UsageError("give --prompt, or --data and --out".into()).into()),
    }
}

fn answer_rows(args: &Args, data: &Path, out: &Path, sampler: SamplerConfig) -> Result<()> {
    let journal = args.journal(out)?;
    let outputs = || [Some(out), journal.as_deref()].into_iter().flatten();
    check_apart([data], outputs()).map_err(UsageError::of)?;
    let columns = args.answering.fields.columns()?;
    let (mut lines, turns) = record::read_prompts(data, &columns)?;
    for output in outputs() {
        check_writable(output)?;
    }
    let loaded = args.answering.load()?;
    let prompts = loaded.prompts(data, &lines, &turns)?;
    let (adapters, decisions) = match args.answering.router(&loaded)? {
        None => (loaded.mixed(loaded.mixture.clone()), Vec::new()),
        Some(router) => {
            let routing = &args.answering.routing;
            let decisions = routing.decide(&router, data, &lines, &turns)?;
            note(route::summary(&decisions));
            (Some(loaded.routed(&decisions)), decisions)
        }
    };
    let engine = loaded.engine(adapters, sampler);
    let mut rows = match &journal {
        None => Rows::unkept(lines.len()),
        Some(journal) => {
            let identity = identity::of(&engine, &lines, &prompts)?;
            Rows::kept(lines.len(), journal, &identity, args.resume)?
        }
    };
    let begun = loaded
        .check_memory(&engine, &prompts)
        .and_then(|()| interrupt::watch());
    let answered = begun.and_then(|()| complete(&mut rows, &engine, &prompts));
    if let Err(error) = answered {
        return Err(stopped(error, rows, journal.as_deref()));
    }
    for (line, decision) in lines.iter_mut().zip(&decisions) {
        route::annotate(line, decision);
    }
    for (place, row) in rows.answered() {
        let line = &mut lines[place];
        line.set(&args.out_field, row.text.clone());
        // What a former answer left there would be wrong.
        if args.finish || line.fields().contains_key(FINISH) {
            line.set(FINISH, row.finish.name());
        }
    }
    let written = jsonl::to_bytes(&lines).and_then(|bytes| write_atomic(out, &bytes));
    if let Err(error) = written {
        return Err(stopped(error, rows, journal.as_deref()));
    }
    let broken = places(data, &lines, &rows, Finish::Error);
    rows.end()?;
    say(format_args!("predictions: {}", out.display()))?;
    if !broken.is_empty() {
        bail!(
            "{} of {} rows have no answer, the model's logits are no numbers there: {}",
            broken.len(),
            lines.len(),
            named(&broken)
        );
    }
    Ok(())
}

/// Answers what waits, and says how it went.
fn complete(rows: &mut Rows, engine: &Engine, prompts: &[Vec<u32>]) -> Result<()> {
    let before = rows.done();
    if before > 0 {
        note(format_args!("going on after {before} rows"));
    }
    let progress = Progress::new(prompts.len(), "rows");
    let start = Instant::now();
    let (mut done, mut generated) = (before, 0);
    let answered = rows.answer(engine, prompts, |row| {
        if let Some(row) = row {
            done += 1;
            generated += row.tokens;
            let rate = generated as f64 / start.elapsed().as_secs_f64();
            progress.update(done, format!("{rate:.0} tokens/s"));
        }
        match interrupt::asked() {
            true => bail!("interrupted"),
            false => Ok(()),
        }
    });
    progress.finish();
    answered?;
    let seconds = start.elapsed().as_secs_f64();
    let all = || rows.answered().map(|(_, row)| row);
    note(format_args!(
        "{done} rows ({}), {} tokens, {:.1} rows/s, {:.0} tokens/s; {} rows had a tie (two best logits within {TIE})",
        counts(all()),
        all().map(|row| row.tokens).sum::<usize>(),
        (done - before) as f64 / seconds,
        generated as f64 / seconds,
        all().filter(|row| row.tie).count()
    ));
    let without = |row: &&Row| row.finish == Finish::TooLong;
    match all().filter(without).count() {
        0 => {}
        skipped => note(format_args!(
            "skipped as too long, without an answer (null): {skipped}"
        )),
    }
    Ok(())
}

/// `file:line` of the rows that ended so.
fn places(data: &Path, lines: &[Line], rows: &Rows, finish: Finish) -> Vec<String> {
    let ended = rows.answered().filter(|(_, row)| row.finish == finish);
    let place = |(at, _): (usize, _)| format!("{}:{}", data.display(), lines[at].number);
    ended.map(place).collect()
}

/// `error`, and how to go on where rows are kept.
fn stopped(error: anyhow::Error, rows: Rows, journal: Option<&Path>) -> anyhow::Error {
    let done = rows.done();
    match journal {
        Some(journal) if done > 0 => error.context(format!(
            "stopped; {done} of {} rows are kept in {}, go on with the same command and --resume",
            done + rows.waiting().len(),
            journal.display()
        )),
        _ => {
            // Nothing is in it, and the first error is the one to report.
            let _ = rows.end();
            error
        }
    }
}

impl Args {
    /// The file that grows beside `out`; none beside a device.
    fn journal(&self, out: &Path) -> Result<Option<PathBuf>> {
        match (is_device(out), self.resume) {
            (false, _) => Ok(Some(partial(out))),
            (true, false) => Ok(None),
            (true, true) => {
                let out = out.display();
                let message = format!("--resume needs an --out that is a file, not {out}");
                Err(UsageError(message).into())
            }
        }
    }
}
