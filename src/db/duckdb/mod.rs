//! DuckDB files, by the C API of a library that is looked for at run time and is no part of the program.
//!
//! A query is confined as far as DuckDB can confine it: the file is read only, no other file may be touched, no setting
//! changed, one thread, bounded memory, one statement that reads ([`gate`]) from functions that only read ([`calls`]). What nothing in the process can stop (a text of gigabytes, a
//! query without end) is for whoever runs it in a process of its own, which it limits and kills.
//!
//! Chance is the same each time, and the time zone is UTC.

mod api;
mod calls;
mod connection;
mod declared;
mod engine;
mod gate;
mod library;
mod message;
mod moments;
mod owned;
mod schema;
mod session;
mod statement;
mod types;
mod values;

#[cfg(test)]
mod tests;

pub use connection::Connection;
pub use library::Library;
