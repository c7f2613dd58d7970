//! `factory db list`

use super::connection::ConnectionsArgs;
use crate::cli::{plain, say};
use crate::db::connections::{Connection, Place};
use crate::db::registry::Kind;
use anyhow::Result;
use serde_json::{Value, json};

/// The configured connections: driver, dialect, where they lead. Nothing is opened, and no password shown.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON, a line each.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, connections: &ConnectionsArgs) -> Result<()> {
    let connections = connections.read()?;
    if connections.all().next().is_none() && !args.json {
        return say("no connections: write connections.toml, or set DB_URL");
    }
    for connection in connections.all() {
        let told = told(connection);
        if args.json {
            say(&told)?;
            continue;
        }
        let words = ["name", "driver", "dialect", "place"].map(|field| match &told[field] {
            Value::String(text) => plain(text),
            _ => "-".to_owned(),
        });
        say(words.join("  "))?;
    }
    Ok(())
}

fn told(connection: &Connection) -> Value {
    let dialect = match connection.driver.kind() {
        Kind::Warehouse(dialect) => Some(dialect.id()),
        Kind::Context => None,
    };
    let place = match &connection.place {
        Place::Unknown(reason) => Some(reason.clone()),
        place => place.shown(),
    };
    json!({"name": connection.name, "driver": connection.driver.id(), "dialect": dialect, "place": place})
}
