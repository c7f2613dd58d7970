//! Whether a query runs over the tables of a script, neither of them trusted.

use super::execute::run_before;
use crate::sql::error::SqlError;
use rusqlite::Connection;
use std::time::Duration;

/// Over no rows a query is done at once.
const TIME: Duration = Duration::from_secs(1);

/// The tables of a script, without rows.
pub struct Scratch(Connection);

impl Scratch {
    /// Builds the tables; the script may do nothing else.
    pub fn build(script: &str) -> Result<Self, SqlError> {
        let built = super::empty(script);
        built
            .map(Self)
            .map_err(|error| SqlError::Database(format!("{error:#}")))
    }

    /// Runs one query.
    pub fn run(&self, sql: &str) -> Result<(), SqlError> {
        run_before(&self.0, sql, TIME).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_made_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made.db");
        let attach = format!("ATTACH '{}' AS z", file.display());
        for script in [
            "CREATE TABLE a(x INTEGER PRIMARY KEY AUTOINCREMENT, y TEXT UNIQUE CHECK (length(y) > 1)); CREATE TABLE b(x REFERENCES a)",
            "CREATE TABLE \"a b\" (\"c d\" VARCHAR)",
        ] {
            assert!(Scratch::build(script).is_ok(), "{script}");
        }
        for script in [
            attach.as_str(),
            "CREATE TABLE a(x); INSERT INTO a VALUES (1)",
            "CREATE TABLE a AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
            "CREATE TABLE a(x); DROP TABLE a",
            "CREATE TABLE a(x); CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END",
            "PRAGMA writable_schema = ON",
            "CREATE VIRTUAL TABLE v USING fts5(x)",
            "CREATE TABLE a(x); CREATE TABLE a(x)",
            "no sql",
        ] {
            assert!(Scratch::build(script).is_err(), "{script}");
        }
        assert!(!file.exists());
    }

    #[test]
    fn queries_are_only_run() {
        let tables = Scratch::build("CREATE TABLE a(x INTEGER, y VARCHAR)").unwrap();
        tables
            .run("SELECT count(*), max(x) FROM a WHERE y LIKE \"8/%\"")
            .unwrap();
        let error = |sql: &str| tables.run(sql).unwrap_err();
        assert!(matches!(error("SELECT z FROM a"), SqlError::Sql(_)));
        assert!(matches!(error("DELETE FROM a"), SqlError::Refused(_)));
        assert!(matches!(error("SELECT 1; SELECT 2"), SqlError::Refused(_)));
        let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
        assert_eq!(error(endless), SqlError::Timeout(1000));
    }
}
