//! Hashes of what stages read. Those of large files are remembered, by what the system says of the file.

use crate::run::files::{folder_of, json, write_atomic};
use crate::run::words::hex;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Bytes from which on a file's hash is remembered.
const LARGE: u64 = 16 << 20;
/// A file that was written just now may be written again without its time showing it.
const SETTLED: Duration = Duration::from_secs(2);
/// Deepest folder that is looked into, which ends circles of links; and most files of one.
const DEPTH: usize = 24;
const FILES: usize = 100_000;

/// A file's or folder's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hashed {
    pub sha256: String,
    /// Lines of a JSONL file that are not empty.
    pub rows: Option<usize>,
}

/// What was hashed before.
pub struct Hashes {
    file: PathBuf,
    /// The folder of runs, which is no input though it lie in one.
    runs: Option<PathBuf>,
    known: BTreeMap<String, Known>,
    changed: bool,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Known {
    size: u64,
    modified: Duration,
    inode: u64,
    hashed: Hashed,
}

impl Hashes {
    /// Those kept beside the stages' folders.
    pub fn open(stages: &Path) -> Self {
        let file = stages.join(".hashes.json");
        let kept = fs::read(&file).ok();
        Self {
            runs: folder_of(stages).canonicalize().ok(),
            // It only saves time: one that cannot be read is made again.
            known: kept
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .unwrap_or_default(),
            file,
            changed: false,
        }
    }

    /// Keeps them, where there is something new; files that are gone are forgotten.
    pub fn save(&mut self) -> Result<()> {
        if self.changed {
            self.known.retain(|path, _| Path::new(path).exists());
            write_atomic(&self.file, &json(&self.known)?)?;
            self.changed = false;
        }
        Ok(())
    }

    /// Of a file, or of a folder: its files by their names, but for hidden ones.
    pub fn of(&mut self, path: &Path) -> Result<Hashed> {
        let cannot = || format!("cannot read {}", path.display());
        let meta = fs::metadata(path).with_context(cannot)?;
        if !meta.is_dir() {
            return self.file(path, &meta).with_context(cannot);
        }
        let mut files = Vec::new();
        self.list(path, Path::new(""), 0, &mut files)
            .with_context(cannot)?;
        let mut hash = Sha256::new();
        for (name, path) in files {
            let meta = fs::metadata(&path)?;
            let hashed = self.file(&path, &meta);
            let hashed = hashed.with_context(|| format!("cannot read {}", path.display()))?;
            hash.update(format!("{}\0{}\n", name.display(), hashed.sha256));
        }
        let sha256 = hex(&hash.finalize());
        Ok(Hashed { sha256, rows: None })
    }

    /// The files under `folder`, sorted, each with its name within.
    fn list(
        &self,
        folder: &Path,
        name: &Path,
        depth: usize,
        files: &mut Vec<(PathBuf, PathBuf)>,
    ) -> Result<()> {
        ensure!(depth < DEPTH, "folders lie too deep in one another");
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name());
        }
        names.sort();
        for file in names {
            let text = file.to_string_lossy();
            // SQLite's shared memory comes and goes with who reads a database.
            if text.starts_with('.') || text.ends_with("-shm") {
                continue;
            }
            let (path, name) = (folder.join(&file), name.join(&file));
            match fs::metadata(&path)?.is_dir() {
                true if path.canonicalize().ok() == self.runs => {}
                true => self.list(&path, &name, depth + 1, files)?,
                false => files.push((name, path)),
            }
            ensure!(files.len() <= FILES, "more than {FILES} files");
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, meta: &Metadata) -> Result<Hashed> {
        ensure!(meta.is_file(), "it is no file");
        if meta.len() < LARGE {
            return read(path);
        }
        // Such as the running program, whose file was replaced.
        let Ok(real) = path.canonicalize() else {
            return read(path);
        };
        let key = real.to_string_lossy().into_owned();
        let state = |meta: &Metadata| {
            let modified = meta.modified().ok();
            let modified = modified.and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
            (meta.len(), modified.unwrap_or_default(), inode(meta))
        };
        let (size, modified, inode) = state(meta);
        if let Some(known) = self.known.get(&key)
            && (known.size, known.modified, known.inode) == (size, modified, inode)
        {
            return Ok(known.hashed.clone());
        }
        let hashed = read(path)?;
        let settled = meta
            .modified()
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > SETTLED));
        if settled && state(&fs::metadata(path)?) == (size, modified, inode) {
            let hashed = hashed.clone();
            let known = Known {
                size,
                modified,
                inode,
                hashed,
            };
            self.known.insert(key, known);
            self.changed = true;
        }
        Ok(hashed)
    }
}

#[cfg(unix)]
fn inode(meta: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

fn read(path: &Path) -> Result<Hashed> {
    let mut file = File::open(path)?;
    let counted = path.extension().is_some_and(|end| end == "jsonl");
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    let (mut rows, mut empty) = (0, true);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        for byte in buffer[..read].iter().filter(|_| counted) {
            match byte {
                b'\n' => {
                    rows += usize::from(!empty);
                    empty = true;
                }
                byte => empty &= byte.is_ascii_whitespace(),
            }
        }
    }
    Ok(Hashed {
        sha256: hex(&hash.finalize()),
        rows: counted.then_some(rows + usize::from(!empty)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_files_and_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir_all(path("in/sub")).unwrap();
        fs::create_dir_all(path("in/runs/stages")).unwrap();
        fs::write(path("in/sub/a.jsonl"), "{}\n\n {} ").unwrap();
        let mut hashes = Hashes::open(&path("in/runs/stages"));
        let first = hashes.of(&path("in")).unwrap();
        // Neither what runs leave nor hidden files are inputs.
        fs::write(path("in/runs/x"), "1").unwrap();
        fs::write(path("in/.x"), "1").unwrap();
        assert_eq!(hashes.of(&path("in")).unwrap(), first);
        fs::rename(path("in/sub/a.jsonl"), path("in/sub/b.jsonl")).unwrap();
        assert_ne!(hashes.of(&path("in")).unwrap(), first);
        assert_eq!(hashes.of(&path("in/sub/b.jsonl")).unwrap().rows, Some(2));
        assert!(hashes.of(&path("none")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_circle_of_links_ends() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("again")).unwrap();
        let error = Hashes::open(Path::new("none/stages"))
            .of(dir.path())
            .unwrap_err();
        assert!(format!("{error:#}").contains("too deep"), "{error:#}");
    }

    #[test]
    fn large_files_are_hashed_once_until_they_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("base.gguf");
        let write = |byte: u8, age: u64| {
            fs::write(&path, vec![byte; LARGE as usize]).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age))
                .unwrap();
        };
        write(1, 60);
        let mut hashes = Hashes::open(dir.path());
        let first = hashes.of(&path).unwrap();
        hashes.save().unwrap();
        let mut again = Hashes::open(dir.path());
        assert_eq!(again.known.len(), 1);
        assert_eq!(again.of(&path).unwrap(), first);
        write(2, 30);
        assert_ne!(again.of(&path).unwrap(), first);
        // What was written just now is not trusted to stay.
        write(3, 0);
        again.of(&path).unwrap();
        write(4, 0);
        let mut fresh = Hashes::open(Path::new("none/stages"));
        assert_eq!(again.of(&path).unwrap(), fresh.of(&path).unwrap());
    }
}
