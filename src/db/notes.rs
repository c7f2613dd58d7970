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
    /// A prompt with the notes before it; as it is where it has them already, as of an adapter that was trained with them.
    pub fn before(self, prompt: &str) -> String {
        let notes = self.notes().trim_end();
        match prompt.contains(notes) {
            true => prompt.to_owned(),
            false => format!("{notes}\n\n{prompt}"),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_stand_before_a_prompt_once() {
        let noted = Duckdb.before("Question: how many?");
        assert!(noted.starts_with(Duckdb.notes().lines().next().unwrap()));
        assert!(noted.ends_with("\n\nQuestion: how many?"));
        assert_eq!(Duckdb.before(&noted), noted);
    }
}
