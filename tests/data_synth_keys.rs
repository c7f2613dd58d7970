//! `factory data synth --db`: which keys its queries join tables by.

#[path = "common/synth.rs"]
mod set;

use rusqlite::Connection;
use serde_json::Value;
use set::{rows, synth, text};
use tempfile::TempDir;

#[test]
fn keys_that_are_only_called_alike_lead_nowhere() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let connection = Connection::open(folder.path().join("two.db")).unwrap();
    let tables = "create table cars(row_names text, speed integer); create table pines(row_names text, height integer);";
    connection.execute_batch(tables).unwrap();
    for at in 1..=30 {
        for table in ["cars", "pines"] {
            let sql = format!("insert into {table} values ('{at}', {at} * 37 % 23)");
            connection.execute(&sql, []).unwrap();
        }
    }
    let (db, out) = (path("two.db"), path("set"));
    let output = synth(&["--db", &db, "--out", &out, "--rows", "50", "--dev", "0"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("two has no keys"), "{said}");
}

#[test]
fn of_several_keys_to_one_table_only_one_that_is_named_after_it_is_joined_by() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let connection = Connection::open(folder.path().join("travel.db")).unwrap();
    let tables = "
        create table stations(id integer primary key, name text, region text);
        create table lines(id integer primary key, name text, colour text);
        create table journeys(id integer primary key, origin_id integer references stations(id), destination_id integer references stations(id),
                              line_id integer references lines(id), relief_line_id integer references lines(id), passengers integer);";
    connection.execute_batch(tables).unwrap();
    let (regions, colours) = (["North", "South", "West"], ["red", "green", "blue", "grey"]);
    for at in 0..8 {
        let (region, colour) = (regions[at % 3], colours[at % 4]);
        let sql = format!(
            "insert into stations values ({at}, 'Station {at}', '{region}');
             insert into lines values ({at}, 'Line {at}', '{colour}');"
        );
        connection.execute_batch(&sql).unwrap();
    }
    for at in 0..60 {
        let keys = [at % 8, (at + 3) % 8, at * 5 % 8, (at + 1) % 8].map(|key| key.to_string());
        let sql = format!(
            "insert into journeys values ({at}, {}, {});",
            keys.join(", "),
            at * 37 % 90
        );
        connection.execute_batch(&sql).unwrap();
    }
    let (db, out) = (path("travel.db"), folder.path().join("set"));
    let to = out.to_str().unwrap();
    let output = synth(&["--db", &db, "--out", to, "--rows", "200", "--dev", "0"]);
    let said = String::from_utf8(output.stdout).unwrap();
    for note in [
        "travel: no query joins journeys to stations by origin_id or destination_id",
        "travel: no query joins journeys to lines by relief_line_id",
    ] {
        assert!(said.contains(note), "{said}");
    }
    let rows = rows(&out.join("train.jsonl"));
    let joined = |key: &str| {
        let by = |row: &&Value| text(row, "response").contains(key);
        rows.iter().filter(by).count()
    };
    assert!(joined(".line_id =") > 10, "{}", joined(".line_id ="));
    for key in ["origin_id", "destination_id", "relief_line_id"] {
        assert_eq!(joined(key), 0, "{key}");
    }
}
