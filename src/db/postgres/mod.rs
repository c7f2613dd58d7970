//! PostgreSQL servers, by `tokio-postgres`.
//!
//! A query is confined by the server as far as it can confine it, and by what it is asked before: one statement that begins like a
//! query ([`gate`]), that calls functions which only read ([`functions`]), and that a cursor may be of ([`statement`]); in a
//! transaction that only reads and ends in ROLLBACK, on a connection of its own or one that is
//! cleaned before the next ([`kept`]), with limits of time ([`session`]). A role that may
//! only SELECT, and a server with limits of memory, are for whoever runs the server.
//!
//! Chance is the same each time, and the time zone is UTC. There is no TLS.

mod columns;
mod connection;
mod declared;
mod engine;
mod functions;
mod gate;
mod kept;
mod literal;
mod message;
mod schema;
mod server;
mod session;
mod statement;
mod values;
mod words;

pub use connection::Connection;
pub use kept::Kept;
pub use server::Timeouts;
