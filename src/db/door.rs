//! The one door to every database: a call goes to a process of its own, which is killed when its time is up.

use super::answer::{Answer, Bounds};
use super::connections::Connection;
use super::process::Process;
use super::schema::Table;
use super::worker::{Call, Message, Task, Told};
use crate::run::words::duration;
use crate::sql::error::SqlError;
use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// How much a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub timeout: Duration,
    pub bounds: Bounds,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            bounds: Bounds {
                rows: 1_000,
                bytes: 256 << 10,
            },
        }
    }
}

/// Beyond the deadline, for a process that is about to say that it is late.
const GRACE: Duration = Duration::from_millis(250);
/// Memory that an engine may count, below what its process may have.
const MEMORY: u64 = 512 << 20;

/// The door.
#[derive(Clone, Debug)]
pub struct Door {
    /// What starts a worker (see [`super::worker::serve`]).
    pub worker: Vec<PathBuf>,
    pub limits: Limits,
}

impl Door {
    /// What the engine is, with its version, once it has opened the database.
    pub fn version(&self, connection: &Connection) -> Result<String, SqlError> {
        match self.call(connection, Task::Version)? {
            Told::Version(version) => Ok(version),
            other => Err(astray(&other)),
        }
    }

    /// The tables of a database.
    pub fn schema(&self, connection: &Connection) -> Result<Vec<Table>, SqlError> {
        match self.call(connection, Task::Schema)? {
            Told::Schema(tables) => Ok(tables),
            other => Err(astray(&other)),
        }
    }

    /// The rows of one query.
    pub fn run(&self, connection: &Connection, sql: &str) -> Result<Answer, SqlError> {
        self.rows(connection, Task::Run(sql.to_owned()))
    }

    /// How the engine would run a query.
    pub fn explain(&self, connection: &Connection, sql: &str) -> Result<Answer, SqlError> {
        self.rows(connection, Task::Explain(sql.to_owned()))
    }

    fn rows(&self, connection: &Connection, task: Task) -> Result<Answer, SqlError> {
        match self.call(connection, task)? {
            Told::Answer(answer) => Ok(answer),
            other => Err(astray(&other)),
        }
    }

    fn call(&self, connection: &Connection, task: Task) -> Message {
        let Limits { timeout, bounds } = self.limits;
        let call = Call {
            connection: connection.clone(),
            task,
            bounds,
            memory: MEMORY,
            time: timeout,
        };
        let broken = |error: anyhow::Error| SqlError::Database(format!("{error:#}"));
        let process: Process<Message> = Process::start(&self.worker).map_err(broken)?;
        process.tell(&call).map_err(broken)?;
        match process.messages.recv_timeout(timeout + GRACE) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => {
                Err(SqlError::ResourceLimit(format!("exceeded {}", duration(timeout))))
            }
            Err(RecvTimeoutError::Disconnected) => Err(SqlError::ResourceLimit(
                "its process ended: it needs more memory than a query may have, or the engine failed".to_owned(),
            )),
        }
    }
}

fn astray(told: &Told) -> SqlError {
    let what = match told {
        Told::Version(_) => "a version",
        Told::Schema(_) => "a schema",
        Told::Answer(_) => "rows",
    };
    SqlError::Database(format!(
        "a worker process answered {what} to another question"
    ))
}
