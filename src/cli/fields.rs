//! `--field FIELD=COLUMN`, of every command that reads what rows mean.

use super::{UsageError, heading};
use crate::data::record::Columns;
use anyhow::Result;
use serde::Serialize;

/// The flag.
#[derive(Clone, Debug, Default, clap::Args, Serialize)]
pub struct FieldArgs {
    /// Read a field from a column of another name, as prompt=question or response=sql (repeatable).
    #[arg(help_heading = heading::DATA, long = "field", value_name = "FIELD=COLUMN")]
    #[serde(rename = "field", skip_serializing_if = "Vec::is_empty")]
    given: Vec<String>,
}

impl FieldArgs {
    /// The columns that are meant.
    pub fn columns(&self) -> Result<Columns> {
        Columns::parse(&self.given).map_err(UsageError::of)
    }

    /// The words of a command line that say the same.
    pub fn flags(&self) -> Vec<String> {
        let flags = self.given.iter();
        flags
            .flat_map(|given| ["--field".to_owned(), given.clone()])
            .collect()
    }
}
