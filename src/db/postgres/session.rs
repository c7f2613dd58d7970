//! One connection to a server, in a transaction that only reads and that is never committed.

use super::message;
use super::server::Server;
use crate::run::words::duration;
use crate::sql::error::SqlError;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Error as Failure, NoTls, Row};

/// What a server that does not stop in time by itself is given before it is left.
const GRACE: Duration = Duration::from_millis(250);
/// The longest that a query waits for what others have locked.
const LOCK: Duration = Duration::from_secs(5);

/// How values are written, so that their texts are the same whatever the role's own settings; and that a string is what
/// [`super::words`] takes for one. A cursor is planned like a query of which all rows are read.
const SETTINGS: &str = "
    SET LOCAL client_min_messages = error;
    SET LOCAL standard_conforming_strings = on;
    SET LOCAL DateStyle = 'ISO';
    SET LOCAL IntervalStyle = 'postgres';
    SET LOCAL TimeZone = 'UTC';
    SET LOCAL extra_float_digits = 3;
    SET LOCAL bytea_output = 'hex';
    SET LOCAL cursor_tuple_fraction = 1;
    SELECT pg_catalog.setseed(0.5);";

/// What bounds a query on the server, each where it may be set: its memory, its temporary files, and how soon it stops when
/// nobody is there any more to take its rows.
const BOUNDS: &str = "
    SELECT pg_catalog.set_config('work_mem', '64MB', true)
    WHERE pg_catalog.pg_size_bytes(pg_catalog.current_setting('work_mem')) > 67108864;
    SELECT pg_catalog.set_config('temp_file_limit', '4GB', true) FROM pg_catalog.pg_roles
    WHERE rolname = current_user AND rolsuper AND pg_catalog.current_setting('temp_file_limit') = '-1';
    SELECT pg_catalog.set_config('client_connection_check_interval', '1s', true)
    WHERE pg_catalog.version() LIKE '%linux%' AND pg_catalog.current_setting('client_connection_check_interval', true) IS NOT NULL;";

/// What outlives a transaction, of what a query could leave behind if it found a way.
const CLEAN: &str = "ROLLBACK; RESET ALL; SELECT pg_catalog.pg_advisory_unlock_all();";

/// What stands for `$1` and so on.
pub type Value<'v> = (&'v (dyn ToSql + Sync), Type);

/// What a transaction is for.
#[derive(Clone, Copy)]
pub struct Call<'c> {
    /// The schema that names are looked for in; empty for those that the role has.
    pub schema: &'c str,
    /// How long everything that is asked may take.
    pub time: Duration,
}

/// An open transaction. It is of the runtime that opened it.
pub struct Session {
    pub client: Client,
    server: Arc<Server>,
    /// What speaks with the server, and how that ended.
    wire: JoinHandle<Result<(), Failure>>,
    /// Of this call.
    time: Duration,
    deadline: Instant,
}

impl Session {
    /// Connects, and begins.
    pub async fn open(server: Arc<Server>, call: Call<'_>) -> Result<Self, SqlError> {
        let deadline = Instant::now() + call.time;
        let connecting = timeout(server.timeouts.to_connect(), server.config.connect(NoTls));
        let (client, connection) = connecting
            .await
            .map_err(|_| server.silent())?
            .map_err(|error| server.unreachable(&error))?;
        let session = Self {
            client,
            server,
            wire: tokio::spawn(connection),
            time: call.time,
            deadline,
        };
        session.begin(call.schema).await?;
        Ok(session)
    }

    /// Begins once more, after [`Self::clean`].
    pub async fn again(mut self, call: Call<'_>) -> Result<Self, SqlError> {
        self.time = call.time;
        self.deadline = Instant::now() + call.time;
        self.begin(call.schema).await?;
        Ok(self)
    }

    /// Ends the transaction, and what could outlive it; nothing where the server does not hear of it.
    pub async fn clean(self) -> Option<Self> {
        let most = Instant::now() + GRACE;
        let cleaned = timeout_at(most, self.client.batch_execute(CLEAN)).await;
        matches!(cleaned, Ok(Ok(()))).then_some(self)
    }

