//! One row to score: a dataset row with the model's reply in `predicted_sql`.

use super::modes::{self, Mode};
use super::standard::{self, Standard};
use crate::data::jsonl::{self, Line};
use crate::data::record;
use anyhow::{Context, Error, Result, anyhow};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The fields that anyone here reads; each is text where a row has it.
const TEXT_FIELDS: [&str; 9] = [
    "id",
    "db",
    "domain",
    "curriculum",
    "question",
    "prompt",
    "slice",
    "predicted_sql",
    "gold_sql",
];

/// The field that says that a row was left without an answer on purpose.
pub const ABSTAINED: &str = "_abstained";

/// How sure an answer is, from 0 to 1.
pub const CONFIDENCE: &str = "_confidence";

/// All samples of a row: a list of objects with `answer` and `finish`, in the order in which they were drawn.
pub const SAMPLES: &str = "_samples";

/// A row to score and where it came from.
#[derive(Clone, Debug)]
pub struct Example {
    /// 0-based place among the rows of the file.
    pub index: usize,
    /// 1-based line in the file; 0 for a row that came from no file.
    pub line: usize,
    /// The row itself.
    pub fields: Map<String, Value>,
    /// What it says of gold results in files, where a mode asks for it.
    pub standard: Standard,
}

impl Example {
    /// Whether it was left without an answer on purpose.
    pub fn abstained(&self) -> bool {
        let said = self.fields.get(ABSTAINED) == Some(&Value::Bool(true));
        said && self.text("predicted_sql").is_none()
    }

    /// A text field; `None` when the row lacks it.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    fn missing(&self, mode: &dyn Mode) -> impl Iterator<Item = &'static str> {
        let fields = mode.fields().iter().copied();
        let in_files = mode.takes_files() && self.standard.gold_csv.is_some();
        let instead = move |field: &str| in_files && field == "gold_sql";
        fields.filter(move |field| self.text(field).is_none() && !instead(field))
    }

    /// `file:line: row id`, for messages.
    pub fn place(&self, path: &Path) -> String {
        let place = format!("{}:{}", path.display(), self.line);
        match self.text("id") {
            Some(id) => format!("{place}: row {id}"),
            None => place,
        }
    }
}

/// What becomes of a row without an answer in `predicted_sql`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// It cannot be scored.
    Needed,
    /// It fails.
    Missed,
    /// Nothing: only reference queries are of interest.
    Ignored,
}

/// Why a row cannot be scored.
pub struct Fault {
    /// In a few words, to be counted by.
    pub reason: &'static str,
    /// With `file:line`.
    pub error: anyhow::Error,
}

/// A predictions file.
pub struct Reading {
    pub examples: Vec<Example>,
    /// What is wrong with the rows that no mode can score.
    pub faults: Vec<Fault>,
    /// Of the whole file, in hexadecimal.
    pub sha256: String,
}

/// Reads a predictions file. Rows that `keep` refuses, by their places and fields, are passed over. What scoring does not need is
/// forgotten, but for the fields `more`. A row that names no database has `db`. Errors where the file cannot be read or has no rows at all.
pub fn read(
    path: &Path,
    modes: &[&dyn Mode],
    answers: Answers,
    more: &[&str],
    db: Option<&str>,
    keep: impl Fn(usize, &Map<String, Value>) -> bool,
) -> Result<Reading> {
    let (mut examples, mut faults) = (Vec::new(), Vec::new());
    let mut lines_of_ids = BTreeMap::new();
    let mut index = 0;
    let sha256 = jsonl::for_each(path, |number, line| {
        let this = index;
        index += 1;
        if line.as_ref().is_ok_and(|line| !keep(this, line.fields())) {
            return Ok(());
        }
        let line = line.map_err(|error| fault("not a JSON object", error));
        let example = line.and_then(|mut line| {
            named(&mut line, path, db)?;
            check(this, line, path, modes, answers, more)
        });
        let example = example.and_then(|example| {
            let Some(id) = example.text("id") else {
                return Ok(example);
            };
            match lines_of_ids.insert(id.to_owned(), number) {
                None => Ok(example),
                Some(first) => Err(fault(
                    "an id that another row has",
                    anyhow!(
                        "{}:{number}: id {id:?} is that of line {first} too: give every row its own",
                        path.display()
                    ),
                )),
            }
        });
        match example {
            Ok(example) => examples.push(example),
            Err(fault) => faults.push(fault),
        }
        Ok(())
    })?;
    Ok(Reading {
        examples,
        faults,
        sha256,
    })
}

