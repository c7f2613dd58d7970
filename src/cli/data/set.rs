//! Sets on the disk.

use crate::cli::say;
use crate::data::set::{MANIFEST, Set};
use crate::run::files::{check_writable, write_atomic};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Errors, before long work, where the set's folder could not be written.
pub fn check(out: &Path) -> Result<()> {
    check_writable(&out.join(MANIFEST))
}

/// Writes a set; its manifest last, so that a folder with one is whole.
pub fn write(out: &Path, set: &Set) -> Result<()> {
    let manifest = out.join(MANIFEST);
    if manifest.exists() {
        fs::remove_file(&manifest)
            .with_context(|| format!("cannot write {}", manifest.display()))?;
    }
    let (last, files): (Vec<_>, Vec<_>) = set.files.iter().partition(|(name, _)| *name == MANIFEST);
    for (name, content) in files.into_iter().chain(last) {
        write_atomic(&out.join(name), content)?;
    }
    say(&set.summary)?;
    say(format_args!("wrote {}", out.display()))
}
