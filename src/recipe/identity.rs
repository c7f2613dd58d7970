//! What makes a run the same run: its name and what it is made of, known before any of it is made.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The file, written when a run begins.
pub const FILE: &str = "identity.json";

/// `identity.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The run's name in the recipe.
    pub name: String,
    /// The keys of its stages, and of whatever else decides it: a run with the same ones is the same run.
    pub keys: BTreeSet<String>,
}

/// Whether a run can begin there: nothing is there, or what a beginning left that was interrupted.
pub fn is_free(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else {
        return !folder.exists();
    };
    entries.flatten().all(|entry| {
        let name = entry.file_name();
        // A file that was being written begins with a dot too.
        name == FILE || name.to_string_lossy().starts_with('.')
    })
}

/// A run's id: the name of its folder.
pub fn run_id(folder: &Path) -> Result<String> {
    let name = folder.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned)
        .with_context(|| format!("{} is no name of a run", folder.display()))
}
