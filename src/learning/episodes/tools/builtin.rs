//! mcp-alchemy's tools over the databases of rows, each call to a database in a process of its own.

use super::described::builtin;
use super::said::{Said, Tools};
use super::spread::spread;
use crate::db::alchemy;
use crate::db::answer::Bounds;
use crate::db::connections::Connection;
use crate::db::door::{Door, Limits};
use crate::db::home::Home;
use crate::learning::episodes::call::{ALL_TABLES, Call, DEFINITIONS, EXECUTE, FILTER_TABLES};
use crate::sql::error::SqlError;
use anyhow::{Context, Error, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

/// Most answers that are remembered: groups of episodes on a row ask much the same.
const KNOWN: usize = 20_000;

/// The tools.
pub struct Builtin {
    databases: Databases,
    offered: Vec<Value>,
    known: RefCell<BTreeMap<(String, Call), Said>>,
}

/// What threads share.
struct Databases {
    home: Home,
    follow_links: bool,
    door: Door,
}

impl Builtin {
    /// Over the databases of `home`; `worker` starts the process of a call, which may take `time`.
    pub fn new(home: Home, follow_links: bool, worker: Vec<PathBuf>, time: Duration) -> Self {
        let limits = Limits {
            timeout: time,
            // More rows than are shown.
            bounds: Bounds {
                rows: 1_000,
                bytes: 64 << 10,
            },
        };
        Self {
            databases: Databases {
                home,
                follow_links,
                door: Door::new(worker, limits),
            },
            offered: builtin(),
            known: RefCell::new(BTreeMap::new()),
        }
    }

    /// The names of the tables of a database that need no schema before them.
    pub fn tables(&self, db: &str) -> Result<Vec<String>> {
        let databases = &self.databases;
        let (connection, _) = databases.connection(db)?;
        alchemy::names(|| Ok(databases.door.clone()), &connection)
    }
}

impl Tools for Builtin {
    fn offered(&self) -> &[Value] {
        &self.offered
    }

    fn answers(&self, calls: &[(&str, &Call)]) -> Result<Vec<Said>> {
        let mut known = self.known.borrow_mut();
        let key = |db: &str, call: &Call| (db.to_owned(), call.clone());
        let mut new: Vec<(&str, &Call)> = calls.to_vec();
        new.retain(|(db, call)| !known.contains_key(&key(db, call)));
        new.sort();
        new.dedup();
        let threads = available_parallelism().map_or(1, usize::from);
        let databases = &self.databases;
        let found = spread(&new, threads, |(db, call)| databases.answer(db, call));
        let mut fresh = BTreeMap::new();
        for ((db, call), found) in new.into_iter().zip(found) {
            fresh.insert(key(db, call), found?);
        }
        let said = calls.iter().filter_map(|(db, call)| {
            let key = key(db, call);
            let found = fresh.get(&key).map(|(said, _)| said);
            found.or_else(|| known.get(&key)).cloned()
        });
        let said: Vec<Said> = said.collect();
        if known.len() + fresh.len() > KNOWN {
            known.clear();
        }
        let lasting = fresh.into_iter().filter(|(_, (_, lasts))| *lasts);
        known.extend(lasting.map(|(key, (said, _))| (key, said)));
        Ok(said)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    q: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    table_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    query: String,
    #[serde(default)]
    params: Map<String, Value>,
}

impl Databases {
    /// The database called `db`, and on a server its schema.
    fn connection<'d>(&self, db: &'d str) -> Result<(Connection, &'d str)> {
        self.home.connection(db, self.follow_links)
    }

    /// What a call gives, and whether it would give that again. Errors where the database is gone.
    fn answer(&self, db: &str, call: &Call) -> Result<(Said, bool)> {
        let error = match self.run(db, call) {
            Ok(text) => return Ok((Said::fine(text), true)),
            Err(error) => error,
        };
        let lasts = match error.downcast_ref::<SqlError>() {
            Some(SqlError::Database(_)) => return Err(error),
            // Another time the machine may be less busy.
            Some(SqlError::ResourceLimit(_) | SqlError::Timeout(_)) => false,
            _ => true,
        };
        Ok((Said::failed(format!("{error:#}")), lasts))
    }

    fn run(&self, db: &str, call: &Call) -> Result<String> {
        let (connection, schema) = self.connection(db).map_err(gone)?;
        let door = || Ok(self.door.clone());
        match call.tool.as_str() {
            ALL_TABLES => {
                let Nothing {} = arguments(call)?;
                alchemy::all_table_names(door, &connection)
            }
            FILTER_TABLES => {
                let Filter { q } = arguments(call)?;
                alchemy::filter_table_names(door, &connection, &q)
            }
            DEFINITIONS => {
                let Tables { table_names } = arguments(call)?;
                alchemy::schema_definitions(door, &connection, schema, &table_names)
            }
            EXECUTE => {
                let Query { query, params } = arguments(call)?;
                alchemy::execute_query(door, &connection, &query, &params)
            }
            other => {
                let other: String = other.chars().take(60).collect();
                let all = [ALL_TABLES, FILTER_TABLES, DEFINITIONS, EXECUTE].join(", ");
                bail!("no tool is called {other:?}: there are {all}")
            }
        }
    }
}

fn arguments<A: for<'a> Deserialize<'a>>(call: &Call) -> Result<A> {
    let arguments = Value::Object(call.arguments.0.clone());
    let read = serde_json::from_value(arguments);
    read.with_context(|| format!("arguments of {}", call.tool))
}

/// A database that was there when the rows were read.
fn gone(error: Error) -> Error {
    SqlError::Database(format!("{error:#}")).into()
}
