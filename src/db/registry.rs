//! What a connection may lead to, in one list: what it is called, how its URLs begin, what SQL it speaks, and whether this build reaches it.

use super::notes::Dialect;
use Driver::*;
use serde::{Deserialize, Serialize};

/// A kind of database, or another place that people keep beside their databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    Sqlite,
    Duckdb,
    Postgres,
    Mysql,
    Snowflake,
    Bigquery,
    Clickhouse,
    Sqlserver,
    Metabase,
    Looker,
    Lookml,
    Notion,
    Dbt,
    Metricflow,
}

/// What a driver is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It answers SQL of this dialect.
    Warehouse(Dialect),
    /// It says what tables mean, and runs no SQL.
    Context,
}

impl Driver {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Sqlite, Duckdb, Postgres, Mysql, Snowflake, Bigquery, Clickhouse, Sqlserver, Metabase,
        Looker, Lookml, Notion, Dbt, Metricflow,
    ];

    /// Its name in settings.
    pub fn id(self) -> &'static str {
        match self {
            Sqlite => "sqlite",
            Duckdb => "duckdb",
            Postgres => "postgres",
            Mysql => "mysql",
            Snowflake => "snowflake",
            Bigquery => "bigquery",
            Clickhouse => "clickhouse",
            Sqlserver => "sqlserver",
            Metabase => "metabase",
            Looker => "looker",
            Lookml => "lookml",
            Notion => "notion",
            Dbt => "dbt",
            Metricflow => "metricflow",
        }
    }

    /// How its URLs begin, as SQLAlchemy has them, without what may stand behind a `+`.
    pub fn schemes(self) -> &'static [&'static str] {
        match self {
            Sqlite => &["sqlite"],
            Duckdb => &["duckdb"],
            Postgres => &["postgresql", "postgres"],
            Mysql => &["mysql", "mariadb"],
            Snowflake => &["snowflake"],
            Bigquery => &["bigquery"],
            Clickhouse => &["clickhouse", "clickhousedb"],
            Sqlserver => &["mssql", "sqlserver"],
            Metabase | Looker | Lookml | Notion | Dbt | Metricflow => &[],
        }
    }

    /// What it is for.
    pub fn kind(self) -> Kind {
        match self {
            Sqlite => Kind::Warehouse(Dialect::Sqlite),
            Duckdb => Kind::Warehouse(Dialect::Duckdb),
            Postgres => Kind::Warehouse(Dialect::Postgres),
            Mysql => Kind::Warehouse(Dialect::Mysql),
            Snowflake => Kind::Warehouse(Dialect::Snowflake),
            Bigquery => Kind::Warehouse(Dialect::Bigquery),
            Clickhouse => Kind::Warehouse(Dialect::Clickhouse),
            Sqlserver => Kind::Warehouse(Dialect::Tsql),
            Metabase | Looker | Lookml | Notion | Dbt | Metricflow => Kind::Context,
        }
    }

    /// The driver of this name.
    pub fn named(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|driver| driver.id() == id)
    }

    /// The driver of a URL's scheme, such as `postgresql+psycopg2`.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        let scheme = scheme.split('+').next().unwrap_or(scheme);
        Self::ALL
            .into_iter()
            .find(|driver| driver.schemes().contains(&scheme))
    }
}
