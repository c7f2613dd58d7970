//! A set from databases alone: questions and queries of a grammar over their tables, keys and values.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::db::connections::Connection;
use crate::sql::tokens::tokens;

use super::database::Database;
use super::rows::{DevRow, Rows, TrainRow};
use super::{checks, manifest, preferences, rows};
use crate::data::chat::Chat;
use crate::data::hints::Hints;
use crate::data::prompt::Prompt;
use crate::data::set::{Set, hashes, rank};
use engine::Engine;
use heldout::HeldOut;
use model::Db;
use pool::Made;

pub use paraphrase::Paraphrased;
pub use patterns::Kind;

mod card;
mod conditions;
mod dice;
mod draft;
mod engine;
mod extract;
mod heldout;
mod import;
mod invent;
mod keys;
mod lexicon;
mod model;
mod names;
mod paraphrase;
mod patterns;
mod pool;
mod profile;
mod select;
mod source;
mod split;
mod subject;
mod words;

/// Longest schema in a prompt, in characters; of a larger one the tables of the query and some others are shown.
const LONGEST_SCHEMA: usize = 4_000;
/// The file of words in a set.
pub const NAMES: &str = "names.toml";

/// A database to ask questions of.
#[derive(Debug)]
pub enum Given {
    /// A SQLite file.
    File(PathBuf),
    /// One of another engine: a SQLite copy of it is asked.
    Other(Connection),
}

/// What to make a set of.
pub struct Request {
    pub databases: Vec<Given>,
    /// Scripts that build one each.
    pub schemas: Vec<PathBuf>,
    /// A names file to read, and otherwise the defaults are used.
    pub names: Option<PathBuf>,
    pub train: usize,
    pub dev: usize,
    pub preferences: usize,
    /// Kinds of questions and their weights.
    pub mix: Vec<(Kind, usize)>,
    /// How a question is asked.
    pub prompt: Prompt,
    /// Who rewrites the questions, if anybody.
    pub paraphraser: Option<Chat>,
    /// Rows whose questions and queries the set must not have.
    pub heldout: Vec<PathBuf>,
    /// Most values of its database that a prompt is given.
    pub value_hints: usize,
    pub seed: u64,
}

/// What a row's query comes from.
#[derive(Clone, Serialize)]
pub struct Origin {
    pub kind: Kind,
    /// How many tables the query reads.
    pub tables: usize,
}

/// Generates a set. Same databases, same request: the same bytes.
///
/// # Errors
/// One that names the database when it cannot be read, or the names file when it is not understood.
pub fn generate(request: &Request) -> Result<Set> {
    let scratch = tempfile::tempdir().context("cannot make a folder for temporary files")?;
    let mut engine = Engine::new();
    let (mut databases, mut notes, mut files) = (Vec::new(), Vec::new(), BTreeMap::new());
    let given = |given: &Given, engine: &mut Engine| match given {
        Given::File(path) => source::file(path, scratch.path(), engine),
        Given::Other(connection) => source::other(connection, scratch.path(), engine),
    };
    let schema = |path: &PathBuf, engine: &mut Engine| {
        source::schema(path, request.seed, scratch.path(), engine)
    };
    let mut sources = Vec::new();
    for database in &request.databases {
        sources.push(given(database, &mut engine)?);
    }
    for path in &request.schemas {
        sources.push(schema(path, &mut engine)?);
    }
    for source in sources {
        let name = &source.db.name;
        ensure!(
            databases.iter().all(|db: &Db| db.name != *name),
            "two databases are called {name}: rename a file"
        );
        files.insert(format!("databases/{}", source.db.db), source.content);
        notes.extend(source.notes);
        databases.push(source.db);
    }
    if let Some(path) = &request.names {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        names::apply(path, &text, &mut databases)?;
    }
    let joins = request.mix.contains(&(Kind::Join, 0));
    for db in &mut databases {
        if db.links.is_empty() && db.tables.len() > 1 && !joins {
            notes.push(format!(
                "{} has no keys, and names and values suggest none: no query joins its tables",
                db.name
            ));
        }
        for link in &db.links {
            if let Some(evidence) = &link.evidence {
                let (child, parent) = (&db.tables[link.child], &db.tables[link.parent]);
                notes.push(format!(
                    "{}: {}.{} was taken for a key to {}.{}: {evidence}",
                    db.name,
                    child.name,
                    child.columns[link.column].name,
                    parent.name,
                    parent.columns[link.key].name
                ));
            }
        }
        notes.extend(keys::take_ambiguous(db));
    }
    // Some of a held-out shape or value goes to neither split.
    let wanted = request.train + request.train / 6 + request.dev * 3;
    let heldout = HeldOut::read(&request.heldout)?;
    let draw = pool::Draw {
        wanted,
        mix: &request.mix,
        heldout: &heldout,
        seed: request.seed,
    };
    let mut pool = pool::draw(&databases, &draw, &mut engine)?;
    let split = split::split(&pool, request.train, request.dev, request.seed);
    let names: Vec<&str> = databases.iter().map(|db| db.name.as_str()).collect();
    ensure!(
        !split.train.is_empty(),
        "{}: no question can be asked of it: too few rows or columns",
        names.join(", ")
    );
    if split.train.len() < request.train || split.dev.len() < request.dev {
        notes.push(format!(
            "{} train and {} dev rows of {} and {}: the databases hold no more questions of this grammar",
            split.train.len(), split.dev.len(), request.train, request.dev
        ));
    }
    let paraphrased = match &request.paraphraser {
        Some(chat) => {
            let places = [&split.train[..], &split.dev].concat();
            let done = paraphrase::rewrite(chat, &mut pool, &places, request.seed)?;
            notes.push(done.summary());
            Some(done)
        }
        None => None,
    };
    let mut rows = written(request, &databases, &pool, &split)?;
    rows.name_slices();
    checks::apart_in_all(&rows)?;
    let opened: Result<BTreeMap<String, Database>> = databases
        .iter()
        .map(|db| Ok((db.name.clone(), opened(db)?)))
        .collect();
    let count = request.preferences.min(rows.train.len());
    let preferences = preferences::make(&rows.train, &opened?, count, request.seed)?;
    files.insert("train.jsonl".to_owned(), rows::jsonl(&rows.train)?);
    files.insert("dev.jsonl".to_owned(), rows::jsonl(&rows.dev)?);
    files.insert("preferences.jsonl".to_owned(), rows::jsonl(&preferences)?);
    files.insert(NAMES.to_owned(), self::names::file(&databases)?);
    let mut manifest = manifest::Manifest::of(&rows, &preferences, request.seed, hashes(&files));
    manifest.paraphrased = paraphrased;
    let card = card::card(&databases, &rows, &manifest, &notes, request.seed);
    files.insert("card.md".to_owned(), card.into_bytes());
    let summary = notes
        .iter()
        .cloned()
        .chain([manifest.summary()])
        .collect::<Vec<_>>()
        .join("\n");
    Set::new(files, &manifest, summary)
}

