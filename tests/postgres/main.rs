//! The PostgreSQL engine against servers of its own.

mod attacks;
mod bounds;
mod dialect;
mod faults;
mod interrupted;
mod schema;
mod scoring;
mod types;

#[path = "../common/pg_server.rs"]
mod pg_server;

use factory::db::answer::Bounds;
use factory::db::cell::Cell;
use factory::db::postgres::{Connection, Timeouts};
use pg_server::Server;
use std::time::{Duration, Instant};
use std::{env, thread};

const BOUNDS: Bounds = Bounds {
    rows: 100_000,
    bytes: 64 << 20,
};
/// Far more than any statement here takes that is not meant to take longer.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(60),
    call: Duration::from_secs(120),
};

/// A server for the test that runs.
fn started() -> Option<Server> {
    started_with("")
}

fn started_with(rules: &str) -> Option<Server> {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    Server::start(&test, rules)
}

fn open(server: &Server, user: &str) -> Connection {
    open_for(server, user, TIMEOUTS.call)
}

fn open_for(server: &Server, user: &str, call: Duration) -> Connection {
    let timeouts = Timeouts { call, ..TIMEOUTS };
    Connection::new(&server.url(user, "postgres"), timeouts).unwrap()
}

fn rows(connection: &Connection, sql: &str) -> Vec<Vec<Cell>> {
    let answer = connection.run(sql, BOUNDS);
    answer.unwrap_or_else(|error| panic!("{sql}: {error}")).rows
}

/// Waits until something is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not so: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// One of the tests here in a process of its own, with this variable.
fn process(test: &str, variable: &str, value: &str) -> std::process::Command {
    let mut command = std::process::Command::new(env::current_exe().unwrap());
    command
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env(variable, value);
    command
}
