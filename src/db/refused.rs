//! What was refused, for an assistant that is to write it otherwise.

use crate::run::words::plain;
use crate::sql::error::SqlError;
use crate::sql::tokens::iterate;
use anyhow::{Error, anyhow};

/// Statements that are named.
const NAMED: usize = 5;

/// An error of a query; of a refused one it also says which statements that were. Engines say why, and not always of which.
pub fn explained(error: SqlError, sql: &str) -> Error {
    let SqlError::Refused(why) = &error else {
        return error.into();
    };
    match &statements(sql)[..] {
        [] => error.into(),
        [one] => anyhow!(
            "refused: {why}: a statement that begins with {one}; send one query that only reads"
        ),
        several => anyhow!(
            "refused: {why}: {} statements, which begin with {}; send one query that only reads",
            several.len(),
            several[..several.len().min(NAMED)].join(", ")
        ),
    }
}

/// The first word of each statement.
fn statements(sql: &str) -> Vec<String> {
    let mut firsts = Vec::new();
    let mut begins = true;
    for token in iterate(sql) {
        if token.is(";") {
            begins = true;
        } else if begins && !token.is("(") {
            let word: String = token.text.chars().take(30).collect();
            firsts.push(plain(&word).to_uppercase());
            begins = false;
        }
    }
    firsts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_are_told() {
        let told = |sql: &str| explained(SqlError::Refused("no".to_owned()), sql).to_string();
        assert_eq!(
            told("/* SELECT */ drop table t"),
            "refused: no: a statement that begins with DROP; send one query that only reads"
        );
        assert_eq!(
            told("select ';'; (commit); ; drop table t"),
            "refused: no: 3 statements, which begin with SELECT, COMMIT, DROP; send one query that only reads"
        );
        assert_eq!(told(" -- nothing"), "refused: no");
        let other = explained(SqlError::Sql("no such table: t".to_owned()), "drop");
        assert_eq!(other.to_string(), "no such table: t");
    }
}
