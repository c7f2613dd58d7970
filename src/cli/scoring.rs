//! The flags of commands that judge what a model draws, on the databases of the rows.

use super::data::databases::at;
use super::home::{ConnectionArgs, check_reached};
use super::rules::RulesArgs;
use crate::db::home::Home;
use crate::db::sqlite::Now;
use crate::eval::databases::Databases;
use crate::run::usage::UsageError;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// The flags.
#[derive(Debug, clap::Args, Serialize)]
pub struct ScoringArgs {
    /// Folder of the databases that rows name (db or db_id), as eval-sql has it.
    #[arg(long, value_name = "DIR", group = "databases")]
    pub db_dir: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub connection: ConnectionArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub rules: RulesArgs,
    /// Processor time that a query may use, in milliseconds.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub timeout_ms: u64,
    /// The time of day that all queries see, such as 2026-01-02T03:04:05Z, to repeat a run [default: when it begins].
    #[arg(long, value_name = "TIME", value_parser = |text: &str| text.parse::<Now>())]
    pub now: Option<Now>,
    /// Leave out rows whose reference query fails, and count them.
    #[arg(long)]
    pub keep_going: bool,
}

impl ScoringArgs {
    /// Refuses flags that do not say where queries run.
    pub fn check(&self) -> Result<()> {
        let given = self.db_dir.is_some() || self.connection.is_given();
        let message = "answers are judged by what they return: give --db-dir or --connection";
        ensure!(given, UsageError(message.to_owned()));
        Ok(())
    }

    /// Where queries run.
    pub fn databases(&self) -> Result<Databases> {
        self.check()?;
        let folder = self.db_dir.clone().map(Home::Folder);
        let home = match folder {
            Some(folder) => folder,
            None => self.connection.get()?.context("a connection was given")?,
        };
        check_reached(&home)?;
        let timeout = Duration::from_millis(self.timeout_ms);
        at(home, timeout, self.rules.get())
    }

    /// From now on the time of day is one, which settings say too.
    pub fn settle(&mut self) {
        self.now = Some(self.now());
    }

    /// These flags as the settings of a run have them. Where it `measures` adapters, it says itself how answers are read.
    pub fn said(&self, measures: bool) -> Result<toml::Table> {
        let mut said = toml::Table::try_from(self)?;
        if measures {
            said.retain(|flag, _| !["extract", "follow_links"].contains(&flag));
        }
        Ok(said)
    }

    /// The time of day that all queries see.
    pub fn now(&self) -> Now {
        self.now.unwrap_or_else(Now::current)
    }
}
