//! Whole files or nothing: content is written beside its target and renamed into place.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes `content` to `path`: parent folders are made, and a reader sees the old file or the new one, never a part.
///
/// Errors name `path`; after one, `path` is as it was and no temporary file is left.
pub fn write_atomic(path: &Path, content: &[u8]) -> Result<()> {
    write_by(path, |file| Ok(file.write_all(content)?))
}

/// [`write_atomic`] for content that is made as it is written.
pub fn write_by(path: &Path, content: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    if is_device(path) {
        let device = OpenOptions::new().write(true).open(path);
        return write_through(device.with_context(cannot)?, content)
            .map(drop)
            .with_context(cannot);
    }
    let folder = folder_of(path);
    fs::create_dir_all(folder).with_context(|| {
        format!(
            "cannot write {}: cannot make folder {}",
            path.display(),
            folder.display()
        )
    })?;
    let temporary = temporary_beside(path)?;
    let written =
        write_synced(&temporary, content).and_then(|()| Ok(fs::rename(&temporary, path)?));
    if written.is_err() {
        // The first error is the one to report; the file may not exist at all.
        let _ = fs::remove_file(&temporary);
    }
    written.with_context(cannot)
}

/// JSON to read, ended by a line feed.
pub fn json(content: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(content)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Finds out, before long work, whether [`write_atomic`] could write `path`. Leaves nothing behind.
pub fn check_writable(path: &Path) -> Result<()> {
    if path.is_dir() {
        bail!("cannot write {}: it is a folder", path.display());
    }
    if is_device(path) {
        return Ok(());
    }
    let mut folder = folder_of(path);
    while !folder.exists() {
        folder = folder_of(folder);
    }
    let probe = temporary_beside(&folder.join("probe"))?;
    write_synced(&probe, |_| Ok(()))
        .and_then(|()| Ok(fs::remove_file(&probe)?))
        .with_context(|| {
            format!(
                "cannot write {}: folder {} is not writable",
                path.display(),
                folder.display()
            )
        })
}

/// Errors where an output is the same file as an input or as another output, however each is spelled.
pub fn check_apart<'a>(
    inputs: impl IntoIterator<Item = &'a Path>,
    outputs: impl IntoIterator<Item = &'a Path>,
) -> Result<()> {
    let mut seen: BTreeSet<PathBuf> = inputs.into_iter().map(real).collect();
    for output in outputs {
        if !is_device(output) && !seen.insert(real(output)) {
            bail!("{} is named twice: give another file", output.display());
        }
    }
    Ok(())
}

/// One spelling a file, also for one that does not exist yet: its nearest folder that exists is resolved.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match path.file_name() {
        Some(name) => real(folder_of(path)).join(name),
        None => path.to_owned(),
    }
}

/// Where the work on an output lies until it is whole.
pub fn partial(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Something that cannot be replaced by a file, such as `/dev/stdout`.
pub fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir())
}

/// The folder a path lies in; a bare file name lies in the current one.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A name in the same folder (so in the same file system) that no other call of any process uses.
fn temporary_beside(path: &Path) -> Result<PathBuf> {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        bail!("cannot write {}: it has no file name", path.display());
    };
    let mut hidden = OsString::from(".");
    hidden.push(name);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    hidden.push(format!(".{}-{call}.tmp", std::process::id()));
    Ok(path.with_file_name(hidden))
}

fn write_synced(path: &Path, content: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    Ok(write_through(file, content)?.sync_all()?)
}

fn write_through(file: File, content: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<File> {
    let mut buffered = BufWriter::new(file);
    content(&mut buffered)?;
    Ok(buffered.into_inner().map_err(|error| error.into_error())?)
}

/// Opens `path`, made if need be, and holds its lock until the file is closed. None where another process holds it.
pub fn try_lock(path: &Path) -> std::io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// `path` without its detours, `a/../b` as `b`, where that leads to the same file.
pub fn direct(path: &Path) -> PathBuf {
    let mut direct = PathBuf::new();
    for part in path.components() {
        match (part, direct.components().next_back()) {
            (Component::ParentDir, Some(Component::Normal(_))) => drop(direct.pop()),
            (Component::CurDir, _) => {}
            (part, _) => direct.push(part),
        }
    }
    // Behind a link `..` leads elsewhere.
    match (fs::canonicalize(&direct), fs::canonicalize(path)) {
        (Ok(here), Ok(there)) if here == there => direct,
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn writes_into_new_folders_and_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/rows.jsonl");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(path.parent().unwrap()), ["rows.jsonl"]);
    }

    #[test]
    fn a_failed_rename_names_the_path_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir_all(path.join("child")).unwrap();
        let error = format!("{:#}", write_atomic(&path, b"x").unwrap_err());
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[cfg(unix)]
    #[test]
    fn the_same_file_is_seen_however_it_is_spelled() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("sub")).unwrap();
        std::os::unix::fs::symlink(path("sub"), path("link")).unwrap();
        let apart = |a: &str, b: &str| check_apart([], [path(a).as_path(), &path(b)]).is_ok();
        assert!(!apart("sub/new", "link/new"));
        assert!(!apart("sub/new", "sub/../sub/new"));
        assert!(!apart("none/new", "./none/new"));
        assert!(apart("sub/new", "sub/other"));
        let device = Path::new("/dev/null");
        assert!(check_apart([], [device, device]).is_ok());
        assert!(check_apart([path("x").as_path()], [path("x").as_path()]).is_err());
    }

    #[test]
    fn check_writable_sees_a_file_used_as_a_folder_and_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), b"").unwrap();
        assert!(check_writable(&folder.path().join("file/rows.jsonl")).is_err());
        assert!(check_writable(folder.path()).is_err());
        check_writable(&folder.path().join("new/rows.jsonl")).unwrap();
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn detours_are_left_out_where_they_lead_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        fs::write(path("x"), "").unwrap();
        assert_eq!(direct(&path("a/b/../../x")), path("x"));
        assert_eq!(direct(&path("./a/./b")), path("a/b"));
        for same in ["none/../x", "a/b/../y"].map(path) {
            assert_eq!(direct(&same), same);
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path("a/b"), path("link")).unwrap();
            fs::write(path("a/x"), "").unwrap();
            assert_eq!(direct(&path("link/../x")), path("link/../x"));
        }
    }
}
