//! One database of a server, open for reading, and queries of strangers to it.

use super::message;
use super::server::{Server, Timeouts};
use super::session::{Call, Session};
use super::statement;
use crate::db::answer::{Answer, Bounds, Column};
use crate::sql::error::SqlError;
use std::sync::Arc;
use tokio::runtime::Builder;

/// A database of a server. Each call connects anew, so that nothing is left of one when the next begins; it waits for the answer, so
/// it is no call for a thread that an asynchronous runtime works on.
pub struct Connection {
    server: Arc<Server>,
}

impl Connection {
    /// Reads a URL, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, its password in it, or the folder of a server's socket as
    /// `?host=`. Nobody is connected to yet.
    pub fn new(url: &str, timeouts: Timeouts) -> Result<Self, SqlError> {
        let server = Arc::new(Server::new(url, timeouts)?);
        Ok(Self { server })
    }

    /// The server's version, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub fn version(&self) -> Result<String, SqlError> {
        self.with(async |session| {
            const VERSION: &str = "SELECT pg_catalog.current_setting('server_version')";
            let rows = session.catalog(VERSION, &[]).await?;
            let row = rows
                .first()
                .ok_or_else(|| self.server.error("it has no version"))?;
            session.value(row, 0)
        })
    }

    /// The columns that a query would give. It is not run.
    pub fn prepare(&self, sql: &str) -> Result<Vec<Column>, SqlError> {
        self.with(async |session| statement::columns(session, sql).await)
    }

    /// The rows of one query, or its plan for `EXPLAIN`.
    ///
    /// Rows beyond the bounds are not kept, but a row arrives whole before it is measured: what a server may put into one, a
    /// gigabyte, has to fit into the memory of the process.
    pub fn run(&self, sql: &str, bounds: Bounds) -> Result<Answer, SqlError> {
        self.with(async |session| statement::answer(session, sql, bounds).await)
    }

    /// Connects, works, and ends the connection, whatever came of the work.
    pub(super) fn with<T>(
        &self,
        work: impl AsyncFnOnce(&Session) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| self.server.error(&message::line(&error.to_string())))?;
        let result = runtime.block_on(async {
            let call = Call {
                schema: "",
                time: self.server.timeouts.call,
            };
            let session = Session::open(self.server.clone(), call).await?;
            let result = work(&session).await;
            session.close().await;
            result
        });
        // A host's name that is still being looked up is not waited for.
        runtime.shutdown_background();
        result
    }
}
