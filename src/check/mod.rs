//! What is wrong with a data set, before anything is learned from it or measured on it.

pub mod allowed;
pub mod config;
pub mod finding;
mod lengths;
mod near;
mod overlap;
mod page;
pub mod picture;
mod references;
mod repeats;
pub mod report;
mod rows;
mod secrets;

use crate::run::observer::Observer;
use anyhow::Result;
use config::Config;
use report::Report;
use rows::Side;

/// Looks at all rows. Errors where a file, the base or the databases cannot be read; what is wrong with rows is in the report.
pub fn check(config: &Config, observer: &dyn Observer) -> Result<Report> {
    let mut findings = Vec::new();
    let set = rows::read(config, &mut findings)?;
    let mut report = Report::new(&set);
    repeats::find(&set.rows, &mut findings);
    if set.has(Side::Heldout) {
        overlap::find(&set.rows, config.near, &mut findings, &mut report);
    }
    if let Some(tokens) = &config.tokens {
        report.tokens = lengths::find(&set.rows, tokens, &mut findings, observer)?;
    }
    if let Some(databases) = &config.databases {
        references::find(&set.rows, databases, &mut findings, &mut report)?;
    }
    report.end(findings, &config.allowed);
    Ok(report)
}
