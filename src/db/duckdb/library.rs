//! Finds DuckDB's library and opens it, once a process.

use super::api::Api;
use super::owned::borrowed;
use crate::sql::error::SqlError;
use std::env;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::OsString;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The environment variable that names the library and ends the search.
const VARIABLE: &str = "FACTORY_DUCKDB_LIB";
/// Under a home folder.
const OWN: &str = ".local/share/factory/lib";
/// Where package managers put libraries, Homebrew's folders first.
const SYSTEM: [&str; 7] = [
    "/opt/homebrew/lib",
    "/home/linuxbrew/.linuxbrew/lib",
    "/usr/local/lib",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];

/// DuckDB, loaded. It is never unloaded: its threads and what it left for the end of the process would be left without code.
pub struct Library {
    pub(super) api: Api,
    path: PathBuf,
    version: String,
}

impl Library {
    /// Looks for the library and opens the first one that is there; the next call has the same answer. An error says where it
    /// looked and how to get one.
    pub fn find() -> Result<&'static Self, SqlError> {
        static FOUND: OnceLock<Result<Library, SqlError>> = OnceLock::new();
        let found = FOUND.get_or_init(|| Self::open(&first(&Places::of_process())?));
        found.as_ref().map_err(SqlError::clone)
    }

    /// Opens one file, which must be DuckDB's library: its code runs from here on.
    pub fn open(path: &Path) -> Result<Self, SqlError> {
        let failed = |error: libloading::Error| {
            SqlError::Database(format!(
                "{} is no DuckDB library that can be used here ({error})",
                path.display()
            ))
        };
        // SAFETY: loading a library runs code of it. Whoever names the file vouches for it.
        let library = unsafe { libloading::Library::new(path) }.map_err(failed)?;
        // SAFETY: the functions have the types of duckdb.h, and the library stays loaded (below).
        let api = unsafe { Api::load(&library) }.map_err(failed)?;
        mem::forget(library);
        // SAFETY: the version is a text that lives as long as the library.
        let version = unsafe { borrowed((api.library_version)()) };
        Ok(Self {
            api,
            path: path.to_owned(),
            version,
        })
    }

    /// Its version, such as `v1.5.5`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What decides where the library is looked for.
struct Places {
    named: Option<OsString>,
    program: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Places {
    fn of_process() -> Self {
        Self {
            named: env::var_os(VARIABLE).filter(|name| !name.is_empty()),
            program: env::current_exe().ok(),
            home: env::home_dir(),
        }
    }

    fn folders(&self) -> Vec<PathBuf> {
        let beside = self.program.as_deref().and_then(Path::parent);
        let own = self.home.as_ref().map(|home| home.join(OWN));
        let system = SYSTEM.iter().map(PathBuf::from);
        beside
            .map(Path::to_owned)
            .into_iter()
            .chain(own)
            .chain(system)
            .collect()
    }
}

/// The first library that is there.
fn first(places: &Places) -> Result<PathBuf, SqlError> {
    if let Some(named) = &places.named {
        let file = PathBuf::from(named);
        return match file.is_file() {
            true => Ok(file),
            false => Err(SqlError::Database(format!(
                "{VARIABLE} names {}, which is no file; scripts/fetch_duckdb.sh fetches a library and prints its path",
                file.display()
            ))),
        };
    }
    let name = format!("{DLL_PREFIX}duckdb{DLL_SUFFIX}");
    let folders = places.folders();
    let found = folders
        .iter()
        .map(|folder| folder.join(&name))
        .find(|file| file.is_file());
    found.ok_or_else(|| {
        let looked: Vec<_> = folders.iter().map(|f| f.display().to_string()).collect();
        SqlError::Database(format!(
            "no {name} in {}: scripts/fetch_duckdb.sh ~/{OWN} fetches one, and {VARIABLE} may name one elsewhere",
            looked.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn places(folder: &Path) -> Places {
        Places {
            named: None,
            program: Some(folder.join("bin/factory")),
            home: Some(folder.join("home")),
        }
    }

    #[test]
    fn the_nearest_library_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut places = places(folder.path());
        let name = format!("{DLL_PREFIX}duckdb{DLL_SUFFIX}");
        let in_home = folder.path().join("home").join(OWN).join(&name);
        let beside = folder.path().join("bin").join(&name);
        let named = folder.path().join("any.so");
        for file in [&in_home, &beside, &named] {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
            if file == &named {
                places.named = Some(named.clone().into());
            }
            assert_eq!(&first(&places).unwrap(), file);
        }
    }

    #[test]
    fn a_library_that_is_not_there_is_told_with_the_way_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut places = places(folder.path());
        let looked = places.folders();
        let text = |places: &Places| first(places).unwrap_err().to_string();
        // Where the system has one, there is nothing to tell.
        if first(&places).is_err() {
            for folder in looked {
                assert!(text(&places).contains(folder.to_str().unwrap()));
            }
            assert!(text(&places).contains("scripts/fetch_duckdb.sh"));
        }
        places.named = Some("/absent.so".into());
        assert!(text(&places).contains("FACTORY_DUCKDB_LIB names /absent.so"));
    }

    #[test]
    fn another_file_is_no_library() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libduckdb.so");
        fs::write(&file, "text").unwrap();
        let error = Library::open(&file).err().unwrap().to_string();
        assert!(
            error.contains("libduckdb.so is no DuckDB library"),
            "{error}"
        );
    }
}
