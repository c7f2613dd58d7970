//! The corners of every mode: pairs of a prediction and a reference with the verdict of each.

#[path = "common/scoring.rs"]
mod scoring;

use scoring::{Fixture, read_rows, stdout};
use serde_json::json;
use std::fs;

const SCHEMA: &str = "
CREATE TABLE teams(id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE players(id INTEGER PRIMARY KEY, name TEXT, team_id INTEGER REFERENCES teams(id), goals INTEGER, weight REAL);
CREATE TABLE nobody(a INTEGER, b TEXT);
INSERT INTO teams VALUES (1, 'red'), (2, 'blue'), (3, 'grey');
INSERT INTO players VALUES (1, 'Uma', 1, 4, 70.0), (2, 'Vic', 1, NULL, 81.5), (3, 'Wyn', 2, 4, 66.0), (4, 'Xia', NULL, 0, NULL);
";

const COLUMNS: [&str; 5] = [
    "exec_match",
    "exact_match",
    "spider_ts_match",
    "spider_em_match",
    "bird_ex_match",
];

/// What it is, the prediction, the reference, and the verdicts in the order of [`COLUMNS`].
const PAIRS: [(&str, &str, &str, [u8; 5]); 35] = [
    (
        "the same",
        "SELECT name FROM teams",
        "SELECT name FROM teams",
        [1, 1, 1, 1, 1],
    ),
    (
        "letter case and space",
        "select  NAME\nfrom Teams",
        "SELECT name FROM teams",
        [1, 1, 1, 1, 1],
    ),
    (
        "a semicolon behind",
        "SELECT name FROM teams;",
        "SELECT name FROM teams",
        [1, 0, 1, 1, 1],
    ),
    (
        "an order that nobody asked for",
        "SELECT name FROM teams ORDER BY name DESC",
        "SELECT name FROM teams",
        [1, 0, 1, 0, 1],
    ),
    (
        "the other order",
        "SELECT name FROM teams ORDER BY id",
        "SELECT name FROM teams ORDER BY id DESC",
        [1, 0, 0, 0, 1],
    ),
    (
        "an order met by chance",
        "SELECT name FROM teams",
        "SELECT name FROM teams ORDER BY id",
        [1, 0, 1, 0, 1],
    ),
    (
        "columns swapped",
        "SELECT id, name FROM teams",
        "SELECT name, id FROM teams",
        [0, 0, 1, 1, 0],
    ),
    (
        "a column too few",
        "SELECT name FROM teams",
        "SELECT name, id FROM teams",
        [0, 0, 0, 0, 0],
    ),
    (
        "duplicates",
        "SELECT T1.name FROM teams AS T1 JOIN players AS T2 ON T2.team_id = T1.id",
        "SELECT name FROM teams WHERE id < 3",
        [0, 0, 0, 0, 1],
    ),
    (
        "distinct too much",
        "SELECT DISTINCT team_id FROM players WHERE team_id = 1",
        "SELECT team_id FROM players WHERE team_id = 1",
        [0, 0, 1, 1, 1],
    ),
    (
        "a whole number as a real",
        "SELECT goals * 1.0 FROM players",
        "SELECT goals FROM players",
        [0, 0, 1, 0, 1],
    ),
    (
        "a number as text",
        "SELECT CAST(id AS TEXT) FROM teams",
        "SELECT id FROM teams",
        [1, 0, 0, 0, 0],
    ),
    (
        "NULL as 0",
        "SELECT coalesce(goals, 0) FROM players WHERE id = 2",
        "SELECT goals FROM players WHERE id = 2",
        [0, 0, 0, 0, 0],
    ),
    (
        "NULL as nothing",
        "SELECT NULL FROM teams WHERE id = 1",
        "SELECT a FROM nobody",
        [0, 0, 0, 0, 0],
    ),
    (
        "nothing in other columns",
        "SELECT a, b FROM nobody",
        "SELECT name FROM teams WHERE id > 9",
        [1, 0, 1, 0, 1],
    ),
    (
        "a literal",
        "SELECT name FROM teams WHERE name = 'red'",
        "SELECT name FROM teams WHERE name = 'blue'",
        [0, 0, 0, 1, 0],
    ),
    (
        "a literal's letter case",
        "SELECT id FROM teams WHERE name = 'Red'",
        "SELECT id FROM teams WHERE name = 'red'",
        [0, 0, 0, 1, 0],
    ),
    (
        "text in double quotes",
        "SELECT id FROM teams WHERE name = \"red\"",
        "SELECT id FROM teams WHERE name = 'red'",
        [1, 0, 1, 1, 1],
    ),
    (
        "another join",
        "SELECT T1.name FROM players AS T1 JOIN teams AS T2 ON T1.id = T2.id",
        "SELECT T1.name FROM players AS T1 JOIN teams AS T2 ON T1.team_id = T2.id",
        [1, 0, 1, 1, 1],
    ),
    (
        "a foreign key's other end",
        "SELECT T2.team_id FROM teams AS T1 JOIN players AS T2 ON T1.id = T2.team_id",
        "SELECT T1.id FROM teams AS T1 JOIN players AS T2 ON T1.id = T2.team_id",
        [1, 0, 1, 1, 1],
    ),
    (
        "another limit",
        "SELECT name FROM teams ORDER BY id LIMIT 9",
        "SELECT name FROM teams ORDER BY id LIMIT 3",
        [1, 0, 1, 1, 1],
    ),
    (
        "an alias",
        "SELECT name AS n FROM teams",
        "SELECT name FROM teams",
        [1, 0, 1, 0, 1],
    ),
    (
        "a subquery for a join",
        "SELECT name FROM players WHERE team_id IN (SELECT id FROM teams WHERE name = 'red')",
        "SELECT T1.name FROM players AS T1 JOIN teams AS T2 ON T1.team_id = T2.id WHERE T2.name = 'red'",
        [1, 0, 1, 0, 1],
    ),
    (
        "a common table expression",
        "WITH t AS (SELECT name FROM teams) SELECT name FROM t",
        "SELECT name FROM teams",
        [1, 0, 1, 0, 1],
    ),
    (
        "values without select",
        "VALUES ('red'), ('blue'), ('grey')",
        "SELECT name FROM teams",
        [0, 0, 1, 0, 1],
    ),
    (
        "prose before",
        "Answer: SELECT name FROM teams; done",
        "SELECT name FROM teams",
        [1, 0, 0, 0, 0],
    ),
    (
        "a fence",
        "```sql\nSELECT name FROM teams\n```",
        "SELECT name FROM teams",
        [1, 1, 0, 0, 0],
    ),
    (
        "a second statement",
        "SELECT name FROM teams; SELECT 1",
        "SELECT name FROM teams",
        [1, 0, 1, 1, 0],
    ),
    (
        "a semicolon in a literal",
        "SELECT name FROM teams WHERE name != 'a;b'",
        "SELECT name FROM teams",
        [1, 0, 1, 0, 1],
    ),
    (
        "a comment",
        "SELECT name /* all */ FROM teams",
        "SELECT name FROM teams",
        [1, 0, 1, 1, 1],
    ),
    (
        "an unknown column",
        "SELECT nope FROM teams",
        "SELECT name FROM teams",
        [0, 0, 0, 0, 0],
    ),
    (
        "no query",
        "I do not know.",
        "SELECT name FROM teams",
        [0, 0, 0, 0, 0],
    ),
    (
        "a statement for an empty result",
        "UPDATE teams SET name = '' WHERE 0",
        "SELECT name FROM teams WHERE id > 9",
        [0, 0, 0, 0, 0],
    ),
    (
        "explain",
        "EXPLAIN SELECT name FROM teams",
        "SELECT name FROM teams",
        [0, 0, 0, 0, 0],
    ),
    (
        "twelve columns alike",
        "SELECT id, id, id, id, id, id, id, id, id, id, id, id FROM teams",
        "SELECT id, id, id, id, id, id, id, id, id, id, id, id FROM teams",
        [1, 1, 1, 1, 1],
    ),
];

fn verdicts(flags: &[&str]) -> Vec<[u8; 5]> {
    let fixture = Fixture::rows(&[]);
    fs::write(fixture.path("x.sql"), SCHEMA).unwrap();
    let line = |(name, predicted, gold, _): &(&str, &str, &str, _)| {
        json!({"id": name, "db": "x", "predicted_sql": predicted, "gold_sql": gold}).to_string()
            + "\n"
    };
    fs::write(fixture.preds(), PAIRS.iter().map(line).collect::<String>()).unwrap();
    let (preds, out) = (fixture.preds(), fixture.path("rows.jsonl"));
    let all = [
        "--mode",
        "factory,spider-ts,spider-em,bird-ex",
        "--out",
        &out,
    ];
    stdout(&[&[&preds[..]], &all[..], flags].concat());
    let of_row =
        |row: serde_json::Value| COLUMNS.map(|column| u8::from(row[column].as_bool().unwrap()));
    read_rows(out).into_iter().map(of_row).collect()
}

#[test]
fn every_pair_has_its_verdicts() {
    for (found, (name, _, _, expected)) in verdicts(&[]).iter().zip(PAIRS) {
        assert_eq!(*found, expected, "{name}: {COLUMNS:?}");
    }
}

#[test]
fn distinct_counts_where_it_is_kept() {
    let kept = verdicts(&["--keep-distinct"]);
    for (found, (name, _, _, mut expected)) in kept.iter().zip(PAIRS) {
        if ["distinct too much", "a second statement"].contains(&name) {
            expected[2] = 0;
        }
        assert_eq!(*found, expected, "{name}: {COLUMNS:?}");
    }
}
