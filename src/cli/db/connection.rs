//! Which connections there are, and the door to them.

use super::worker;
use crate::db::connections::Connections;
use crate::db::door::{Door, Limits};
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

/// Where connections are configured.
#[derive(Debug, Clone, Default, clap::Args, Serialize)]
pub struct ConnectionsArgs {
    /// File of connections [default: connections.toml, where it is there].
    #[arg(long, global = true, value_name = "FILE")]
    connections: Option<PathBuf>,
}

impl ConnectionsArgs {
    /// Reads them.
    pub fn read(&self) -> Result<Connections> {
        Connections::read(self.connections.as_deref())
    }
}

/// The door to databases, with these limits.
pub fn door(limits: Limits) -> Result<Door> {
    Ok(Door::new(worker::command()?.into(), limits))
}
