//! Finds a row's databases inside the database folder.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// What database files end in, and what one is built from.
const EXTENSIONS: [&str; 5] = ["sqlite", "db", "sqlite3", "duckdb", "ddb"];
/// Those of them that are DuckDB's.
const DUCKDB: [&str; 2] = ["duckdb", "ddb"];
const SCRIPT: &str = "sql";

/// The files of database `name` in `folder`; the first is the database itself, others are of its test suite.
///
/// `name` is a file, or lacks its ending; or stands for `NAME.sql`, from which it is built; or is a folder (also inside
/// `database/`, as Spider has it) with `NAME.sqlite` and the other databases of a test suite. Errors where two databases
/// fit. Links must stay inside the folder unless `follow_links`.
pub fn locate(folder: &Path, name: &str, follow_links: bool) -> Result<Vec<PathBuf>> {
    let within = (!follow_links).then_some(folder);
    let plain = folder.join(relative(name)?);
    let suites = [plain.clone(), folder.join("database").join(name)];
    let mut files = vec![plain.clone()];
    files.extend(EXTENSIONS.map(|extension| with(&plain, extension)));
    for suite in &suites {
        let own = suite.join(suite.file_name().unwrap_or_default());
        files.extend(EXTENSIONS.map(|extension| with(&own, extension)));
    }
    if let Some(found) = only(name, &files, within)? {
        let suite = suites.iter().find(|suite| found.parent() == Some(suite));
        return match suite {
            Some(suite) => suite_of(suite, &found, within),
            None => Ok(vec![resolved(&found, within)?]),
        };
    }
    // `x.db` may be built from `x.sql`; in `v1.2` nothing is an ending.
    let ending = plain.extension().and_then(|ending| ending.to_str());
    let stem = match ending.is_some_and(|ending| EXTENSIONS.contains(&ending)) {
        true => plain.with_extension(""),
        false => plain.clone(),
    };
    let script = with(&stem, SCRIPT);
    if let Some(found) = only(name, &[script.clone(), with(&plain, SCRIPT)], within)? {
        return Ok(vec![resolved(&found, within)?]);
    }
    match suites.iter().find(|suite| suite.is_dir()) {
        Some(suite) => bail!(
            "{} has no database of its own name, such as {}.sqlite",
            suite.display(),
            suite.file_name().unwrap_or_default().display()
        ),
        None => bail!(
            "database {} not found, nor {} to build it from (see --db-dir)",
            plain.display(),
            script.display()
        ),
    }
}

/// Whether a file is DuckDB's by its name.
pub fn is_duckdb(file: &Path) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| DUCKDB.contains(&ending))
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut file = path.to_owned().into_os_string();
    file.push(".");
    file.push(ending);
    file.into()
}

/// The one that is a file; errors where several are, unless they are the same one.
fn only(name: &str, files: &[PathBuf], within: Option<&Path>) -> Result<Option<PathBuf>> {
    let mut found: Vec<(PathBuf, &PathBuf)> = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.is_file() && !is_apple_double(file))
    {
        let real = resolved(file, within)?;
        if found.iter().all(|(known, _)| *known != real) {
            found.push((real, file));
        }
    }
    if let [(_, one), (_, other), ..] = found[..] {
        bail!(
            "database {name} is ambiguous: {} and {} both fit; name the file in the row, or take one away",
            one.display(),
            other.display()
        );
    }
    Ok(found.pop().map(|(_, file)| file.clone()))
}

/// What macOS leaves beside files on other file systems.
fn is_apple_double(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b"._")
}

/// Rejects names that could point out of the folder by themselves.
fn relative(name: &str) -> Result<&Path> {
    let path = Path::new(name);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || name.contains('\0') || !plain {
        bail!("database name {name:?} must be a relative path inside the database folder");
    }
    Ok(path)
}

/// A file's real path, which must be in the folder `within`. A script keeps its name: its ending says what it is.
pub fn resolved(file: &Path, within: Option<&Path>) -> Result<PathBuf> {
    let real = |path: &Path| {
        path.canonicalize()
            .with_context(|| format!("cannot resolve {}", path.display()))
    };
    let mut found = real(file)?;
    if let Some(folder) = within
        && !found.starts_with(real(folder)?)
    {
        bail!(
            "{} leads out of the folder {} (--follow-links allows it)",
            file.display(),
            folder.display()
        );
    }
    if file.extension().is_some_and(|ending| ending == SCRIPT) {
        let parent = real(file.parent().unwrap_or(Path::new("")))?;
        found = parent.join(file.file_name().unwrap_or_default());
    }
    // Its name goes to and from scoring processes as JSON.
    if found.to_str().is_none() {
        bail!("{}: the path is not UTF-8", found.display());
    }
    Ok(found)
}

