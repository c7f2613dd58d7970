//! What tools work with.

use super::specialist::Specialist;
use crate::db::connections::{Connection, Connections, DEFAULT};
use crate::db::door::{Door, Limits};
use crate::eval::stop::Stop;
use crate::run::words::duration;
use anyhow::{Result, bail, ensure};
use std::time::{Duration, Instant};

/// The server's own.
pub struct Desk {
    pub connections: Connections,
    pub door: Door,
    pub specialist: Option<Specialist>,
}

/// One call's.
pub struct Call<'d> {
    pub desk: &'d Desk,
    /// Whether its caller still waits.
    pub stop: Stop,
    door: Door,
    begun: Instant,
}

impl<'d> Call<'d> {
    /// A call that begins now.
    pub fn new(desk: &'d Desk, stop: Stop) -> Self {
        let stops = stop.clone();
        Self {
            desk,
            stop,
            door: desk.door.until(move || stops.stops()),
            begun: Instant::now(),
        }
    }

    /// A configured connection. A file or a URL is none: which databases are served is for who started the server.
    /// Errors where it runs no SQL.
    pub fn connection(&self, id: &str) -> Result<&'d Connection> {
        let connection = self.desk.connections.configured(id)?;
        connection.dialect()?;
        Ok(connection)
    }

    /// The one that tools mean which name none: `default`, or the only one.
    pub fn own(&self) -> Result<&'d Connection> {
        let connections = &self.desk.connections;
        let mut all = connections.all();
        match (connections.configured(DEFAULT), all.next(), all.next()) {
            (Ok(one), ..) | (_, Some(one), None) => Ok(one),
            (Err(error), None, _) => Err(error),
            (_, Some(_), Some(_)) => {
                let names: Vec<&str> = connections.all().map(|one| one.name.as_str()).collect();
                bail!(
                    "this tool asks the connection called {DEFAULT}, and there is none among {}: use sql_execution, which takes a connectionId",
                    names.join(", ")
                )
            }
        }
    }

    /// The door, open as long as the call has time left. Errors where it has none.
    pub fn door(&self) -> Result<Door> {
        let left = self.left();
        let all = self.door.limits.timeout;
        ensure!(!left.is_zero(), "exceeded {}", duration(all));
        Ok(self.door.within(Limits {
            timeout: left,
            ..self.door.limits
        }))
    }

    /// The time that it has left.
    pub fn left(&self) -> Duration {
        let limit = self.door.limits.timeout;
        limit.saturating_sub(self.begun.elapsed())
    }
}
