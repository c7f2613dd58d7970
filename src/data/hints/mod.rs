//! Value hints: a prompt is given the database's own values that its question names, and the columns that hold them.
//!
//! Many wrong queries look for a value in the wrong column, or spell it as the question does: a hint says where it is and how it is
//! written. The same notation serves training rows, gates and whoever asks.

mod index;
pub mod place;

use super::jsonl::Line;
use crate::db::home::Home;
use crate::db::registry::Driver;
use crate::db::sandbox::Sandbox;
use crate::db::sqlite;
use anyhow::{Context, Result, bail};
use index::Values;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Fields that may hold a row's prompt.
const PROMPTS: [&str; 2] = ["prompt", "instruction"];

/// What became of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hinted {
    /// Rows whose question names a value.
    pub rows: usize,
    pub hints: usize,
    /// Rows that name no database, which stay as they are.
    pub without_database: usize,
}

/// The values of one database, to be named in prompts.
pub struct Hints(Values);

impl Hints {
    /// Reads the text values of the database that is called `db` at `home`, a bounded number of them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(home: &Home, db: &str) -> Result<Self> {
        let mut sandbox = Sandbox::new(home.clone(), false);
        let file = sandbox.locate(db)?.into_iter().next();
        let file = file.context("a database that was found")?;
        if sandbox.driver(&file) != Driver::Sqlite {
            return Ok(Self(Values::read_by(&mut sandbox, &file)?));
        }
        Self::of_sqlite(&file)
    }

    /// Reads those of a SQLite file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_sqlite(file: &Path) -> Result<Self> {
        let (connection, _) = sqlite::open(file, false)?;
        Ok(Self(Values::read(&connection, file)?))
    }

    /// The prompt with up to `most` values that its question names, and how many, in place of those that it had; without any where it
    /// names none.
    ///
    /// # Errors
    /// When the prompt has no place for them.
    pub fn put(&self, prompt: &str, question: &str, most: usize) -> Result<(String, usize)> {
        let prompt = place::without(prompt, question);
        let found = self.0.find(question, most);
        if found.is_empty() {
            return Ok((prompt, 0));
        }
        let said: Vec<String> = found.iter().map(ToString::to_string).collect();
        let hinted = place::insert(&prompt, question, &said.join("; "));
        let hinted =
            hinted.context("the prompt has neither \"Question:\" nor the row's question in it")?;
        Ok((hinted, found.len()))
    }
}

/// Gives each row's prompt up to `most` values of its database, which lies in `folder`.
///
/// Errors name the row whose database cannot be read, or whose prompt has no place for them.
pub fn add(lines: &mut [Line], file: &Path, folder: &Path, most: usize) -> Result<Hinted> {
    let home = Home::Folder(folder.to_owned());
    let mut known: BTreeMap<String, Hints> = BTreeMap::new();
    let mut hinted = Hinted::default();
    for line in lines {
        let place = || format!("{}:{}", file.display(), line.number);
        let text = |field: &str| line.fields().get(field).and_then(Value::as_str);
        let Some(db) = text("db") else {
            hinted.without_database += 1;
            continue;
        };
        let Some((field, prompt)) = PROMPTS.iter().find_map(|f| Some((*f, text(f)?))) else {
            bail!(
                "{}: the row has no text in {}",
                place(),
                PROMPTS.join(" or ")
            );
        };
        let question = text("question").or_else(|| place::question(prompt));
        let question = question.with_context(|| {
            format!(
                "{}: the row has no field question, and its prompt no \"Question:\"",
                place()
            )
        })?;
        let db = db.to_owned();
        if !known.contains_key(&db) {
            let hints = Hints::of(&home, &db).with_context(place)?;
            known.insert(db.clone(), hints);
        }
        let (prompt, found) = known[&db].put(prompt, question, most).with_context(place)?;
        hinted.rows += usize::from(found > 0);
        hinted.hints += found;
        line.set(field, prompt);
    }
    Ok(hinted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_get_the_values_that_their_questions_name() {
        let folder = tempfile::tempdir().unwrap();
        let script = "CREATE TABLE towns (name TEXT, region TEXT);
            INSERT INTO towns VALUES ('Riga', 'Vidzeme'), ('Ghent', 'East Flanders'), ('O''Hare', 'Illinois');";
        std::fs::write(folder.path().join("geo.sql"), script).unwrap();
        let row = |number: usize, value: serde_json::Value| {
            Line::new(number, value.as_object().unwrap().clone())
        };
        let mut rows = [
            row(
                1,
                json!({"db": "geo", "prompt": "One query.\nSchema: towns(name, region)\nQuestion: Is riga in east flanders?"}),
            ),
            row(
                2,
                json!({"db": "geo", "prompt": "How many towns?", "question": "How many towns?"}),
            ),
            row(
                3,
                json!({"db": "geo", "instruction": "Q: Where is O'Hare?", "question": "Where is O'Hare?"}),
            ),
            row(4, json!({"prompt": "Say hello"})),
        ];
        let file = Path::new("rows.jsonl");
        let hinted = add(&mut rows, file, folder.path(), 5).unwrap();
        let expected = Hinted {
            rows: 2,
            hints: 3,
            without_database: 1,
        };
        assert_eq!(hinted, expected);
        let once = rows
            .iter()
            .map(|row| row.fields().clone())
            .collect::<Vec<_>>();
        assert_eq!(add(&mut rows, file, folder.path(), 5).unwrap(), expected);
        assert!(rows.iter().map(Line::fields).eq(&once));
        let prompt = |at: usize, field: &str| rows[at].fields()[field].as_str().unwrap();
        assert_eq!(
            prompt(0, "prompt"),
            "One query.\nSchema: towns(name, region)\nValues: towns.name = 'Riga'; towns.region = 'East Flanders'\nQuestion: Is riga in east flanders?"
        );
        assert_eq!(prompt(1, "prompt"), "How many towns?");
        assert_eq!(
            prompt(2, "instruction"),
            "Q: Values: towns.name = 'O''Hare' Where is O'Hare?"
        );
        for (value, fault) in [
            (
                json!({"db": "geo", "prompt": "Is it Riga?"}),
                "no field question",
            ),
            (
                json!({"db": "geo", "prompt": "Is it?", "question": "Riga?"}),
                "neither \"Question:\"",
            ),
            (
                json!({"db": "geo", "question": "Riga?"}),
                "no text in prompt or instruction",
            ),
            (json!({"db": "gone", "prompt": "Question: Riga?"}), "gone"),
        ] {
            let error = add(&mut [row(7, value)], file, folder.path(), 5).unwrap_err();
            let error = format!("{error:#}");
            assert!(
                error.starts_with("rows.jsonl:7") && error.contains(fault),
                "{error}"
            );
        }
    }
}
