//! The flags that say how an answer is chosen among samples.

use super::data::databases::DatabaseArgs;
use crate::answering::choice::{Config, Select};
use anyhow::Result;

/// The flags.
#[derive(Debug, clap::Args)]
pub struct ChoiceArgs {
    /// Which of the --samples is the answer: the first; the first whose query runs; or one of those, the most of all, whose queries
    /// return the same rows (ties: the likelier ones). Queries run confined, as in eval-sql, on the row's database in --db-dir.
    #[arg(long, value_enum, default_value_t = Config::default().select)]
    select: Select,
    /// With --select executable or vote: put an answer that returns rows before those that return none.
    #[arg(long)]
    prefer_rows: bool,
    /// Write what the samples returned to the field _votes (groups with the same result, and their sizes), and which of them is the
    /// answer and why to _choice.
    #[arg(long = "choice-fields", id = "choice_fields")]
    pub fields: bool,
    /// Ask again for an answer whose query fails, with the query and the database's error in the prompt, up to N times. For adapters that
    /// were trained on rows of `data repair`.
    #[arg(long, value_name = "N", default_value_t = Config::default().repair as u64, value_parser = clap::value_parser!(u64).range(0..=10))]
    repair: u64,
    #[command(flatten)]
    databases: DatabaseArgs,
}

impl ChoiceArgs {
    /// What they say.
    pub fn get(&self) -> Result<Config> {
        Ok(Config {
            select: self.select,
            prefer_rows: self.prefer_rows,
            repair: self.repair as usize,
            databases: self.databases.get()?,
        })
    }
}