/// A row of `path` that is scored by the first mode, whatever is answered to it; `index` is its place among the rows. One that names no
/// database has `db`. Errors where the mode cannot score it.
pub fn one(path: &Path, index: usize, mut line: Line, db: Option<&str>) -> Result<Example> {
    let read = named(&mut line, path, db)
        .and_then(|()| check(index, line, path, &modes::ALL[..1], Answers::Missed, &[]));
    read.map_err(|fault| fault.error)
}

fn fault(reason: &'static str, error: anyhow::Error) -> Fault {
    Fault { reason, error }
}

/// Gives a row its database in `db`: that may stand in `db_id`, which is Spider's and BIRD's name for it, or be the one that every row has.
fn named(line: &mut Line, path: &Path, default: Option<&str>) -> Result<(), Fault> {
    let twice = |error| fault("a field that is there twice", error);
    let read = |field| {
        line.value(path, field)
            .map(|value| value.cloned())
            .map_err(twice)
    };
    let told = |value: &Value| !value.is_null();
    let (db, id) = (read("db")?.filter(told), read("db_id")?.filter(told));
    if let (Some(db), Some(id)) = (&db, &id)
        && db != id
    {
        let place = format!("{}:{}", path.display(), line.number);
        let error = anyhow!("{place}: fields \"db\" and \"db_id\" name two databases: keep one");
        return Err(fault("two databases", error));
    }
    if let Some(db) = db.or(id).or(default.map(Value::from)) {
        line.set("db", db);
    }
    Ok(())
}

fn check(
    index: usize,
    mut line: Line,
    path: &Path,
    modes: &[&dyn Mode],
    answers: Answers,
    more: &[&str],
) -> Result<Example, Fault> {
    let asked = match answers {
        Answers::Ignored => &record::FIELDS[..],
        Answers::Needed | Answers::Missed => &[],
    };
    let beside = [ABSTAINED];
    let of_files = match modes.iter().any(|mode| mode.takes_files()) {
        true => &standard::FIELDS[..],
        false => &[],
    };
    let more_than_text = beside.iter().chain(asked).chain(of_files).chain(more);
    for field in TEXT_FIELDS.iter().chain(more_than_text) {
        let read = line.value(path, field).map(drop);
        read.map_err(|error| fault("a field that is there twice", error))?;
    }
    if answers == Answers::Ignored {
        line.set("predicted_sql", "");
    }
    // Many data sets number their rows.
    if let (Some(Value::Number(_)), Some(id)) = (line.fields().get("id"), line.id()) {
        line.set("id", id);
    }
    let id = line
        .fields()
        .get("id")
        .and_then(Value::as_str)
        .map(str::to_owned);
    for field in TEXT_FIELDS {
        let read = line.optional_str(path, field).map(drop);
        read.with_context(|| format!("row {}", id.as_deref().unwrap_or("without id")))
            .map_err(|error| fault("a field that is no text", error))?;
    }
    let (number, mut fields) = (line.number, line.into_fields());
    let standard = match of_files {
        [] => Ok(Standard::default()),
        _ => Standard::of(&fields),
    };
    let standard = standard.map_err(|error| {
        let error = anyhow!("{}:{number}: {error}", path.display());
        fault("a field that is not understood", error)
    })?;
    if answers != Answers::Ignored {
        // A data set may carry much more, which would only fill the memory.
        let kept = |field: &str| TEXT_FIELDS.contains(&field) || more.contains(&field);
        fields.retain(|field, _| field == ABSTAINED || kept(field));
    }
    let example = Example {
        index,
        line: number,
        fields,
        standard,
    };
    let lacks = |mode: &dyn Mode| {
        let needed = |field: &&str| {
            let answer = answers == Answers::Needed && !example.abstained();
            answer || *field != "predicted_sql"
        };
        example.missing(mode).filter(needed).collect::<Vec<_>>()
    };
    let lacks: Vec<_> = modes
        .iter()
        .map(|mode| (mode.name(), lacks(*mode)))
        .collect();
    if lacks.iter().any(|(_, fields)| fields.is_empty()) {
        return Ok(example);
    }
    let how = |field: &str| match example.fields.get(field) {
        Some(_) => "null",
        None => "missing",
    };
    let lacks = lacks.iter().flat_map(|(mode, fields)| {
        let say = move |field: &&str| format!("field \"{field}\" is {} (mode {mode})", how(field));
        fields.iter().map(say)
    });
    let error = Error::msg(lacks.collect::<Vec<_>>().join("; ")).context(example.place(path));
    Err(fault("a field that is missing", error))
}
