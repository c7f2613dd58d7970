//! `factory data`: make data sets, and check them.

mod check;
mod correct;
pub mod databases;

mod benchmark;
mod convert;
mod public;
mod repair;
mod set;
mod synth;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Subcommand;

use super::fields::FieldArgs;
use super::{UsageError, plain, say};
use crate::data::benchmark::Benchmark;
use crate::data::blend::{self, Source};
use crate::data::{hints, jsonl, shard};
use crate::eval::choices::{self, MAX_CANDIDATES};
use crate::eval::score;
use crate::eval::selection;
use crate::eval::targeted::{self, Request};
use crate::run::files::{check_apart, check_writable, json, write_atomic};

/// Flags of `factory data`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make training rows that repair: the prompt, the query that failed and its error; the answer is the right query.
    ///
    /// Among other training rows they teach an adapter what `generate --repair` asks. Take scored answers to training rows.
    Repair(repair::Args),
    /// Generate a train/dev/preferences set: from databases alone, or from a hand-written specification.
    ///
    /// With --db or --schema, questions and queries come from a grammar over tables, keys and values, and every query was run: it
    /// returns something, depends on no open order, and no shorter one answers the same. card.md shows counts and examples;
    /// `eval-sql --db-dir OUT/databases` scores answers.
    Synth(synth::Args),
    /// Put several sets into one, each as many times as it is to weigh.
    Blend {
        /// Rows (JSONL); repeatable.
        #[arg(long, required = true, value_name = "FILE")]
        source: Vec<PathBuf>,
        /// How often the rows of a --source come: one number for each, in the same order [default: once].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        repeat: Vec<u32>,
        /// File the rows are written to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Give each row's prompt the values of its database that the question names: `Values: towns.name = 'Riga'`.
    ///
    /// Do the same for training rows and for the rows of gates.
    Hint {
        /// Rows (JSONL) with a prompt, db, and a question, which may also stand behind "Question:" in the prompt.
        #[arg(long, value_name = "FILE")]
        data: PathBuf,
        /// Folder of the databases, as eval-sql has it.
        #[arg(long, value_name = "DIR")]
        db_dir: PathBuf,
        /// Most values of a row; 0 leaves rows as they are.
        #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=100))]
        value_hints: u8,
        /// File the rows are written to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Put the parts together that `generate --shard` or `eval-sql --shard` wrote: the same file as without shards.
    Merge {
        /// The parts, in their order.
        #[arg(required = true, value_name = "SHARD")]
        shards: Vec<PathBuf>,
        /// The rows that were answered or scored: each must be in a part, in its place.
        #[arg(long, value_name = "FILE")]
        data: PathBuf,
        /// File the rows are written to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Choose training rows for what a model gets wrong: each kind of failure in its proportion, no held-out row.
    ///
    /// A manifest beside the output (OUT with the ending .manifest.json) says of each row for which failed row it was chosen, and why:
    /// the same shape of query, the same clauses, the same curriculum, the clause that the failure is about, or the same domain.
    Target {
        /// Rows that `eval-sql --out` wrote; the failed ones are targeted. No row that asks one of their questions or has one of their
        /// reference queries is chosen.
        #[arg(long, value_name = "FILE")]
        rows: PathBuf,
        /// Training rows to choose from (JSONL).
        #[arg(long, value_name = "FILE")]
        pool: PathBuf,
        /// How many rows to choose; fewer where no others have anything in common with a failed row.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        count: u32,
        /// File the rows are written to, as they stand in the pool.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Rows whose prompts must not be chosen (repeatable); also what domain and curriculum the scored rows of the same id have.
        #[arg(long, value_name = "FILE")]
        heldout: Vec<PathBuf>,
        /// Decides between rows that are as good; same seed, same bytes.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        #[command(flatten)]
        fields: FieldArgs,
    },
    /// Find what is wrong with a data set: overlap of training and held-out rows, rows that repeat or contradict each other, rows that
    /// training refuses, secrets and personal data, queries that fail.
    ///
    /// Prints a page; exits with 0 where all is sound, with 3 where there are more findings than are allowed. The kinds: refused,
    /// exact (a held-out row asks what a training row asks), near (nearly), literals (the same query but for literals), shapes (the same
    /// but for names and literals), databases (both sides have them), duplicates, contradictions (one question, two answers), long
    /// (more tokens than --max-seq), secrets, personal, references (queries that fail, return nothing or are not determined).
    Check(check::Args),
    /// Make training rows and preference pairs of corrections: a reply and the right query to the same prompt; old rows come
    /// again beside them.
    ///
    /// A row is refused where the reply is the right query, two rows disagree on it, or, with --db-dir, the right query fails or
    /// the reply gives the same rows. A manifest beside the output (OUT with the ending .manifest.json) has counts and hashes.
    Correct(correct::Args),
    /// Write rows in another layout (Alpaca, ShareGPT, TRL's) or another form of file (JSON Lines, JSON, CSV, Parquet).
    ///
    /// Each row is read again and must mean what it meant: a row that has something the layout has no place for is refused, and the
    /// field named. Fields that mean nothing to training, such as id or source, are handed on.
    Convert(convert::Args),
    /// Make a train/dev/preferences set of questions that come with their tables (b-mc2/sql-create-context).
    ///
    /// Usable rows alone: one SELECT that combines no others and runs over the row's tables. The manifest has counts by bucket of the
    /// curriculum (join, group_having, order_limit, aggregate, filter, projection: the first that a query belongs to), why rows were
    /// dropped, hashes, and that train and dev share no row, no prompt and no query over the same tables.
    Public(public::Args),
    /// Make a train/dev set with an execution gate from a download of Spider.
    ///
    /// Reads train_spider.json, dev.json, tables.json and database/NAME/NAME.sqlite. Score replies with
    /// `eval-sql --db-dir DIR/database --mode spider-ts`.
    Spider(benchmark::Args),
    /// Make a train/dev set with an execution gate from a download of BIRD; what a question needs to be known is in its prompt.
    ///
    /// Reads train/train.json, train_tables.json and train_databases/NAME/NAME.sqlite, and the same of dev. Score replies with
    /// `eval-sql --db-dir DIR/dev/dev_databases --mode bird-ex`.
    Bird(benchmark::Args),
    /// Make candidate choices of scored rows: the reference query among wrong ones that models wrote.
    Choices {
        /// Rows that `eval-sql --out` wrote; several scorings of the same set give more candidates.
        #[arg(long, required = true, value_name = "FILE")]
        rows: Vec<PathBuf>,
        /// File the choices are written to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Most candidates of a choice, the right one counted.
        #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=MAX_CANDIDATES as i64))]
        candidates: u8,
        /// Orders the candidates; same seed, same bytes.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// How they are written: to be answered by a letter, or by the id of a candidate.
        #[arg(long, value_enum, default_value_t, requires_if("selection", "data"))]
        format: Format,
        /// The set that was scored, for its prompts, with --format selection.
        #[arg(long, value_name = "FILE")]
        data: Option<PathBuf>,
    },
}

/// How candidate choices are written.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// A prompt that lists the candidates, and the right one's letter: training rows
    #[default]
    Letters,
    /// The prompt, and the candidates as objects with ids, sources and slices (task sql_candidate_selection)
    Selection,
}

/// Runs the chosen subcommand.
pub fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Repair(args) => repair::run(args),
        Command::Synth(args) => synth::run(args),
        Command::Blend {
            source,
            repeat,
            out,
        } => {
            let outside = source.iter().map(PathBuf::as_path);
            check_apart(outside, [out.as_path()]).map_err(UsageError::of)?;
            check_writable(&out)?;
            if !repeat.is_empty() && repeat.len() != source.len() {
                let message = format!(
                    "--repeat is given {} times, --source {} times: give one for each, or none",
                    repeat.len(),
                    source.len()
                );
                return Err(UsageError(message).into());
            }
            let repeats = repeat.into_iter().chain(std::iter::repeat(1));
            let sources: Vec<Source> = source
                .into_iter()
                .zip(repeats)
                .map(|(path, repeat)| Source {
                    path,
                    repeat: repeat as usize,
                })
                .collect();
            let rows = blend::blend(&sources)?;
            write_atomic(&out, &jsonl::to_bytes(&rows)?)?;
            say(format_args!(
                "wrote {} ({} rows)",
                out.display(),
                rows.len()
            ))
        }
        Command::Hint {
            data,
            db_dir,
            value_hints,
            out,
        } => {
            check_apart([data.as_path()], [out.as_path()]).map_err(UsageError::of)?;
            check_writable(&out)?;
            let mut rows = jsonl::read(&data)?;
            let hinted = hints::add(&mut rows, &data, &db_dir, value_hints.into())?;
            write_atomic(&out, &jsonl::to_bytes(&rows)?)?;
            say(format_args!(
                "wrote {} ({} rows, {} values for {} of them; {} name no database)",
                out.display(),
                rows.len(),
                hinted.hints,
                hinted.rows,
                hinted.without_database
            ))
        }
        Command::Merge { shards, data, out } => {
            let inputs = shards.iter().chain([&data]).map(PathBuf::as_path);
            check_apart(inputs, [out.as_path()]).map_err(UsageError::of)?;
            check_writable(&out)?;
            let rows = shard::merge(&shards, &data)?;
            write_atomic(&out, &jsonl::to_bytes(&rows)?)?;
            say(format_args!(
                "wrote {} ({} rows)",
                out.display(),
                rows.len()
            ))
        }
        Command::Target {
            rows,
            pool,
            count,
            out,
            heldout,
            seed,
            fields,
        } => {
            let manifest = out.with_extension("manifest.json");
            let inputs = [&rows, &pool].into_iter().chain(&heldout);
            let outputs = [out.as_path(), &manifest];
            check_apart(inputs.map(PathBuf::as_path), outputs).map_err(UsageError::of)?;
            outputs.into_iter().try_for_each(check_writable)?;
            let targeted = targeted::choose(&Request {
                rows: &score::read(&rows)?,
                asked: &[],
                heldout: &heldout,
                pool: &pool,
                columns: &fields.columns()?,
                count: count as usize,
                seed,
            })?;
            let found = &targeted.manifest;
            if found.failures.is_empty() {
                bail!(
                    "{}: no row failed, so there is nothing to target",
                    rows.display()
                );
            }
            if found.rows.is_empty() {
                bail!(
                    "{}: no row may be chosen: of {} rows {} are like a held-out row, {} have no query, {} are repeated, and the others \
                     have nothing in common with a failed row",
                    pool.display(),
                    found.pool_rows,
                    found.held_out,
                    found.without_query,
                    found.repeated
                );
            }
            write_atomic(&out, &jsonl::to_bytes(&targeted.lines)?)?;
            write_atomic(&manifest, &json(found)?)?;
            for kind in &found.failures {
                say(format_args!(
                    "{}: {} failed, {} of {} rows",
                    plain(&kind.failure_type),
                    kind.failed,
                    kind.chosen,
                    kind.wanted
                ))?;
            }
            say(format_args!(
                "wrote {} ({} of {} rows wanted; held out {})",
                out.display(),
                found.chosen,
                found.wanted,
                found.held_out
            ))?;
            say(format_args!("wrote {}", manifest.display()))
        }
        Command::Check(args) => check::run(args),
        Command::Correct(args) => correct::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Public(args) => public::run(args),
        Command::Spider(args) => benchmark::run(Benchmark::Spider, args),
        Command::Bird(args) => benchmark::run(Benchmark::Bird, args),
        Command::Choices {
            rows,
            out,
            candidates,
            seed,
            format,
            data,
        } => {
            if let (Format::Letters, Some(_)) = (format, &data) {
                let message = "--data is read with --format selection alone";
                return Err(UsageError(message.to_owned()).into());
            }
            let inputs = rows.iter().chain(&data).map(PathBuf::as_path);
            check_apart(inputs, [out.as_path()]).map_err(UsageError::of)?;
            check_writable(&out)?;
            let files: Vec<_> = rows
                .iter()
                .map(|path| score::read(path))
                .collect::<Result<_, _>>()?;
            let most = usize::from(candidates);
            let (content, count, dropped) = match &data {
                None => {
                    let made = choices::build(&files, most, seed)?;
                    (jsonl::to_bytes(&made.rows)?, made.rows.len(), made.dropped)
                }
                Some(set) => {
                    let stems = rows.iter().map(|path| stem(path));
                    let scorings: Vec<_> = stems.zip(files).collect();
                    let made = selection::build(&scorings, &selection::asked(set)?, most, seed)?;
                    (jsonl::to_bytes(&made.rows)?, made.rows.len(), made.dropped)
                }
            };
            write_atomic(&out, &content)?;
            let dropped = dropped.iter();
            let dropped: String = dropped
                .map(|(reason, count)| format!("; dropped {count}: {reason}"))
                .collect();
            say(format_args!(
                "wrote {} ({count} choices{dropped})",
                out.display()
            ))
        }
    }
}

/// What a scoring is called: its file's name up to the first dot.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}
