//! Which functions a query may call. A read-only transaction stops what writes to tables and little else: a function may end other
//! sessions, hold locks beyond its transaction, read the server's files, change settings, or run a text that it is given.
//!
//! PostgreSQL's own catalog says of each function whether it only reads: it is VOLATILE otherwise, which is also what a function is
//! that says nothing. So a name is refused if it may mean a VOLATILE function that is not known to be harmless, or one of the few
//! others that do more than they say. What a view, an operator or a function does that the database's owner made is the owner's.

use super::gate::Call;
use super::message;
use super::session::{Session, Value};
use crate::sql::error::SqlError;
use std::collections::BTreeSet;
use tokio_postgres::types::Type;

/// VOLATILE because they give another value each time, or count what changes meanwhile. Those that sleep are stopped in time.
const HARMLESS: [&str; 35] = [
    "array_sample",
    "array_shuffle",
    "clock_timestamp",
    "current_query",
    "gen_random_bytes",
    "gen_random_uuid",
    "gen_salt",
    "normal_rand",
    "pg_blocking_pids",
    "pg_collation_actual_version",
    "pg_current_wal_lsn",
    "pg_database_size",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_last_xact_replay_timestamp",
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_relation_size",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
    "pg_xact_commit_timestamp",
    "pg_xact_status",
    "random",
    "random_normal",
    "setseed",
    "timeofday",
    "txid_status",
    "uuid_generate_v1",
    "uuid_generate_v4",
    "uuidv4",
    "uuidv7",
];

/// Not VOLATILE, and yet they run a text that they are given, or use up a transaction's number.
const HARMFUL: [&str; 8] = [
    "connectby",
    "crosstab",
    "crosstab2",
    "crosstab3",
    "crosstab4",
    "pg_current_xact_id",
    "txid_current",
    "xpath_table",
];

/// The numbers of what every server has: 11 is `pg_catalog`; 12 and 13 are the languages of functions in the server and in
/// libraries; 2281 is the type `internal`, which nobody has a value of. Only of a row's type there are functions of a row.
const STRANGER: &str = "
    SELECT p.oid::pg_catalog.regprocedure::text, p.provolatile = 'v' AND p.pronamespace <> 11 AND p.prolang NOT IN (12, 13)
    FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::bool[])) AS c(schema, name, of_row)
    JOIN pg_catalog.pg_proc p ON p.proname = c.name::name
    WHERE CASE c.schema
        WHEN '' THEN pg_catalog.pg_function_is_visible(p.oid)
        ELSE p.pronamespace = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = c.schema::name)
    END
    AND (NOT c.of_row OR (SELECT t.typtype IN ('c', 'p') FROM pg_catalog.pg_type t WHERE t.oid = p.proargtypes[0]))
    AND NOT 2281 = ANY (p.proargtypes::oid[])
    AND (p.proname::text = ANY ($5::text[])
         OR p.provolatile = 'v' AND NOT (p.proname::text = ANY ($4::text[]) AND (p.prolang IN (12, 13) OR p.pronamespace = 11)))
    LIMIT 1";

/// Refuses a query that may call a function which does more than read.
pub async fn check(session: &Session, calls: &BTreeSet<Call>) -> Result<(), SqlError> {
    if calls.is_empty() {
        return Ok(());
    }
    let texts = |of: fn(&Call) -> &str| calls.iter().map(of).collect::<Vec<_>>();
    let schemas = texts(|call| &call.schema);
    let names = texts(|call| &call.name);
    let of_row: Vec<_> = calls.iter().map(|call| call.of_row).collect();
    let values: [Value; 5] = [
        (&schemas, Type::TEXT_ARRAY),
        (&names, Type::TEXT_ARRAY),
        (&of_row, Type::BOOL_ARRAY),
        (&&HARMLESS[..], Type::TEXT_ARRAY),
        (&&HARMFUL[..], Type::TEXT_ARRAY),
    ];
    let rows = session.catalog(STRANGER, &values).await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let (name, by_owner): (String, bool) = (session.value(row, 0)?, session.value(row, 1)?);
    let advice = match by_owner {
        true => ": it is VOLATILE; if it only reads, its owner can declare it STABLE",
        false => "",
    };
    Err(SqlError::Refused(format!(
        "{} is no function that only reads{advice}",
        message::line(&name)
    )))
}
