//! What a builder makes: the files of a set, and what their manifests have in common.

use crate::run::words::hex;
use anyhow::Result;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The manifest's name.
pub const MANIFEST: &str = "manifest.json";

/// A set that is to be written.
#[derive(Debug)]
pub struct Set {
    /// Content by path in the set's folder.
    pub files: BTreeMap<String, Vec<u8>>,
    /// One line about it.
    pub summary: String,
}

impl Set {
    /// Puts the manifest beside the files.
    pub fn new(
        mut files: BTreeMap<String, Vec<u8>>,
        manifest: &impl Serialize,
        summary: String,
    ) -> Result<Self> {
        let mut content = serde_json::to_vec_pretty(manifest)?;
        content.push(b'\n');
        files.insert(MANIFEST.to_owned(), content);
        Ok(Self { files, summary })
    }
}

/// The SHA-256 of a content, in hexadecimal.
pub fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// The same of several files, by their names.
pub fn hashes(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    files
        .iter()
        .map(|(name, content)| (name.clone(), sha256(content)))
        .collect()
}

/// How often each name is there.
pub fn tally<T: Ord>(names: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// A number that depends on nothing but the seed and the parts. Choices are ordered by it, so that a row more moves no other row,
/// and no random generator's version can.
pub fn rank(seed: u64, parts: &[&str]) -> u64 {
    let digest = Sha256::digest(format!("{seed}\0{}", parts.join("\0")));
    let first = digest.iter().take(8);
    first.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Lower case and single spaces: what makes two texts the same here.
pub fn flat(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}
