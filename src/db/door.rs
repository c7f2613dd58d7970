//! The one door to every database: a call goes to a process of its own, which is killed when its time is up.

use super::answer::{Answer, Bounds};
use super::connections::Connection;
use super::declared::Declared;
use super::process::Process;
use super::schema::Table;
use super::worker::{Call, Message, Task, Told};
use crate::run::words::duration;
use crate::sql::error::SqlError;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

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

/// How often it is looked whether anybody still waits.
const LOOK: Duration = Duration::from_millis(20);

/// The door.
#[derive(Clone)]
pub struct Door {
    /// What starts a worker (see [`super::worker::serve`]).
    worker: Vec<PathBuf>,
    pub limits: Limits,
    stops: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for Door {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("Door")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Door {
    /// One behind which `worker` starts a process for each call.
    pub fn new(worker: Vec<PathBuf>, limits: Limits) -> Self {
        Self {
            worker,
            limits,
            stops: Arc::new(|| false),
        }
    }

    /// The same for a caller who may go: its calls end, and their processes with them, once `stops` says so.
    pub fn until(&self, stops: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self {
            stops: Arc::new(stops),
            ..self.clone()
        }
    }

    /// The same with other limits.
    pub fn within(&self, limits: Limits) -> Self {
        Self {
            limits,
            ..self.clone()
        }
    }

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

    /// The same tables with all that was declared of them.
    pub fn declared(&self, connection: &Connection) -> Result<Vec<Declared>, SqlError> {
        match self.call(connection, Task::Declared)? {
            Told::Declared(tables) => Ok(tables),
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
        let end = Instant::now() + timeout + GRACE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let ended = match process.messages.recv_timeout(left.min(LOOK)) {
                Ok(message) => return message,
                Err(RecvTimeoutError::Timeout) if (self.stops)() => {
                    "nobody waits for it any more".to_owned()
                }
                Err(RecvTimeoutError::Timeout) if left > LOOK => continue,
                Err(RecvTimeoutError::Timeout) => format!("exceeded {}", duration(timeout)),
                Err(RecvTimeoutError::Disconnected) => {
                    "its process ended: it needs more memory than a query may have, or the engine failed".to_owned()
                }
            };
            return Err(SqlError::ResourceLimit(ended));
        }
    }
}

fn astray(told: &Told) -> SqlError {
    let what = match told {
        Told::Version(_) => "a version",
        Told::Schema(_) | Told::Declared(_) => "a schema",
        Told::Answer(_) => "rows",
    };
    SqlError::Database(format!(
        "a worker process answered {what} to another question"
    ))
}
