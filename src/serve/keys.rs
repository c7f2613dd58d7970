//! The keys that callers may have.

use crate::run::usage::UsageError;
use anyhow::{Context, Result};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;

/// Their digests: how long a comparison takes then says nothing of a key.
pub struct Keys(BTreeSet<[u8; 32]>);

impl Keys {
    /// Those of a file, one a line. Errors where others than its owner can read it, or it has none.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(path)?.permissions().mode();
            if mode & 0o077 != 0 {
                let message = format!("{shown}: others can read these keys: chmod 600 {shown}");
                return Err(UsageError(message).into());
            }
        }
        let keys = text.lines().map(str::trim).filter(|key| !key.is_empty());
        let keys: BTreeSet<[u8; 32]> = keys.map(|key| Sha256::digest(key).into()).collect();
        match keys.is_empty() {
            true => Err(UsageError(format!("{shown}: no key in it, one a line")).into()),
            false => Ok(Self(keys)),
        }
    }

    /// Whether a request has one of them: `Authorization: Bearer KEY`.
    pub fn opens(&self, headers: &HeaderMap) -> bool {
        let header = headers.get(AUTHORIZATION);
        let text = header.and_then(|header| header.to_str().ok());
        let key = text.and_then(|text| {
            let (scheme, key) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key)
        });
        key.is_some_and(|key| {
            self.0
                .contains(&<[u8; 32]>::from(Sha256::digest(key.trim())))
        })
    }
}
