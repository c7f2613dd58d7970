//! The flags of commands that may score or choose on one connection instead of a folder of databases.

use super::db::connection::{ConnectionsArgs, door};
use crate::db::connections::Place;
use crate::db::door::Limits;
use crate::db::home::Home;
use anyhow::Result;

/// A connection, where one is named.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConnectionArgs {
    /// One database for all rows, in place of a folder: a connection's name, a database file or a URL. On a server a row's db names a schema;
    /// rows without db run in the schemas that the role looks into by itself.
    #[arg(
        long,
        value_name = "NAME",
        group = "databases",
        conflicts_with = "db_dir"
    )]
    connection: Option<String>,
    #[command(flatten)]
    connections: ConnectionsArgs,
}

impl ConnectionArgs {
    /// Where it leads. Errors where nothing answers there.
    pub fn get(&self) -> Result<Option<Home>> {
        let Some(name) = &self.connection else {
            return Ok(None);
        };
        let connection = self.connections.read()?.get(name)?;
        if !matches!(connection.place, Place::File(_)) {
            door(Limits::default())?.version(&connection)?;
        }
        Ok(Some(Home::Connection(connection)))
    }

    /// Whether one is named.
    pub fn is_given(&self) -> bool {
        self.connection.is_some()
    }
}
