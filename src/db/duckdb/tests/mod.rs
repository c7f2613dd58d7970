//! Tests against the library itself.

mod attacks;
mod bounds;
mod files;
mod types;

use super::session::Session;
use super::{Connection, Library, statement};
use crate::db::answer::{Answer, Bounds};
use crate::db::cell::Cell;
use crate::sql::error::SqlError;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const MEMORY: u64 = 256 << 20;
const BOUNDS: Bounds = Bounds {
    rows: 100_000,
    bytes: 64 << 20,
};

fn library() -> &'static Library {
    Library::find().unwrap_or_else(|error| panic!("{error}"))
}

/// A file made by statements, in a folder of its own.
fn made(statements: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.duckdb");
    write(&file, statements);
    (folder, file)
}

/// Changes a file, or makes it.
fn write(file: &Path, statements: &[&str]) {
    let session = Session::open(library(), file, &[]).unwrap();
    for sql in statements {
        statement::run(&session, sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }
}

fn open(file: &Path) -> Connection<'static> {
    Connection::open(library(), file, MEMORY).unwrap()
}

fn rows(connection: &Connection, sql: &str) -> Vec<Vec<Cell>> {
    let answer: Result<Answer, SqlError> = connection.run(sql, BOUNDS);
    answer.unwrap_or_else(|error| panic!("{sql}: {error}")).rows
}
