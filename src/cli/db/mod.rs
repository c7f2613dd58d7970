//! `factory db`: connections, looked at and asked.

pub mod connection;
mod list;
mod notes;
mod query;
mod schema;
mod test;
pub mod worker;

use anyhow::Result;

/// Look at databases: their schemas, what queries return, what their SQL is like.
///
/// A NAME is a connection of `connections.toml` or of the environment variable DB_URL, a database file (.sqlite, .db, .duckdb, or .sql for a
/// script that makes one), or a URL such as duckdb:///shop.duckdb. Queries only read, each in a process of its own.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connections: connection::ConnectionsArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Test(test::Args),
    Schema(schema::Args),
    Query(query::Args),
    Notes(notes::Args),
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    let connections = &args.connections;
    match args.command {
        Command::List(args) => list::run(&args, connections),
        Command::Test(args) => test::run(&args, connections),
        Command::Schema(args) => schema::run(&args, connections),
        Command::Query(args) => query::run(&args, connections),
        Command::Notes(args) => notes::run(&args, connections),
    }
}
