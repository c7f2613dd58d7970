//! Times as run folders have them.

use anyhow::{Context, Result};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The present second, as RFC 3339 writes it.
pub fn now() -> String {
    crate::db::sqlite::Now::current().to_string()
}

/// How long ago a time was.
pub fn age(time: &str) -> Result<time::Duration> {
    let then = OffsetDateTime::parse(time, &Rfc3339)
        .with_context(|| format!("{time:?} is no time such as 2026-01-02T03:04:05Z"))?;
    Ok(OffsetDateTime::now_utc() - then)
}