/// The databases of a folder: `own` first, the others by name.
fn suite_of(suite: &Path, own: &Path, within: Option<&Path>) -> Result<Vec<PathBuf>> {
    let list = || format!("cannot read {}", suite.display());
    let mut files = vec![own.to_owned()];
    for entry in fs::read_dir(suite).with_context(list)? {
        let file = entry.with_context(list)?.path();
        let ending = file.extension().and_then(|ending| ending.to_str());
        let fits = ending.is_some_and(|ending| EXTENSIONS.contains(&ending)) && file.is_file();
        if fits && file != own && !is_apple_double(&file) {
            files.push(file);
        }
    }
    files[1..].sort();
    files.iter().map(|file| resolved(file, within)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        folder
    }

    fn found(files: &[&str], name: &str) -> Result<Vec<PathBuf>> {
        let folder = folder(files);
        let real = folder.path().canonicalize()?;
        let found = locate(folder.path(), name, false)?.into_iter();
        Ok(found
            .map(|f| f.strip_prefix(&real).unwrap().to_owned())
            .collect())
    }

    #[test]
    fn a_name_is_a_file_a_script_or_a_suite() {
        for (files, name, expected) in [
            (&["x.db", "x.sql"][..], "x.db", &["x.db"][..]),
            (&["x.sql"], "x.db", &["x.sql"]),
            (&["x.sql"], "x", &["x.sql"]),
            (&["x.sqlite", "x.sql"], "x", &["x.sqlite"]),
            (&["v1.2.sqlite"], "v1.2", &["v1.2.sqlite"]),
            (&["v1.sql", "v1.2.sql"], "v1.2", &["v1.2.sql"]),
            (
                &["x/x.sqlite", "x/._x.sqlite", "x/._a.db"],
                "x",
                &["x/x.sqlite"],
            ),
            (&["v1.2/v1.2.db"], "v1.2", &["v1.2/v1.2.db"]),
            (&["x/x.sqlite"], "x", &["x/x.sqlite"]),
            (&["database/x/x.sqlite"], "x", &["database/x/x.sqlite"]),
            (
                &["x/b.sqlite", "x/x.sqlite", "x/a.sqlite", "x/readme.txt"],
                "x",
                &["x/x.sqlite", "x/a.sqlite", "x/b.sqlite"],
            ),
        ] {
            let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(found(files, name).unwrap(), expected, "{files:?} {name}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = |files: &[&str], name| found(files, name).unwrap_err().to_string();
        assert!(error(&[], "none.db").contains("none.db not found, nor"));
        assert!(error(&["x/a.sqlite"], "x").contains("no database of its own name"));
        assert!(error(&["v1.sql", "v1.db"], "v1.2").contains("v1.2 not found, nor"));
        for files in [
            ["x.sqlite", "x.db"],
            ["x/x.db", "x/x.sqlite3"],
            ["x.db", "x/x.sqlite"],
        ] {
            let error = error(&files, "x");
            assert!(
                error.contains("database x is ambiguous") && error.contains("x.db"),
                "{error}"
            );
        }
        for name in [
            "",
            "/etc/passwd",
            "../x.db",
            "a/../../x.db",
            "./x.db",
            "a\0b",
        ] {
            let error = error(&[], name);
            assert!(error.contains("must be a relative path"), "{name}: {error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_must_stay_inside_the_folder() {
        let outside = folder(&["x.sql", "y.sqlite"]);
        let folder = folder(&["y/readme"]);
        let link = |name: &str, to: &str| {
            std::os::unix::fs::symlink(outside.path().join(to), folder.path().join(name)).unwrap();
        };
        link("x.sql", "x.sql");
        link("y/y.sqlite", "y.sqlite");
        link("z", "");
        for name in ["x.db", "y", "z/x.sql"] {
            let error = format!("{:#}", locate(folder.path(), name, false).unwrap_err());
            assert!(error.contains("leads out of the folder"), "{error}");
            assert_eq!(locate(folder.path(), name, true).unwrap().len(), 1);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_hubs_cache_is_followed_on_request() {
        let folder = folder(&["blobs/1f", "blobs/2e", "set/readme"]);
        for (name, blob) in [("a.sqlite", "1f"), ("b.sql", "2e")] {
            let to = Path::new("../blobs").join(blob);
            std::os::unix::fs::symlink(to, folder.path().join("set").join(name)).unwrap();
        }
        let set = folder.path().join("set");
        assert!(locate(&set, "a", false).is_err());
        assert!(locate(&set, "a", true).unwrap()[0].ends_with("blobs/1f"));
        assert!(locate(&set, "b", true).unwrap()[0].ends_with("set/b.sql"));
    }
}
