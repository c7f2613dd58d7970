//! The dialect notes: their form, that no dialect's syntax stands in another's notes, and that what SQLite's say runs.

#[path = "common/duckdb_writer.rs"]
mod duckdb_writer;
#[path = "common/notes.rs"]
mod notes;

use factory::db::answer::Bounds;
use factory::db::duckdb;
use notes::{DIALECTS, fixture, holds, markers, place, snippets};
use rusqlite::Connection;
use std::fs;

const FACETS: [&str; 8] = [
    "Qualified names",
    "Identifiers",
    "Dates and times",
    "Top N",
    "JSON",
    "Series",
    "Rolling windows",
    "Safe casts",
];
const SHARDED: [&str; 2] = ["bigquery", "clickhouse"];

#[test]
fn there_are_notes_for_every_dialect_and_no_other() {
    let mut files: Vec<String> = fs::read_dir(place("src/db/notes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let wanted: Vec<String> = DIALECTS.iter().map(|name| format!("{name}.md")).collect();
    assert_eq!(files, wanted);
}

#[test]
fn every_dialect_has_the_facets_in_order() {
    for dialect in DIALECTS {
        let text = notes::notes(dialect);
        let mut parts = text.split("\n## ");
        let head = parts.next().unwrap();
        assert!(head.starts_with("# "), "{dialect}: no title");
        assert!(head.lines().count() > 2, "{dialect}: nothing first");
        let parts: Vec<(&str, &str)> = parts.map(|part| part.split_once('\n').unwrap()).collect();
        let titles: Vec<&str> = parts.iter().map(|(title, _)| *title).collect();
        let mut wanted = FACETS.to_vec();
        if SHARDED.contains(&dialect) {
            wanted.push("Sharded tables");
        }
        assert_eq!(titles, wanted, "{dialect}");
        for (title, body) in parts {
            let facts = body.lines().filter(|line| line.starts_with("- ")).count();
            let blocks = body.lines().filter(|line| *line == "```sql").count();
            assert!(
                (1..=4).contains(&facts),
                "{dialect}, {title}: {facts} facts"
            );
            assert!(
                (1..=2).contains(&blocks),
                "{dialect}, {title}: {blocks} blocks of SQL"
            );
        }
    }
}

#[test]
fn every_snippet_is_one_statement_that_reads() {
    for dialect in DIALECTS {
        for (facet, sql) in snippets(dialect) {
            let first = sql.split_whitespace().next().unwrap_or_default();
            assert!(
                ["SELECT", "WITH"].contains(&first),
                "{dialect}, {facet}: {sql}"
            );
            assert!(!sql.contains(';'), "{dialect}, {facet}: {sql}");
        }
    }
}

#[test]
fn no_syntax_leaks_into_the_notes_of_another_dialect() {
    let mut faults = Vec::new();
    let mut alone = Vec::new();
    for (kind, markers) in markers() {
        let texts = DIALECTS.map(|dialect| match kind.as_str() {
            "notes" => (dialect, notes::notes(dialect)),
            "snippets" => (
                dialect,
                snippets(dialect).into_iter().map(|(_, sql)| sql).collect(),
            ),
            _ => panic!("markers.toml: [{kind}]"),
        });
        for (marker, owners) in markers {
            let found = texts.iter().filter(|(_, text)| holds(text, &marker));
            let (own, leaks): (Vec<&str>, Vec<&str>) = found
                .map(|(dialect, _)| *dialect)
                .partition(|dialect| owners.iter().any(|owner| owner == dialect));
            if !leaks.is_empty() {
                faults.push(format!("{marker} of {owners:?} in the {kind} of {leaks:?}"));
            }
            if own.is_empty() {
                faults.push(format!("{marker} in the {kind} of none of {owners:?}"));
            }
            let unknown = owners.iter().filter(|o| !DIALECTS.contains(&o.as_str()));
            faults.extend(unknown.map(|owner| format!("{marker}: no dialect {owner}")));
            if let [owner] = owners.as_slice() {
                alone.push(owner.clone());
            }
        }
    }
    let unmarked = DIALECTS
        .iter()
        .filter(|d| !alone.iter().any(|owner| owner == **d));
    faults.extend(unmarked.map(|dialect| format!("no marker is of {dialect} alone")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_marker_is_found_as_a_word() {
    assert!(holds("SELECT try_cast(x AS int)", "TRY_CAST"));
    assert!(!holds("SELECT my_try_cast(x)", "TRY_CAST"));
    assert!(!holds("try_caster", "TRY_CAST"));
    assert!(holds("x::date", "::"));
    assert!(!holds("strptime(a)", "strftime("));
}

#[test]
fn what_the_notes_of_sqlite_say_runs() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&fixture("sqlite")).unwrap();
    let found = snippets("sqlite");
    assert!(found.len() >= FACETS.len());
    for (facet, sql) in found {
        let mut statement = connection
            .prepare(&sql)
            .unwrap_or_else(|error| panic!("sqlite, {facet}: {error}"));
        assert!(statement.readonly(), "sqlite, {facet}: it writes");
        let mut rows = statement.query([]).unwrap();
        let first = rows
            .next()
            .unwrap_or_else(|error| panic!("sqlite, {facet}: {error}"));
        assert!(first.is_some(), "sqlite, {facet}: no rows");
    }
}

#[test]
#[ignore = "needs FACTORY_DUCKDB_LIB, which scripts/fetch_duckdb.sh fetches"]
fn every_snippet_of_duckdb_runs_confined() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.duckdb");
    duckdb_writer::write(&file, &fixture("duckdb"));
    let library = duckdb::Library::find().unwrap();
    let connection = duckdb::Connection::open(library, &file, 256 << 20).unwrap();
    let bounds = Bounds {
        rows: 1_000,
        bytes: 1 << 20,
    };
    for (facet, sql) in snippets("duckdb") {
        let answer = connection.run(&sql, bounds);
        let answer = answer.unwrap_or_else(|error| panic!("{facet}: {error}: {sql}"));
        assert!(!answer.rows.is_empty(), "{facet}: no rows: {sql}");
    }
}
