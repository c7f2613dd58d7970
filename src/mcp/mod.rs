//! Databases for assistants, by the Model Context Protocol: a server whose tools only read, and a client for the tools of any server.
//!
//! Each call to a database is a process of its own, behind [`crate::db::door`]. The server's thread only waits for them.

mod alchemy;
pub mod client;
mod desk;
mod log;
mod server;
mod specialist;
mod tool;
mod tools;
mod watched;
mod way;

pub use log::Sink;
pub use specialist::Model;
pub use way::Way;

use crate::db::connections::Connections;
use crate::db::door::Door;
use anyhow::{Context, Result, anyhow};
use desk::Desk;
use log::Log;
use server::Server;
use specialist::Specialist;
use std::sync::Arc;
use std::thread;

/// What is served.
pub struct Config {
    pub connections: Connections,
    pub door: Door,
    /// Calls that run at once; others wait.
    pub calls: usize,
    pub way: Way,
    /// What answers questions, if anything does.
    pub model: Option<Model>,
}

/// Serves until the client is gone, or for ever. `sink` takes log lines, each one JSON object.
pub fn serve(config: Config, sink: Sink) -> Result<()> {
    let log = Log::new(sink);
    let (specialist, jobs) = match &config.model {
        Some(_) => {
            let (specialist, jobs) = Specialist::new();
            (Some(specialist), Some(jobs))
        }
        None => (None, None),
    };
    let desk = Desk {
        connections: config.connections,
        door: config.door,
        specialist,
    };
    let server = Server::new(desk, config.calls, log.clone());
    let bound = config.way.bind()?;
    let waits = Arc::new(());
    let gone = Arc::downgrade(&waits);
    let thread = thread::Builder::new().name("mcp".into());
    let started = log.clone();
    let served = thread.spawn(move || {
        let _waits = waits;
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build()?;
        let served = runtime.block_on(bound.serve(server, &started));
        // Whoever reads standard input cannot be stopped, nor need be.
        runtime.shutdown_background();
        served
    });
    let served = served.context("cannot start a thread")?;
    let answered = match (config.model, jobs) {
        (Some(model), Some(jobs)) => {
            specialist::run(&model, &jobs, &log, || gone.strong_count() == 0)
        }
        _ => Ok(()),
    };
    answered?;
    let served = served.join();
    served.map_err(|_| anyhow!("the server's thread ended in a panic"))?
}
