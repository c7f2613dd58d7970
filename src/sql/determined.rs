//! What makes a query's rows depend on more than its database: chance, the time of day, an order that is left open.

use super::bare;
use super::compare::same_text;
use super::error::SqlError;
use super::ties::with_tie_break;
use super::tokens::{Kind, iterate};
use super::value::Row;
use std::ops::Deref;

const TIME: [&str; 7] = [
    "date",
    "time",
    "datetime",
    "julianday",
    "unixepoch",
    "strftime",
    "timediff",
];

/// The function of chance that `sql` calls.
pub fn chance(sql: &str) -> Option<&'static str> {
    let functions = ["random", "randomblob"];
    let mut called = None;
    for token in iterate(sql) {
        if let (Some(function), true) = (called, token.is("(")) {
            return Some(function);
        }
        called = functions.into_iter().find(|function| token.is(function));
    }
    None
}

/// Whether `sql` asks for the time of day: by name, as `'now'`, or by a function of time that is given none.
pub fn clock(sql: &str) -> bool {
    // The functions around a token, and how many tokens stood between the brackets.
    let mut calls: Vec<(String, usize)> = Vec::new();
    let mut last = String::new();
    for token in iterate(sql) {
        let text = token.text.to_lowercase();
        let names = ["current_timestamp", "current_date", "current_time"];
        if names.iter().any(|name| token.is(name)) {
            return true;
        }
        if let Some((function, tokens)) = calls.last_mut()
            && TIME.contains(&function.as_str())
        {
            // `strftime` has its format first.
            let least = usize::from(function == "strftime");
            if text == "'now'" || text == "'subsec'" && *tokens == 0 {
                return true;
            }
            if token.is(")") && *tokens <= least {
                return true;
            }
        }
        if let Some((_, tokens)) = calls.last_mut() {
            *tokens += 1;
        }
        if token.is("(") {
            calls.push((last, 0));
        } else if token.is(")") {
            calls.pop();
        }
        last = match token.kind {
            Kind::Word => text,
            _ => String::new(),
        };
    }
    false
}

/// What a query leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// The order in which tables are walked.
    Walk,
    /// How ties before a LIMIT or in a window are decided.
    Ties,
    /// Which row of a group a column is taken from.
    BareColumn,
}

/// What `sql`, which gave `forwards`, leaves open, if anything. `run` gives the rows of it and its variants, with tables walked
/// backwards or not.
///
/// # Errors
/// When the query fails with its tables walked backwards.
pub fn left_open<O>(
    sql: &str,
    forwards: &[Row],
    mut run: impl FnMut(&str, bool) -> O,
) -> Result<Option<Open>, SqlError>
where
    O: Deref<Target = Result<Vec<Row>, SqlError>>,
{
    match &*run(sql, true) {
        Err(error) => return Err(error.clone()),
        Ok(backwards) if !same_text(forwards, backwards) => return Ok(Some(Open::Walk)),
        Ok(_) => {}
    }
    let differ = |one: O, other: O| match (&*one, &*other) {
        (Ok(one), Ok(other)) => !same_text(one, other),
        // Where a changed query does not run, as behind UNION, nothing is said of it.
        _ => false,
    };
    if let Some(tied) = with_tie_break(sql)
        && differ(run(&tied, false), run(&tied, true))
    {
        return Ok(Some(Open::Ties));
    }
    let extremes = ["min", "max"].map(|function| bare::within(sql, function));
    if let [Some(least), Some(most)] = extremes
        && differ(run(&least, false), run(&most, false))
    {
        return Ok(Some(Open::BareColumn));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_and_clock_are_found_where_they_are_called() {
        assert_eq!(
            chance("select a from t order by RANDOM() limit 1"),
            Some("random")
        );
        assert_eq!(chance("select random, 'random()' from t"), None);
        for sql in [
            "select date('now')",
            "select a from t where b > DATE ( 'NOW', '-1 year')",
            "select current_timestamp",
            "select unixepoch()",
            "select unixepoch('subsec')",
            "select strftime('%Y')",
            "select max(julianday('now') - julianday(b)) from t",
        ] {
            assert!(clock(sql), "{sql}");
        }
        for sql in [
            "select date from t where note = 'now'",
            "select date(b), strftime('%Y', b), time(12) from t",
            "select current_price, count(date) from t",
            "select 'current_timestamp'",
        ] {
            assert!(!clock(sql), "{sql}");
        }
    }
}
