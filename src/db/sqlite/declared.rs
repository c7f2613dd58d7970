//! What a SQLite file declares of its tables, by its own pragmas.

use super::engine::read;
use crate::db::declared::{Declaration, Declared, Generated};
use rusqlite::{Connection, OptionalExtension};

const COLUMNS: &str = "SELECT \"notnull\", dflt_value, hidden FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid";

/// All tables and views in the order of their making.
pub fn declared(connection: &Connection) -> anyhow::Result<Vec<Declared>> {
    let mut statements = connection
        .prepare("SELECT sql FROM sqlite_schema WHERE name = ?1 AND type IN ('table', 'view')")?;
    let mut columns = connection.prepare(COLUMNS)?;
    let mut all = Vec::new();
    for table in read(connection)? {
        let statement: Option<Option<String>> = statements
            .query_row([&table.name], |row| row.get(0))
            .optional()?;
        let declarations = columns.query_map([&table.name], |row| {
            Ok(Declaration {
                nullable: !row.get::<_, bool>(0)?,
                default: row.get(1)?,
                generated: match row.get::<_, u8>(2)? {
                    2 => Some(Generated::Virtual),
                    3 => Some(Generated::Stored),
                    _ => None,
                },
                ..Declaration::default()
            })
        })?;
        all.push(Declared {
            columns: declarations.collect::<Result<_, _>>()?,
            comment: None,
            statement: statement.flatten(),
            table,
        });
    }
    Ok(all)
}
