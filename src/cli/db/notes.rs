//! `factory db notes`

use super::connection::ConnectionsArgs;
use crate::cli::{UsageError, say};
use crate::db::notes::Dialect;
use anyhow::Result;

/// What a writer of queries must know of a dialect, as Markdown.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Connection, database file or URL; or a dialect: sqlite, duckdb, postgres, mysql, snowflake, bigquery, clickhouse, tsql.
    name: String,
}

pub fn run(args: &Args, connections: &ConnectionsArgs) -> Result<()> {
    let connections = connections.read()?;
    let configured = connections.all().any(|one| one.name == args.name);
    let dialect = match Dialect::named(&args.name) {
        Some(dialect) if !configured => dialect,
        _ => {
            let connection = connections.get(&args.name)?;
            connection.dialect().map_err(UsageError::of)?
        }
    };
    say(dialect.notes().trim_end())
}
