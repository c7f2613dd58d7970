//! The flags of commands that may run the queries of rows.

use crate::cli::home::ConnectionArgs;
use crate::cli::sql_worker;
use crate::db::home::Home;
use crate::eval::databases::Databases;
use crate::eval::session::Rules;
use anyhow::Result;
use std::path::PathBuf;
use std::time::Duration;

/// Where the databases are; without a folder no query is run.
#[derive(Debug, clap::Args)]
pub struct DatabaseArgs {
    /// Folder of the databases that rows name (db or db_id), to run their queries [default: queries are not run].
    #[arg(long, value_name = "DIR", group = "databases")]
    db_dir: Option<PathBuf>,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Let links in the database folder lead out of it, as a hub's cache has them.
    #[arg(long, requires = "db_dir")]
    follow_links: bool,
    /// Processor time that a query may use, in milliseconds.
    #[arg(long, requires = "databases", value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    timeout_ms: u64,
}

impl DatabaseArgs {
    /// What they say.
    pub fn get(&self) -> Result<Option<Databases>> {
        let home = match &self.db_dir {
            Some(folder) => Some(Home::Folder(folder.clone())),
            None => self.connection.get()?,
        };
        let Some(home) = home else {
            return Ok(None);
        };
        let rules = Rules {
            follow_links: self.follow_links,
            ..Rules::default()
        };
        let timeout = Duration::from_millis(self.timeout_ms);
        at(home, timeout, rules).map(Some)
    }
}

/// The databases of a home, each query in a process of its own, one a core.
pub fn at(home: Home, timeout: Duration, rules: Rules) -> Result<Databases> {
    let worker = sql_worker::command()?.into();
    Ok(Databases::new(home, worker, timeout, rules))
}
