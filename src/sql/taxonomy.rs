//! Names why a prediction failed.

use super::error::SqlError;
use super::normalize::collapse;

/// The kind of failure of a row that did not match. The first rule that applies names it.
///
/// `scored` is the extracted query, `None` when the reply held none; `error` is what running it said.
pub fn classify(scored: Option<&str>, gold: &str, error: Option<&SqlError>) -> &'static str {
    match error {
        Some(SqlError::Timeout(_)) => return "sql_timeout",
        Some(SqlError::Refused(_)) => return "sql_refused",
        Some(SqlError::ResourceLimit(_)) => return "sql_resource_limit",
        _ => {}
    }
    let Some(scored) = scored else {
        return "sql_no_select";
    };
    // One space between words, so that a keyword at a line's start counts too.
    let (scored, gold) = (collapse(scored), collapse(gold));
    let error = error.map(SqlError::to_string).unwrap_or_default();
    let says = |messages: &[&str]| messages.iter().any(|message| error.contains(message));
    let joins = |sql: &str| sql.contains(" join ");
    let filters = |sql: &str| sql.contains(" where ");
    if says(&["no such column", "no such table"]) {
        "sql_wrong_schema"
    } else if says(&["syntax error", "incomplete input", "unrecognized token"]) {
        "sql_prose_wrapped"
    } else if gold.is_empty() {
        // The reference is no query: nothing says what this one should have done.
        "sql_wrong_result"
    } else if joins(&scored) && !joins(&gold) {
        "sql_unneeded_join"
    } else if joins(&gold) && !joins(&scored) {
        "sql_missing_join"
    } else if aggregates(&gold) && !aggregates(&scored) {
        "sql_wrong_aggregation"
    } else if filters(&gold) && filters(&scored) {
        "sql_wrong_filter"
    } else {
        "sql_wrong_result"
    }
}

/// Whether an aggregate is called: a column named `discount` is no count.
fn aggregates(collapsed: &str) -> bool {
    ["sum", "avg", "count", "max", "min"].iter().any(|name| {
        collapsed.match_indices(name).any(|(at, _)| {
            let inside_word = collapsed[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let after = collapsed[at + name.len()..].trim_start();
            !inside_word && after.starts_with('(')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql_error(message: &str) -> SqlError {
        SqlError::Sql(message.to_owned())
    }

    fn plain(scored: &str, gold: &str) -> &'static str {
        classify(Some(scored), gold, None)
    }

    #[test]
    fn reasons_known_exactly_come_first() {
        let text = || "no such table: t".to_owned();
        for (error, kind) in [
            (SqlError::Timeout(5), "sql_timeout"),
            (SqlError::Refused(text()), "sql_refused"),
            (SqlError::ResourceLimit(text()), "sql_resource_limit"),
        ] {
            assert_eq!(classify(Some("select 1"), "select 2", Some(&error)), kind);
        }
    }

    #[test]
    fn no_select_comes_before_every_other_rule() {
        assert_eq!(
            classify(None, "select count(*) from a join b", None),
            "sql_no_select"
        );
    }

    #[test]
    fn errors_name_schema_or_prose_before_the_text_is_looked_at() {
        let joined = "select * from a join b";
        for (message, kind) in [
            ("no such column: x", "sql_wrong_schema"),
            ("no such table: x", "sql_wrong_schema"),
            ("near \"the\": syntax error", "sql_prose_wrapped"),
            ("incomplete input", "sql_prose_wrapped"),
            ("unrecognized token: \"#\"", "sql_prose_wrapped"),
            ("no such function: f", "sql_unneeded_join"),
        ] {
            let error = sql_error(message);
            assert_eq!(
                classify(Some(joined), "select 1", Some(&error)),
                kind,
                "{message}"
            );
        }
    }

    #[test]
    fn joins_then_aggregates_then_filters() {
        let join = "select count(*) from a\nJOIN b where x";
        assert_eq!(plain(join, "select count(*) from a"), "sql_unneeded_join");
        assert_eq!(plain("select x from a", join), "sql_missing_join");
        assert_eq!(
            plain(
                "select discount from a where x",
                "select COUNT (*) from a where x"
            ),
            "sql_wrong_aggregation"
        );
        assert_eq!(
            plain("select a from t where x", "select a\nfrom t\nwhere y"),
            "sql_wrong_filter"
        );
        assert_eq!(
            plain("select a from t", "select a from t where y"),
            "sql_wrong_result"
        );
        assert_eq!(
            plain("select max(a) from t", "select discount from t"),
            "sql_wrong_result",
            "an aggregate too many is no rule"
        );
        for column in ["count", "recount(x)", "count_of"] {
            assert_eq!(
                plain("select a from t", &format!("select {column} from t")),
                "sql_wrong_result",
                "{column} is no aggregate"
            );
        }
    }
}
