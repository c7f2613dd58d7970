//! Databases that people have, each behind the same confined door: connections by name, values and bounds of every engine, one
//! folder an engine.

pub mod alchemy;
pub mod answer;
mod catalog;
pub mod cell;
pub mod connections;
pub mod declared;
pub mod door;
pub mod duckdb;
pub mod engine;
pub mod home;
pub mod locate;
pub mod notes;
pub mod postgres;
pub mod process;
pub mod processor;
pub mod refused;
pub mod registry;
mod room;
pub mod sandbox;
pub mod schema;
pub mod shown;
pub mod sqlite;
mod values;
pub mod watch;
pub mod worker;
mod written;
