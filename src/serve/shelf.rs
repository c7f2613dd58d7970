//! The databases that callers brought: each a file of the server's own, the longest unused of which go.

use super::config::Asking;
use super::error::ApiError;
use crate::ask::Source;
use crate::eval::built::build;
use crate::eval::databases::Databases;
use crate::eval::session::Rules;
use crate::eval::stop::Stop;
use crate::eval::table::Shown;
use anyhow::{Context, Result, anyhow};
use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tempfile::{Builder, NamedTempFile, TempDir, TempPath};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Databases that are kept.
const KEPT: usize = 16;
/// Requests that run queries or wait for their turn.
const MOST_TURNS: usize = 64;

/// Databases that come at once.
const UPLOADS: usize = 8;

/// What the folder of a server is called.
const FOLDER: &str = "factory-databases";
/// The file in it that the server holds locked, by which those of killed ones are known.
const LOCK: &str = "lock";

/// What a SQLite database begins with, and what says in byte 18 that it was kept in WAL mode
/// (https://www.sqlite.org/fileformat.html, section 1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";
const WAL: u8 = 2;
const IN_WAL: &str =
    "This database is in WAL mode. What its writer keeps in the -wal file beside it is not here.";

/// A place to run queries.
pub struct Desk {
    _held: [OwnedSemaphorePermit; 2],
}

/// A database that somebody brought.
pub struct Brought {
    pub id: String,
    pub source: Source,
    /// What its caller should know of it.
    pub note: Option<&'static str>,
    /// Gone with the last who uses it.
    file: TempPath,
}

impl Brought {
    /// A text without where the database lies, which is the server's own business.
    pub fn hidden(&self, text: &str) -> String {
        hidden(text, &self.file)
    }

    /// A result, its error without that.
    pub fn own(&self, shown: Shown) -> Shown {
        shown.map_err(|error| error.of_database(|text| self.hidden(text)))
    }
}

fn hidden(text: &str, file: &Path) -> String {
    let file = file.to_string_lossy();
    text.replace(&format!("{file}: "), "").replace(&*file, "it")
}

/// All of them.
pub struct Shelf {
    folder: TempDir,
    /// Its path as messages of queries have it.
    place: PathBuf,
    /// Held locked as long as the folder is in use.
    _lock: File,
    databases: Databases,
    /// Largest database in bytes.
    pub bytes: u64,
    /// The last used is the last.
    kept: Mutex<VecDeque<Arc<Brought>>>,
    /// Queries run in processes of their own, so there are only so many at once.
    desks: Arc<Semaphore>,
    /// Who has a desk or waits for one.
    turns: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    /// A script may take a minute: one at a time, beside the desks.
    reading: Arc<Semaphore>,
}

impl Shelf {
    /// An empty one.
    pub fn new(asking: &Asking) -> Result<Self> {
        sweep(&std::env::temp_dir());
        let mut builder = Builder::new();
        builder.prefix(FOLDER);
        // What people bring is nobody else's.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let folder = builder.tempdir()?;
        // It is there under its name when it is locked, not before.
        let new = folder.path().join("new");
        let lock = File::create(&new)?;
        lock.lock()?;
        fs::rename(new, folder.path().join(LOCK))?;
        let (worker, timeout) = (asking.worker.clone(), asking.timeout);
        let place = folder.path().canonicalize()?;
        let databases = Databases::new(place.clone().into(), worker, timeout, Rules::default());
        Ok(Self {
            desks: Arc::new(Semaphore::new(databases.workers)),
            turns: Arc::new(Semaphore::new(MOST_TURNS)),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            reading: Arc::new(Semaphore::new(1)),
            folder,
            place,
            _lock: lock,
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

    /// A place to bring a database. Errors where too many come.
    pub fn upload(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let place = self.uploads.clone().try_acquire_owned();
        place.map_err(|_| ApiError::busy(UPLOADS))
    }

    /// Waits until no other database that has come is read.
    pub async fn reading(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let place = self.reading.clone().acquire_owned().await;
        place.map_err(|_| ApiError::ending())
    }

    /// Whether a query runs or waits.
    pub fn is_busy(&self) -> bool {
        self.turns.available_permits() < MOST_TURNS
    }

    /// An empty file for a database that is about to come.
    pub fn file(&self) -> Result<NamedTempFile> {
        let file = Builder::new().prefix("").tempfile_in(self.folder.path());
        file.context("no file can be made for a database")
    }

    /// Takes a database that has come; a script is built once and for all. Errors, for its caller, where it is none, or `stop` ended it.
    pub fn take(&self, file: NamedTempFile, stop: &Stop) -> Result<Arc<Brought>> {
        let id = format!("{:032x}", rand::random::<u128>());
        let head = head(file.path())?;
        let own = format!("{id}.sqlite");
        let place = self.place.join(&own);
        let gone = TempPath::try_from_path(&place)?;
        if head.starts_with(MAGIC) {
            file.persist(&place)?;
        } else {
            let name = format!("{id}.sql");
            let script = self.place.join(&name);
            file.persist(&script)?;
            let script = TempPath::try_from_path(script)?;
            let built = build(&self.databases.until(stop), &name, &place);
            built.map_err(|error| anyhow!(hidden(&format!("{error:#}"), &script)))?;
        }
        let wal = head.starts_with(MAGIC) && head.get(18) == Some(&WAL);
        let opened = Source::open(own, self.databases.clone(), stop);
        let source = opened.map_err(|error| {
            let note = if wal {
                format!(". {IN_WAL}")
            } else {
                String::new()
            };
            anyhow!(hidden(&format!("{error:#}{note}"), &place))
        })?;
        let brought = Arc::new(Brought {
            id,
            source,
            note: wal.then_some(IN_WAL),
            file: gone,
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
        // Who cleans the folder of temporary files takes it away.
        if !brought.file.exists() {
            return Err(ApiError::no_database(id));
        }
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

/// The first bytes of a file.
fn head(file: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(file)?.take(20).read_to_end(&mut head)?;
    Ok(head)
}

/// Removes the folders of servers that were killed, whose locks nobody holds. What cannot be removed stays.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let left = entry.file_name().to_string_lossy().starts_with(FOLDER)
            && File::open(path.join(LOCK))
                .is_ok_and(|lock| !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        if left {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_servers_left_goes_and_what_others_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let server = |name: &str| {
            let own = folder.path().join(format!("{FOLDER}{name}"));
            fs::create_dir(&own).unwrap();
            File::create(own.join(LOCK)).unwrap()
        };
        let (used, left) = (server("used"), server("left"));
        used.lock().unwrap();
        drop(left);
        fs::create_dir(folder.path().join(format!("{FOLDER}new"))).unwrap();
        sweep(folder.path());
        let names = fs::read_dir(folder.path()).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = names
            .map(|entry| name(entry).into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["new", "used"].map(|name| format!("{FOLDER}{name}")));
    }
}
