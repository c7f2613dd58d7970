//! The databases that callers brought: each a file of the server's own, the longest unused of which go.

use super::config::Asking;
use super::error::ApiError;
use crate::ask::Source;
use crate::eval::databases::Databases;
use crate::eval::session::Rules;
use anyhow::{Context, Result, anyhow};
use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tempfile::{Builder, NamedTempFile, TempDir, TempPath};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Databases that are kept.
const KEPT: usize = 16;
/// Requests that run queries or wait for their turn.
const MOST_TURNS: usize = 64;

/// What a SQLite database begins with (https://www.sqlite.org/fileformat.html, section 1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";

/// A place to run queries.
pub struct Desk {
    _held: [OwnedSemaphorePermit; 2],
}

/// A database that somebody brought.
pub struct Brought {
    pub id: String,
    pub source: Source,
    /// Gone with the last who uses it.
    _file: TempPath,
}

/// All of them.
pub struct Shelf {
    folder: TempDir,
    databases: Databases,
    /// Largest database in bytes.
    pub bytes: u64,
    /// The last used is the last.
    kept: Mutex<VecDeque<Arc<Brought>>>,
    /// Queries run in processes of their own, so there are only so many at once.
    desks: Arc<Semaphore>,
    /// Who has a desk or waits for one.
    turns: Arc<Semaphore>,
}

impl Shelf {
    /// An empty one.
    pub fn new(asking: &Asking) -> Result<Self> {
        let folder = Builder::new().prefix("factory-databases").tempdir()?;
        let (worker, timeout) = (asking.worker.clone(), asking.timeout);
        let place = folder.path().canonicalize()?;
        let databases = Databases::new(place, worker, timeout, Rules::default());
        Ok(Self {
            desks: Arc::new(Semaphore::new(databases.workers)),
            turns: Arc::new(Semaphore::new(MOST_TURNS)),
            folder,
            databases,
            bytes: asking.bytes,
            kept: Mutex::default(),
        })
    }

    /// Waits for a place to run queries, which is held until that is dropped: by the work itself, which goes on where its caller has gone.
    /// Errors where too many wait.
    pub async fn desk(&self) -> Result<Desk, ApiError> {
        let turn = self.turns.clone().try_acquire_owned();
        let turn = turn.map_err(|_| ApiError::busy(MOST_TURNS))?;
        let desk = self.desks.clone().acquire_owned().await;
        let desk = desk.map_err(|_| ApiError::ending())?;
        Ok(Desk {
            _held: [turn, desk],
        })
    }

    /// An empty file for a database that is about to come.
    pub fn file(&self) -> Result<NamedTempFile> {
        let file = Builder::new().prefix("").tempfile_in(self.folder.path());
        file.context("no file can be made for a database")
    }

    /// Takes a database that has come. Errors, for its caller, where it is none.
    pub fn take(&self, file: NamedTempFile) -> Result<Arc<Brought>> {
        let id = format!("{:032x}", rand::random::<u128>());
        let ending = match begins(file.path(), MAGIC)? {
            true => "sqlite",
            false => "sql",
        };
        let place = self.databases.db_dir.join(format!("{id}.{ending}"));
        file.persist(&place)?;
        let file = TempPath::try_from_path(&place)?;
        let opened = Source::open(place.clone(), self.databases.clone());
        // Where it lies is the server's own business.
        let source = opened.map_err(|error| {
            let message = format!("{error:#}");
            anyhow!(message.replace(&*place.to_string_lossy(), "it"))
        })?;
        let brought = Arc::new(Brought {
            id,
            source,
            _file: file,
        });
        let mut kept = self.lock();
        kept.push_back(brought.clone());
        while kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(brought)
    }

    /// One of them by its id.
    pub fn get(&self, id: &str) -> Result<Arc<Brought>, ApiError> {
        let mut kept = self.lock();
        let brought = out(&mut kept, id)?;
        kept.push_back(brought.clone());
        Ok(brought)
    }

    /// Lets one go. Errors where it is not there.
    pub fn remove(&self, id: &str) -> Result<(), ApiError> {
        out(&mut self.lock(), id).map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Brought>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn out(kept: &mut VecDeque<Arc<Brought>>, id: &str) -> Result<Arc<Brought>, ApiError> {
    let place = kept.iter().position(|brought| brought.id == id);
    let brought = place.and_then(|place| kept.remove(place));
    brought.ok_or_else(|| ApiError::no_database(id))
}

fn begins(file: &Path, with: &[u8]) -> Result<bool> {
    use std::io::Read;
    let mut head = Vec::new();
    File::open(file)?
        .take(with.len() as u64)
        .read_to_end(&mut head)?;
    Ok(head == with)
}
