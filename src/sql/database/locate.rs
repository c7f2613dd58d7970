//! Finds a row's databases inside the database folder.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// What database files are called.
const EXTENSIONS: [&str; 3] = ["sqlite", "db", "sqlite3"];

/// The files of database `name` in `folder`; the first is the database itself, others are of its test suite.
///
/// `name` is a file, or lacks its extension; or stands for `NAME.sql`, from which it is built; or is a folder (also inside
/// `database/`, as Spider has it) with `NAME.sqlite` and the other databases of a test suite.
pub fn locate(folder: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let plain = folder.join(relative(name)?);
    let with = |extension: &str| {
        let mut file = plain.clone().into_os_string();
        file.push(".");
        file.push(extension);
        PathBuf::from(file)
    };
    let mut files = vec![plain.clone()];
    files.extend(EXTENSIONS.map(with));
    files.push(plain.with_extension("sql"));
    files.push(with("sql"));
    if let Some(file) = files.iter().find(|file| file.is_file()) {
        return Ok(vec![contained(folder, file)?]);
    }
    let folders = [plain.clone(), folder.join("database").join(name)];
    match folders.iter().find(|folder| folder.is_dir()) {
        Some(suite) => suite_of(folder, suite),
        None => bail!(
            "database {} not found, nor {} to build it from (see --db-dir)",
            plain.display(),
            plain.with_extension("sql").display()
        ),
    }
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

/// Rejects links that point out of the folder.
fn contained(folder: &Path, file: &Path) -> Result<PathBuf> {
    let real = file
        .canonicalize()
        .with_context(|| format!("cannot resolve {}", file.display()))?;
    let folder = folder
        .canonicalize()
        .with_context(|| format!("cannot resolve {}", folder.display()))?;
    if !real.starts_with(&folder) {
        bail!(
            "{} leads out of the database folder {}",
            file.display(),
            folder.display()
        );
    }
    // Its name goes to and from scoring processes as JSON.
    if real.to_str().is_none() {
        bail!("{}: the path is not UTF-8", real.display());
    }
    Ok(real)
}

/// The databases of a folder: the one with the folder's name first, the others by name.
fn suite_of(folder: &Path, suite: &Path) -> Result<Vec<PathBuf>> {
    let list = || format!("cannot read {}", suite.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(suite).with_context(list)? {
        let file = entry.with_context(list)?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) && file.is_file() {
            files.push(contained(folder, &file)?);
        }
    }
    files.sort_by_key(|file| (file.file_stem() != suite.file_name(), file.clone()));
    match files.first() {
        Some(own) if own.file_stem() == suite.file_name() => Ok(files),
        _ => bail!(
            "{} has no database of its own name, such as {}.sqlite",
            suite.display(),
            suite.file_name().unwrap_or_default().display()
        ),
    }
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
        let found = locate(folder.path(), name)?.into_iter();
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
            let error = format!("{:#}", locate(folder.path(), name).unwrap_err());
            assert!(
                error.contains("leads out of the database folder"),
                "{error}"
            );
        }
    }
}
