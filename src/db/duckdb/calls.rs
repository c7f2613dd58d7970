//! Which functions a query reads from, by its plan, views and macros seen through. Most are as harmless as a table, but some
//! change settings that were locked: `SELECT * FROM enable_profiling(save_location = …)` writes the plan of the next query over
//! a database that was opened for reading, if its name ends in `.txt` or `.json`; `enable_logging` ends the process.

/// Functions that do nothing but give rows, by their names in plans. One that is not here is refused, because a later DuckDB may
/// have others that are no better.
const HARMLESS: [&str; 46] = [
    "DUCKDB_APPROX_DATABASE_COUNT",
    "DUCKDB_COLUMNS",
    "DUCKDB_CONNECTION_COUNT",
    "DUCKDB_CONSTRAINTS",
    "DUCKDB_COORDINATE_SYSTEMS",
    "DUCKDB_DATABASES",
    "DUCKDB_DEPENDENCIES",
    "DUCKDB_EXTENSIONS",
    "DUCKDB_FUNCTIONS",
    "DUCKDB_INDEXES",
    "DUCKDB_KEYWORDS",
    "DUCKDB_LOGS",
    "DUCKDB_LOG_CONTEXTS",
    "DUCKDB_MEMORY",
    "DUCKDB_OPTIMIZERS",
    "DUCKDB_PREPARED_STATEMENTS",
    "DUCKDB_SCHEMAS",
    "DUCKDB_SECRET_TYPES",
    "DUCKDB_SEQUENCES",
    "DUCKDB_SETTINGS",
    "DUCKDB_TABLES",
    "DUCKDB_TABLE_SAMPLE",
    "DUCKDB_TEMPORARY_FILES",
    "DUCKDB_TYPES",
    "DUCKDB_VARIABLES",
    "DUCKDB_VIEWS",
    "GENERATE_SERIES",
    "ICU_CALENDAR_NAMES",
    "JSON_EACH",
    "JSON_TREE",
    "PG_TIMEZONE_NAMES",
    "PRAGMA_COLLATIONS",
    "PRAGMA_DATABASE_SIZE",
    "PRAGMA_METADATA_INFO",
    "PRAGMA_PLATFORM",
    "PRAGMA_SHOW",
    "PRAGMA_STORAGE_INFO",
    "PRAGMA_TABLE_INFO",
    "PRAGMA_USER_AGENT",
    "PRAGMA_VERSION",
    "RANGE",
    "REPEAT",
    "REPEAT_ROW",
    "SUMMARY",
    "TEST_ALL_TYPES",
    "UNNEST",
];

/// How a plan in JSON names a function: one that scans, and one that is called for each row. No text in a plan looks like it,
/// because JSON writes a backslash before each of its quotes.
const NAMES: [&str; 2] = ["\"Function\": \"", "\"Name\": \""];

/// The functions that a plan in JSON names, in capitals.
pub fn functions(plan: &str) -> impl Iterator<Item = String> {
    let named = |name| plan.split(name).skip(1);
    let end = |rest: &str| rest.find('"').unwrap_or(rest.len());
    NAMES
        .into_iter()
        .flat_map(named)
        .map(move |rest| rest[..end(rest)].to_ascii_uppercase())
}

/// The first function of a plan that is not known to be harmless.
pub fn stranger(plan: &str) -> Option<String> {
    functions(plan).find(|function| !HARMLESS.contains(&function.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_and_texts_are_not() {
        let plan = r#"[{"name": "RANGE", "children": [{"name": "INOUT_FUNCTION", "extra_info": {"Name": "json_each"}}],
            "extra_info": {"Function": "RANGE", "Filter": "a = '\"Function\": \"X'", "CTE Name": "y"}}]"#;
        let functions: Vec<_> = functions(plan).collect();
        assert_eq!(functions, ["RANGE", "JSON_EACH"]);
        assert_eq!(stranger(plan), None);
        let plan = r#"{"Function": "enable_logging"}"#;
        assert_eq!(stranger(plan).as_deref(), Some("ENABLE_LOGGING"));
    }
}
