//! What a writer of queries must know of a dialect: Markdown, one file each, for prompts and for assistants.

use Dialect::*;

/// A dialect of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    Sqlite,
    Duckdb,
    Postgres,
    Mysql,
    Snowflake,
    Bigquery,
    Clickhouse,
    Tsql,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Sqlite, Duckdb, Postgres, Mysql, Snowflake, Bigquery, Clickhouse, Tsql,
    ];

    /// Its name.
    pub fn id(self) -> &'static str {
        match self {
            Sqlite => "sqlite",
            Duckdb => "duckdb",
            Postgres => "postgres",
            Mysql => "mysql",
            Snowflake => "snowflake",
            Bigquery => "bigquery",
            Clickhouse => "clickhouse",
            Tsql => "tsql",
        }
    }

    /// The dialect of this name.
    pub fn named(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.id() == id)
    }

    /// Its notes.
    pub fn notes(self) -> &'static str {
        match self {
            Sqlite => include_str!("notes/sqlite.md"),
            Duckdb => include_str!("notes/duckdb.md"),
            Postgres => include_str!("notes/postgres.md"),
            Mysql => include_str!("notes/mysql.md"),
            Snowflake => include_str!("notes/snowflake.md"),
            Bigquery => include_str!("notes/bigquery.md"),
            Clickhouse => include_str!("notes/clickhouse.md"),
            Tsql => include_str!("notes/tsql.md"),
        }
    }
}
