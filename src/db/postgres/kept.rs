//! A connection that stays for many queries, so that each costs a millisecond and not a connection. Each runs in a transaction of its
//! own, as over a connection of its own; nothing of it is left for the next.

use super::message;
use super::schema;
use super::server::{Server, Timeouts};
use super::session::{Call, Session};
use super::statement;
use crate::db::answer::{Answer, Bounds, Column};
use crate::db::schema::Table;
use crate::sql::error::SqlError;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// A database of a server, for one process that is patient with it.
pub struct Kept {
    server: Arc<Server>,
    /// Ends after the session, which is of it.
    session: Option<Session>,
    runtime: Runtime,
}

impl Kept {
    /// Reads a URL as [`super::Connection::new`] does. Nobody is connected to yet.
    pub fn new(url: &str, timeouts: Timeouts) -> Result<Self, SqlError> {
        let server = Arc::new(Server::new(url, timeouts)?);
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| server.error(&message::line(&error.to_string())))?;
        Ok(Self {
            server,
            session: None,
            runtime,
        })
    }

    /// The rows of one query in a schema (empty: those that the role looks into), which may take `time`; it is late after that.
    pub fn run(
        &mut self,
        schema: &str,
        sql: &str,
        bounds: Bounds,
        time: Duration,
    ) -> Result<Answer, SqlError> {
        self.with(schema, time, async |session| {
            statement::answer(session, sql, bounds).await
        })
    }

    /// The columns that a query would give. It is not run.
    pub fn prepare(&mut self, schema: &str, sql: &str) -> Result<Vec<Column>, SqlError> {
        let time = self.server.timeouts.call;
        self.with(schema, time, async |session| {
            statement::columns(session, sql).await
        })
    }

    /// The tables and views that queries in a schema may name as they are.
    pub fn tables(&mut self, schema: &str) -> Result<Vec<Table>, SqlError> {
        let time = self.server.timeouts.call;
        self.with(schema, time, async |session| schema::visible(session).await)
    }

    fn with<T>(
        &mut self,
        schema: &str,
        time: Duration,
        work: impl AsyncFnOnce(&Session) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let call = Call { schema, time };
        let (server, kept) = (self.server.clone(), self.session.take());
        let (result, session) = self.runtime.block_on(async {
            let begun = match kept {
                Some(session) => session.again(call).await,
                None => Session::open(server, call).await,
            };
            let session = match begun {
                Ok(session) => session,
                Err(error) => return (Err(error), None),
            };
            let result = match work(&session).await {
                Err(_) if session.is_late() => Err(SqlError::Timeout(time.as_millis() as u64)),
                result => result,
            };
            match &result {
                Ok(_) | Err(SqlError::Sql(_) | SqlError::Refused(_)) => {
                    (result, session.clean().await)
                }
                // Rows may still be coming, or nothing any more.
                Err(_) => {
                    session.close().await;
                    (result, None)
                }
            }
        });
        self.session = session;
        result
    }
}
