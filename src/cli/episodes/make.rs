//! `factory episodes make`

use super::PlayArgs;
use crate::cli::db::worker;
use crate::cli::fields::FieldArgs;
use crate::cli::home::{ConnectionArgs, check_reached};
use crate::cli::terminal::Terminal;
use crate::cli::{UsageError, note, say};
use crate::data::jsonl;
use crate::data::template::Template;
use crate::db::home::Home;
use crate::learning::episodes::knowledge::Knowledge;
use crate::learning::episodes::make::{Job, TURNS};
use crate::learning::episodes::protocol::Protocol;
use crate::learning::episodes::tools::Builtin;
use crate::learning::rows::Rows;
use crate::model::load::{DEFAULT_BASE, Source};
use crate::run::files::{check_apart, check_writable, write_atomic};
use crate::run::words::plain;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// Write episodes to learn from, of rows with reference queries: look up tables, look at their columns, try the query, answer.
///
/// What tools say in them is what the databases say. By the seed some rows look otherwise, and some first try a query that fails, a turn that is not
/// learned. `factory sft` learns them as they are, with the same --base and --template.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rows with a prompt, a reference (gold_sql, or an answer with a query) and db (JSONL).
    #[arg(long, value_name = "ROWS")]
    data: PathBuf,
    /// File the rows are written to (JSONL).
    #[arg(long)]
    out: PathBuf,
    /// Folder of the databases that rows name (db or db_id), as eval-sql has it.
    #[arg(
        long,
        value_name = "DIR",
        group = "databases",
        required_unless_present = "connection"
    )]
    db_dir: Option<PathBuf>,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Let links in the database folder lead out of it.
    #[arg(long, conflicts_with = "connection")]
    follow_links: bool,
    /// Base model whose tokenizer counts an observation's tokens: a folder, a .gguf file or a hub id.
    #[arg(long, default_value = DEFAULT_BASE)]
    base: String,
    /// How episodes are written: by tags (plain), or as Qwen3 calls tools (chatml).
    #[arg(long, value_enum, default_value = "plain")]
    template: Template,
    #[command(flatten)]
    play: PlayArgs,
    /// Seed of what differs from row to row.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    fields: FieldArgs,
}

impl Args {
    /// Refuses settings that are a mistake whatever is made.
    pub fn check(&self) -> Result<()> {
        super::refuse_base(Some(self.template))?;
        if self.play.turns < TURNS as u64 {
            let turns = self.play.turns;
            let message = format!("--turns {turns}: an episode that is made has up to {TURNS}");
            return Err(UsageError(message).into());
        }
        Ok(())
    }
}

/// Makes them.
pub fn run(args: Args) -> Result<()> {
    args.check()?;
    check_apart([args.data.as_path()], [args.out.as_path()]).map_err(UsageError::of)?;
    check_writable(&args.out)?;
    let home = match &args.db_dir {
        Some(folder) => Home::Folder(folder.clone()),
        None => args.connection.get()?.context("a connection was given")?,
    };
    check_reached(&home)?;
    let rows = Rows::read(&args.data, &args.fields.columns()?, home.unnamed())?;
    let tokenizer = Source::open(&args.base)?.tokenizer;
    let worker = worker::command()?.into();
    let tools = Builtin::new(home.clone(), args.follow_links, worker, args.play.time());
    let knowledge = args
        .play
        .knowledge
        .as_deref()
        .map(Knowledge::new)
        .transpose()?;
    let job = Job {
        rows: &rows,
        home: &home,
        tools: &tools,
        protocol: Protocol::of(args.template)?,
        tokenizer: &tokenizer,
        knowledge: knowledge.as_ref(),
        turns: args.play.turns as usize,
        observation: args.play.observation_tokens as usize,
        seed: args.seed,
    };
    let made = job.make(&Terminal::default())?;
    if let Some((place, error)) = made.left_out.first() {
        note(format_args!(
            "left out {} of {} rows, whose reference fails; the first is {place}: {}",
            made.left_out.len(),
            rows.rows.len(),
            plain(error)
        ));
    }
    if made.rows.is_empty() {
        bail!("{}: no row has a reference that runs", args.data.display());
    }
    write_atomic(&args.out, &jsonl::to_bytes(&made.rows)?)?;
    say(format_args!(
        "wrote {} ({} episodes, {} of them try a query that fails and mend it)",
        args.out.display(),
        made.rows.len(),
        made.mended
    ))
}