fn opened(db: &Db) -> Result<Database> {
    let name = |link: &model::Link| super::database::Link {
        table: db.tables[link.child].name.clone(),
        column: db.tables[link.child].columns[link.column].name.clone(),
        parent: db.tables[link.parent].name.clone(),
        key: db.tables[link.parent].columns[link.key].name.clone(),
    };
    // A wrong query is written without quotes around names.
    let plain = |name: &String| model::identifier(name) == *name;
    let links = db.links.iter().map(name).filter(|link| {
        [&link.table, &link.column, &link.parent, &link.key]
            .into_iter()
            .all(plain)
    });
    Database::confined(&db.file, links.collect())
}

/// The rows of both splits.
fn written(
    request: &Request,
    databases: &[Db],
    pool: &[Made],
    split: &split::Split,
) -> Result<Rows> {
    let hints: Vec<Hints> = match request.value_hints {
        0 => Vec::new(),
        _ => databases
            .iter()
            .map(|db| Hints::of_sqlite(&db.file))
            .collect::<Result<_>>()?,
    };
    let prompt = |made: &Made| {
        let prompt = asked(&request.prompt, &databases[made.database], made);
        match hints.get(made.database) {
            Some(hints) => Ok(hints.put(&prompt, &made.question, request.value_hints)?.0),
            None => anyhow::Ok(prompt),
        }
    };
    let mut rows = Rows::default();
    let mut numbers: BTreeMap<(bool, usize), usize> = BTreeMap::new();
    let mut id = |made: &Made, is_dev: bool| {
        let number = numbers.entry((is_dev, made.database)).or_default();
        *number += 1;
        let kind = if is_dev { "dev" } else { "train" };
        format!(
            "{}-{kind}-{:05}",
            databases[made.database].name,
            *number - 1
        )
    };
    for made in split.train.iter().map(|at| &pool[*at]) {
        rows.train.push(TrainRow {
            id: id(made, false),
            domain: databases[made.database].name.clone(),
            db: Some(databases[made.database].db.clone()),
            origin: Some(origin(made)),
            asked: Some(made.question.clone()),
            instruction: prompt(made)?,
            response: made.sql.clone(),
            question: made.question.clone(),
        });
    }
    for made in split.dev.iter().map(|at| &pool[*at]) {
        rows.dev.push(DevRow {
            id: id(made, true),
            domain: databases[made.database].name.clone(),
            slice: String::new(),
            origin: Some(origin(made)),
            question: made.question.clone(),
            prompt: prompt(made)?,
            gold_sql: made.sql.clone(),
            db: databases[made.database].db.clone(),
        });
    }
    Ok(rows)
}

fn origin(made: &Made) -> Origin {
    let words = tokens(&made.sql);
    let joins = words
        .iter()
        .filter(|token| token.is("from") || token.is("join"))
        .count();
    Origin {
        kind: made.kind,
        tables: joins,
    }
}

/// The prompt of a question, in the format of sets made from a specification.
fn asked(prompt: &Prompt, db: &Db, made: &Made) -> String {
    let mut schema = db.schema_line(|_| true);
    if schema.chars().count() > LONGEST_SCHEMA {
        let mut shown = made.tables.clone();
        let near = db
            .links
            .iter()
            .filter(|link| made.tables.contains(&link.child) || made.tables.contains(&link.parent));
        // Then others in their order, from another place for each question.
        let start = rank(0, &[&made.question]) as usize % db.tables.len();
        let next = near
            .flat_map(|link| [link.child, link.parent])
            .chain((start..db.tables.len()).chain(0..start));
        for table in next {
            let longer = db.schema_line(|at| at == table || shown.contains(&at));
            if longer.chars().count() <= LONGEST_SCHEMA && !shown.contains(&table) {
                shown.push(table);
            }
        }
        schema = db.schema_line(|at| shown.contains(&at));
    }
    let parts = [("schema", schema.as_str()), ("question", &made.question)];
    prompt.fill(&parts)
}