    async fn begin(&self, schema: &str) -> Result<(), SqlError> {
        let (left, lock) = (self.left()?, milliseconds(LOCK));
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
             SET LOCAL statement_timeout = {left};
             SET LOCAL idle_in_transaction_session_timeout = {left};
             SET LOCAL lock_timeout = {lock};{SETTINGS}{BOUNDS}"
        );
        let begun = self.within(self.client.batch_execute(&begin)).await?;
        begun.map_err(|error| match error.as_db_error() {
            Some(told) => self.server.error(&message::text(told)),
            None => self.error(&error),
        })?;
        match schema {
            "" => Ok(()),
            schema => self.look_in(schema).await,
        }
    }

    /// Has names looked for in one schema.
    async fn look_in(&self, schema: &str) -> Result<(), SqlError> {
        const LOOK: &str = "
            SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident($1), true)
            FROM pg_catalog.pg_namespace WHERE nspname = $1::name";
        let found = self.catalog(LOOK, &[(&schema, Type::TEXT)]).await?;
        match found.is_empty() {
            true => Err(SqlError::Sql(format!("there is no schema {schema:?}"))),
            false => Ok(()),
        }
    }

    /// Waits for the server, but not longer than it may take.
    pub async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, SqlError> {
        let most = self.deadline + GRACE;
        timeout_at(most, work).await.map_err(|_| self.exceeded())
    }

    /// The milliseconds that are left, for the server.
    pub fn left(&self) -> Result<u128, SqlError> {
        match self.deadline.checked_duration_since(Instant::now()) {
            Some(left) => Ok(milliseconds(left)),
            None => Err(self.exceeded()),
        }
    }

    /// Runs a query of this program's own.
    pub async fn catalog(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, SqlError> {
        let asked = self.within(self.client.query_typed(sql, values)).await?;
        asked.map_err(|error| self.error(&error))
    }

    /// A value of a row that [`Self::catalog`] gave.
    pub fn value<'r, T: FromSql<'r>>(&self, row: &'r Row, place: usize) -> Result<T, SqlError> {
        row.try_get(place)
            .map_err(|error| self.server.error(&message::cause(&error)))
    }

    /// Makes room for another query of this program's own.
    pub async fn close_cursor(&self) -> Result<(), SqlError> {
        let closed = self.client.batch_execute("CLOSE factory");
        let closed = self.within(closed).await?;
        closed.map_err(|error| self.error(&error))
    }

    /// Ends it, and everything that it held.
    pub async fn close(self) {
        let Self {
            client,
            wire,
            deadline,
            ..
        } = self;
        let most = deadline.min(Instant::now()) + GRACE;
        // Whoever is not heard of any more has nothing to be told: the server then sees the connection end.
        let _ = timeout_at(most, async {
            let _ = client.batch_execute("ROLLBACK").await;
            drop(client);
            let _ = wire.await;
        })
        .await;
    }

    /// What an error of a statement means.
    pub fn error(&self, error: &Failure) -> SqlError {
        let Some(told) = error.as_db_error() else {
            return self
                .server
                .error(&match error.is_closed() || message::io(error).is_some() {
                    true => "the server ended the connection in the middle: try again".to_owned(),
                    false => message::cause(error),
                });
        };
        let text = message::text(told);
        // Class and kind; the text is in the server's language.
        match (told.code(), told.code().code().get(..2).unwrap_or_default()) {
            (&SqlState::QUERY_CANCELED, _) if self.is_late() => self.exceeded(),
            (&SqlState::LOCK_NOT_AVAILABLE, _) => SqlError::ResourceLimit(format!(
                "another session holds a lock on what is asked for: try again; {text}"
            )),
            (&SqlState::READ_ONLY_SQL_TRANSACTION, _) => {
                SqlError::Refused(format!("it does more than read: {text}"))
            }
            (_, "53" | "54") => SqlError::ResourceLimit(text),
            (&SqlState::QUERY_CANCELED, _) | (_, "08" | "57" | "58") => self.server.error(&text),
            _ => SqlError::Sql(text),
        }
    }

    /// Whether its time is over.
    pub fn is_late(&self) -> bool {
        // The server was told whole milliseconds, and counts from when it heard of them.
        Instant::now() + Duration::from_millis(20) >= self.deadline
    }

    fn exceeded(&self) -> SqlError {
        let limit = duration(self.time);
        SqlError::ResourceLimit(format!("exceeded {limit}"))
    }
}

/// As the server counts time; none of its limits is none.
fn milliseconds(time: Duration) -> u128 {
    time.as_millis().clamp(1, i32::MAX as u128)
}
