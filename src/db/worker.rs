//! The process in which a stranger's query runs: one call, one process. Whatever the query does to it, somebody else ends it.

use super::answer::{Answer, Bounds};
use super::connections::Connection;
use super::declared::Declared;
use super::engine;
use super::schema::Table;
use crate::sql::error::SqlError;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::process::exit;
use std::thread;
use std::time::Duration;

/// What is wanted of a database.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    Version,
    Schema,
    Declared,
    Run(String),
    Explain(String),
}

/// A call: what is wanted, of which database, and how much it may take.
#[derive(Serialize, Deserialize)]
pub struct Call {
    pub connection: Connection,
    pub task: Task,
    pub bounds: Bounds,
    /// Memory in bytes for what an engine counts.
    pub memory: u64,
    /// Time for the whole call.
    pub time: Duration,
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    Version(String),
    Schema(Vec<Table>),
    Declared(Vec<Declared>),
    Answer(Answer),
}

/// What a worker says.
pub type Message = std::result::Result<Told, SqlError>;

/// Answers one call. Whoever made it being gone ends the process at once, whatever it is doing.
pub fn serve(mut input: impl BufRead + Send + 'static, mut output: impl Write) -> Result<()> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let call: Call = serde_json::from_str(&line).context("no call on the first line")?;
    thread::spawn(move || {
        let _ = std::io::copy(&mut input, &mut std::io::sink());
        exit(0);
    });
    serde_json::to_writer(&mut output, &answer(&call))?;
    output.write_all(b"\n")?;
    Ok(output.flush()?)
}

fn answer(call: &Call) -> Message {
    let engine = engine::open(&call.connection, call.memory, call.time)?;
    let bounds = call.bounds;
    Ok(match &call.task {
        Task::Version => Told::Version(engine.version()?),
        Task::Schema => Told::Schema(engine.schema()?),
        Task::Declared => Told::Declared(engine.declared()?),
        Task::Run(sql) => Told::Answer(engine.run(sql, bounds)?),
        Task::Explain(sql) => Told::Answer(engine.explain(sql, bounds)?),
    })
}
