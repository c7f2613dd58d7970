//! The flags of commands that may score or choose on one connection instead of a folder of databases.

use super::db::connection::{ConnectionsArgs, door};
use crate::db::connections::Place;
use crate::db::door::Limits;
use crate::db::home::Home;
use anyhow::Result;
use serde::Serialize;

/// A connection, where one is named.
#[derive(Debug, Clone, Default, clap::Args, Serialize)]
#[command(mut_arg("connections", |arg| arg.requires("connection")))]
pub struct ConnectionArgs {
    /// One database for all rows, in place of a folder: a connection's name, a database file or a URL. On a server a row's db names a schema;
    /// rows without db run in the schemas that the role looks into by itself.
    #[arg(
        long,
        value_name = "NAME",
        value_parser = without_password,
        group = "databases",
        conflicts_with = "db_dir"
    )]
    connection: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    connections: ConnectionsArgs,
}

/// Refuses a URL with a password: recipes, logs and lists of processes would show it.
pub fn without_password(place: &str) -> Result<String, String> {
    let behind = place.split_once("://").map(|(_, behind)| behind);
    let shows = behind.is_some_and(|behind| {
        let user = behind.rsplit_once('@').map(|(user, _)| user);
        user.is_some_and(|user| user.contains(':')) || behind.contains("password=")
    });
    match shows {
        true => Err("a password would be shown by recipes, logs and lists of processes: name a connection of connections.toml, with password_env".to_owned()),
        false => Ok(place.to_owned()),
    }
}

impl ConnectionArgs {
    /// Where it leads.
    pub fn get(&self) -> Result<Option<Home>> {
        let Some(name) = &self.connection else {
            return Ok(None);
        };
        let connection = self.connections.read()?.get(name)?;
        Ok(Some(Home::Connection(connection)))
    }

    /// Whether one is named.
    pub fn is_given(&self) -> bool {
        self.connection.is_some()
    }
}

/// Errors where a connection is meant to a server that does not answer, before anything is asked of it.
pub fn check_reached(home: &Home) -> Result<()> {
    match home {
        Home::Connection(connection) if !matches!(connection.place, Place::File(_)) => {
            door(Limits::default())?.version(connection)?;
            Ok(())
        }
        _ => Ok(()),
    }
}
