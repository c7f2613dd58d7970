//! `factory data synth`: sets from a specification or from databases alone.

use super::set;
use crate::cli::UsageError;
use crate::cli::db::connection::ConnectionsArgs;
use crate::cli::home::without_password;
use crate::data::chat::{self, Chat};
use crate::data::prompt::Prompt;
use crate::data::set::Set;
use crate::data::synth;
use crate::data::synth::db::{self, Given, Kind, NAMES, Request};
use crate::db::connections::{Place, of_file_name};
use crate::db::notes::Dialect;
use crate::db::registry::Driver;
use crate::run::files::{check_apart, check_writable, write_atomic};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Flags of `factory data synth`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("source").args(["spec", "db", "schema"]).required(true).multiple(true)))]
pub struct Args {
    /// A hand-written specification (TOML); the paths in it are relative to its folder.
    #[arg(long, conflicts_with_all = ["db", "schema", "names", "rows", "dev", "preferences", "mix", "prompt", "dialect_notes", "value_hints", "heldout", "paraphrase"])]
    spec: Option<PathBuf>,
    /// A database to ask questions of (repeatable): a file of SQLite or DuckDB, a connection's name or a URL. The set gets a SQLite copy, or
    /// an extract of a large one, in databases/.
    #[arg(long, value_name = "DB", value_parser = without_password)]
    db: Vec<String>,
    #[command(flatten)]
    connections: ConnectionsArgs,
    /// A script that builds a database (repeatable); where it has no rows, some are made up.
    #[arg(long, value_name = "FILE")]
    schema: Vec<PathBuf>,
    /// Folder the set is written to.
    #[arg(long)]
    out: PathBuf,
    /// Words for tables and columns (TOML), to be edited: read where it is there, written where not [default: OUT/names.toml].
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Training rows; fewer where the databases hold no more questions.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rows: u32,
    /// Held-out rows: two of five with a shape of query that no training row has.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    dev: u32,
    /// Pairs of a right query and a plausible wrong one; at most one for each training row.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    preferences: u32,
    /// How often a kind of question is tried, such as join=30 or set=0 (repeatable): projection, filter, count, aggregate, group,
    /// having, order, distinct, join, set, subquery, date, null, pattern.
    #[arg(long, value_name = "KIND=WEIGHT")]
    mix: Vec<String>,
    /// How a question is asked, with {schema} and {question} in it.
    #[arg(long, value_name = "TEXT", default_value = Prompt::DEFAULT, hide_default_value = true)]
    prompt: String,
    /// Put the notes on SQLite's dialect (see db notes) before each prompt. An adapter that is trained on them is asked with them.
    #[arg(long)]
    dialect_notes: bool,
    /// Address of an OpenAI-compatible endpoint, such as http://localhost:8080/v1, whose model says the questions in other words. A
    /// rewrite that loses a value or a number is not taken. Sends OPENAI_API_KEY where it is set.
    #[arg(long, value_name = "URL")]
    paraphrase: Option<String>,
    /// The endpoint's model [default: the first that it lists].
    #[arg(long, value_name = "NAME", requires = "paraphrase")]
    paraphrase_model: Option<String>,
    /// Rows (JSONL) that stay held out: the set has none of their questions and queries (repeatable).
    #[arg(long, value_name = "FILE")]
    heldout: Vec<PathBuf>,
    /// Most values of its database that a prompt is given, as data hint does: those that its question names.
    #[arg(long, value_name = "K", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    value_hints: u8,
    /// Chooses the questions, their words and the rejected answers; same seed, same bytes.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Generates the set and writes it.
pub fn run(args: Args) -> Result<()> {
    if let Some(spec) = &args.spec {
        set::check(&args.out)?;
        return set::write(&args.out, &synth::generate(spec, args.seed)?);
    }
    let mix = mix(&args.mix).map_err(UsageError::of)?;
    let asked = match args.dialect_notes {
        true => Dialect::Sqlite.before(&args.prompt),
        false => args.prompt.clone(),
    };
    let prompt = Prompt::parse(&asked, &["schema", "question"]).map_err(UsageError::of)?;
    if let Some(url) = &args.paraphrase {
        chat::check(url).map_err(UsageError::of)?;
    }
    let own = args.out.join(NAMES);
    let names = args.names.clone().unwrap_or_else(|| own.clone());
    let outputs = ["train.jsonl", "dev.jsonl", "preferences.jsonl", "card.md"];
    let outputs: Vec<PathBuf> = outputs.iter().map(|name| args.out.join(name)).collect();
    let databases = args.db.iter().map(|db| args.given(db));
    let databases: Vec<Given> = databases.collect::<Result<_>>()?;
    let files = databases.iter().filter_map(|given| match given {
        Given::File(file) => Some(file),
        Given::Other(_) => None,
    });
    let inputs = files
        .chain(&args.schema)
        .chain(&args.heldout)
        .chain([&names]);
    check_apart(
        inputs.map(PathBuf::as_path),
        outputs.iter().map(PathBuf::as_path),
    )
    .map_err(UsageError::of)?;
    set::check(&args.out)?;
    let read = names.exists().then(|| names.clone());
    if read.is_none() {
        check_writable(&names)?;
    }
    let model = args.paraphrase_model.as_deref();
    let paraphraser = args.paraphrase.as_ref().map(|url| Chat::at(url, model));
    let mut made = db::generate(&Request {
        databases,
        schemas: args.schema,
        names: read.clone(),
        train: args.rows as usize,
        dev: args.dev as usize,
        preferences: args.preferences as usize,
        mix,
        prompt,
        paraphraser: paraphraser.transpose()?,
        heldout: args.heldout,
        value_hints: args.value_hints.into(),
        seed: args.seed,
    })?;
    place_names(&mut made, read.is_none(), &names, &own)?;
    set::write(&args.out, &made)
}

impl Args {
    /// What a --db names.
    fn given(&self, db: &str) -> Result<Given> {
        let file = Path::new(db);
        let is_sqlite = match of_file_name(file) {
            Some(driver) => driver == Driver::Sqlite,
            None => file.exists(),
        };
        if is_sqlite && !db.contains("://") {
            return Ok(Given::File(file.to_owned()));
        }
        let connection = self.connections.read()?.get(db)?;
        Ok(match &connection.place {
            Place::File(file) if connection.driver == Driver::Sqlite => Given::File(file.clone()),
            _ => Given::Other(connection),
        })
    }
}

/// The names file stays where it is, or begins where it is to be edited; the set has it only if that is in the set.
fn place_names(made: &mut Set, is_new: bool, names: &PathBuf, own: &PathBuf) -> Result<()> {
    let content = made.files.remove(NAMES);
    match content.filter(|_| is_new) {
        Some(content) if names == own => drop(made.files.insert(NAMES.to_owned(), content)),
        Some(content) => write_atomic(names, &content)?,
        None => {}
    }
    Ok(())
}

/// The kinds of questions and their weights, the given ones in place of the defaults.
fn mix(given: &[String]) -> Result<Vec<(Kind, usize)>> {
    let mut mix: Vec<(Kind, usize)> = Kind::ALL
        .iter()
        .map(|kind| (*kind, kind.weight()))
        .collect();
    for text in given {
        let (name, weight) = text
            .split_once('=')
            .with_context(|| format!("--mix {text}: expected KIND=WEIGHT, such as join=30"))?;
        let weight: u16 = weight
            .parse()
            .with_context(|| format!("--mix {text}: the weight is no number up to 65535"))?;
        match mix.iter_mut().find(|(kind, _)| kind.name() == name) {
            Some((_, known)) => *known = weight.into(),
            None => {
                let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
                bail!("--mix {text}: no such kind; there are {}", known.join(", "));
            }
        }
    }
    if mix.iter().all(|(_, weight)| *weight == 0) {
        bail!("--mix leaves no kind of question");
    }
    Ok(mix)
}
