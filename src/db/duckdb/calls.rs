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

/// What a text has to name to do more than read tables: functions that are not known to be harmless, and chance. No plan has to be made of a
/// query that names none of them, and its chance need not begin anew. Nothing is known where views and macros are, which do what no text says.
pub struct Strangers(Option<Vec<String>>);

/// What draws without being a function that gives another value each time.
const CHANCE: [&str; 2] = ["SAMPLE", "RESERVOIR"];

impl Strangers {
    /// Of the names of all functions that rows are read from, or that give another value each time.
    pub fn new(functions: impl Iterator<Item = String>) -> Self {
        let names = functions.map(|name| name.to_ascii_uppercase());
        let names = names.filter(|name| !HARMLESS.contains(&name.as_str()));
        Self(Some(names.chain(CHANCE.map(str::to_owned)).collect()))
    }

    /// Nothing is known.
    pub fn unknown() -> Self {
        Self(None)
    }

    /// Whether a text may name one. A name may be written with escapes alone if there is a backslash.
    pub fn may_be_in(&self, text: &str) -> bool {
        let Some(names) = &self.0 else { return true };
        let text = text.to_ascii_uppercase();
        text.contains('\\') || !text.is_ascii() || names.iter().any(|name| text.contains(name))
    }
}

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
    fn a_text_without_their_names_calls_no_strangers() {
        let known = Strangers::new(
            ["range", "enable_logging", "query"]
                .map(str::to_owned)
                .into_iter(),
        );
        for text in [
            "select a from t where b = 1",
            "from range(3)",
            "select 'é' is null from t",
        ] {
            assert_eq!(known.may_be_in(text), text.contains('é'), "{text}");
        }
        for text in [
            "FROM \"Enable_Logging\"()",
            "from query('from t')",
            "from U&\"\\0065nable\"()",
        ] {
            assert!(known.may_be_in(text), "{text}");
        }
        assert!(Strangers::unknown().may_be_in("select 1"));
    }

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
