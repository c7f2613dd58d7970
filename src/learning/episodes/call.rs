//! A call of a tool, and what became of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The tools of every episode, by mcp-alchemy's names, and the one that ends it.
pub const ALL_TABLES: &str = "all_table_names";
pub const FILTER_TABLES: &str = "filter_table_names";
pub const DEFINITIONS: &str = "schema_definitions";
pub const EXECUTE: &str = "execute_query";
pub const ANSWER: &str = "final_answer";

/// The argument of [`ANSWER`].
const SQL: &str = "sql";

/// A call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Call {
    pub tool: String,
    /// By their names, in their order.
    pub arguments: Arguments,
}

/// The arguments of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arguments(pub Map<String, Value>);

impl PartialOrd for Arguments {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arguments {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let text = |arguments: &Self| Value::Object(arguments.0.clone()).to_string();
        text(self).cmp(&text(other))
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    /// The tool says why not.
    Error,
    /// It names a table that is not there.
    UnknownTable,
    /// The turn has no call in it that can be understood.
    Malformed,
}

impl Call {
    /// One with these arguments, an object.
    pub fn new(tool: &str, arguments: Value) -> Self {
        let arguments = match arguments {
            Value::Object(arguments) => arguments,
            _ => Map::new(),
        };
        Self {
            tool: tool.to_owned(),
            arguments: Arguments(arguments),
        }
    }

    /// The one that answers with a query.
    pub fn answer(sql: &str) -> Self {
        Self::new(ANSWER, json!({ SQL: sql }))
    }

    /// The query that it answers with, where it answers.
    pub fn answered(&self) -> Option<&str> {
        let sql = self.arguments.0.get(SQL).and_then(Value::as_str);
        sql.filter(|_| self.tool == ANSWER)
    }

    /// The query that it runs, where it runs one.
    pub fn query(&self) -> Option<&str> {
        let sql = self.arguments.0.get("query").and_then(Value::as_str);
        sql.filter(|_| self.tool == EXECUTE)
    }

    /// The tables that it looks up.
    pub fn tables(&self) -> Vec<&str> {
        let names = self.arguments.0.get("table_names");
        let names = names.filter(|_| self.tool == DEFINITIONS);
        let names = names.and_then(Value::as_array).into_iter().flatten();
        names.filter_map(Value::as_str).collect()
    }
}

impl Outcome {
    /// Of a tool that says that it failed, by the words of the three engines and of mcp-alchemy's tools.
    pub fn of_error(text: &str) -> Self {
        let unknown = text.contains("no such table")
            || text.contains("no table is called")
            || (text.contains("does not exist")
                && (text.contains("relation \"") || text.contains("Table with name")));
        match unknown {
            true => Self::UnknownTable,
            false => Self::Error,
        }
    }

    /// As summaries and pages say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::UnknownTable => "unknown table",
            Self::Malformed => "no call",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_are_not_there_are_told_from_other_errors() {
        for text in [
            "Error: no such table: boats",
            "no table is called \"boats\": all_table_names lists them",
            "Error: relation \"boats\" does not exist",
            "Error: Catalog Error: Table with name boats does not exist!",
        ] {
            assert_eq!(Outcome::of_error(text), Outcome::UnknownTable, "{text}");
        }
        for text in [
            "Error: no such column: oars",
            "Error: column \"oars\" does not exist",
            "exceeded 5 s",
        ] {
            assert_eq!(Outcome::of_error(text), Outcome::Error, "{text}");
        }
    }
}
