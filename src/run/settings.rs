//! TOML files that people write; an error is one line that begins with the file and the line in it.

use anyhow::{Context, Result, anyhow};
use serde::de::DeserializeOwned;
use std::fs;
use std::path::Path;

/// Reads such a file.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    parse(path, &text)
}

/// [`read`] of a text that is `path`'s.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start);
        let line = text[..before].matches('\n').count() + 1;
        let message = error.message().replace('\n', "; ");
        anyhow!("{}:{line}: {message}", path.display())
    })
}
