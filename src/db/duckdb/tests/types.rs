//! Values of every type, against the texts that DuckDB's Python package gave (scripts/golden_duckdb.py).

use super::{BOUNDS, made, open, rows};
use crate::db::cell::Cell;
use serde::Deserialize;
use std::fmt::Write;

/// A value in SQL, its type and its text.
#[derive(Deserialize)]
struct Case {
    expression: String,
    #[serde(rename = "type")]
    declared: String,
    text: Option<String>,
}

fn cases() -> Vec<Case> {
    let goldens = include_str!("../../../../tests/goldens/duckdb_types.json");
    serde_json::from_str(goldens).unwrap()
}

/// DuckDB's text of a value, for values in which it quotes nothing.
fn text(cell: &Cell) -> Option<String> {
    let part = |cell: &Cell| text(cell).unwrap_or_else(|| "NULL".to_owned());
    Some(match cell {
        Cell::Null => return None,
        Cell::Boolean(boolean) => boolean.to_string(),
        Cell::Integer(integer) => integer.to_string(),
        Cell::Real(real) => real.to_string(),
        Cell::Decimal(text) | Cell::Text(text) | Cell::Moment { text, .. } => text.clone(),
        Cell::Blob(bytes) => bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02X}").unwrap();
            hex
        }),
        Cell::List(cells) => {
            let parts: Vec<_> = cells.iter().map(part).collect();
            format!("[{}]", parts.join(", "))
        }
        Cell::Struct(fields) if fields.iter().all(|(name, _)| name.is_empty()) => {
            let parts: Vec<_> = fields.iter().map(|(_, cell)| part(cell)).collect();
            format!("({})", parts.join(", "))
        }
        Cell::Struct(fields) => {
            let field = |(name, cell): &(String, Cell)| format!("'{name}': {}", part(cell));
            let fields: Vec<_> = fields.iter().map(field).collect();
            format!("{{{}}}", fields.join(", "))
        }
    })
}

fn check(case: &Case, cell: &Cell) {
    let Case {
        expression,
        declared,
        text: expected,
    } = case;
    let back: Cell = serde_json::from_str(&serde_json::to_string(cell).unwrap()).unwrap();
    match (cell, expected) {
        // Numbers as numbers: the texts of floating point are Rust's here.
        (Cell::Real(real), Some(expected)) => {
            let expected = match declared.as_str() {
                "FLOAT" => f64::from(expected.parse::<f32>().unwrap()),
                _ => expected.parse().unwrap(),
            };
            let same = |real: f64| {
                real.to_bits() == expected.to_bits() || (real.is_nan() && expected.is_nan())
            };
            assert!(same(*real), "{expression}: {real}");
            assert!(
                matches!(back, Cell::Real(back) if same(back)),
                "{expression}: {back:?}"
            );
        }
        _ => {
            // DuckDB leaves the zero before a point out where the type has no place for it.
            let whole = |text: &String| match text.trim_start_matches('-').starts_with('.') {
                true => text.replacen('.', "0.", 1),
                false => text.clone(),
            };
            assert_eq!(text(cell), expected.as_ref().map(whole), "{expression}");
            assert_eq!(&back, cell, "{expression}");
        }
    }
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn every_type_is_read_as_duckdb_writes_it() {
    let (_folder, file) = made(&["CREATE TABLE t(a INTEGER)"]);
    let connection = open(&file);
    let cases = cases();
    assert!(cases.len() > 120);
    for case in &cases {
        let sql = format!("SELECT {} AS v", case.expression);
        let answer = connection.run(&sql, BOUNDS).unwrap();
        let columns = connection.prepare(&sql).unwrap();
        assert_eq!(answer.columns, columns);
        assert_eq!(columns[0].declared, case.declared, "{sql}");
        assert_eq!(columns[0].name, "v");
        check(case, &answer.rows[0][0]);
    }
}

/// Stored, with NULL between values, over several chunks, and in parts of other values.
#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn stored_values_come_back_from_every_kind_of_vector() {
    // No table has a column of NULL alone, or of a struct without names.
    let stored = |case: &Case| case.text.is_some() && !case.expression.starts_with("row(");
    let cases: Vec<_> = cases().into_iter().filter(stored).collect();
    let columns = cases.iter().enumerate();
    let columns: Vec<_> = columns
        .map(|(place, case)| format!("{} AS c{place}", case.expression))
        .collect();
    let create = format!(
        "CREATE TABLE t AS SELECT i, {} FROM range(3000) r(i) WHERE i % 3 <> 0
         UNION ALL SELECT i{} FROM range(3000) r(i) WHERE i % 3 = 0 ORDER BY i",
        columns.join(", "),
        ", NULL".repeat(cases.len())
    );
    let (_folder, file) = made(&[&create]);
    let connection = open(&file);
    for (place, case) in cases.iter().enumerate() {
        let c = format!("c{place}");
        for (sql, every) in [
            (format!("SELECT i, {c} FROM t"), 3000),
            (format!("SELECT i, {c} FROM t WHERE i % 7 = 1"), 429),
            (
                format!("SELECT i, {c} FROM t ORDER BY i DESC LIMIT 2500"),
                2500,
            ),
            (
                format!("SELECT t.i, t.{c} FROM range(3000) r(i) JOIN t USING (i)"),
                3000,
            ),
        ] {
            let rows = rows(&connection, &sql);
            assert_eq!(rows.len(), every, "{sql}");
            for row in rows {
                match row[0] {
                    Cell::Integer(i) if i % 3 == 0 => assert_eq!(row[1], Cell::Null, "{sql}"),
                    _ => check(case, &row[1]),
                }
            }
        }
        let packed =
            format!("SELECT {{'s': {c}, 'l': [{c}, NULL]}}, [[{c}], []] FROM t WHERE i % 7 = 1");
        for row in rows(&connection, &packed) {
            let Cell::Struct(fields) = &row[0] else {
                panic!("{row:?}")
            };
            let (value, list) = (&fields[0].1, &fields[1].1);
            let one = |cell: Cell| Cell::List(vec![cell]);
            if value != &Cell::Null {
                check(case, value);
            }
            // NaN is no equal of itself.
            let shown = |cell: &Cell| format!("{cell:?}");
            assert_eq!(
                shown(list),
                shown(&Cell::List(vec![value.clone(), Cell::Null]))
            );
            assert_eq!(
                shown(&row[1]),
                shown(&Cell::List(vec![one(value.clone()), Cell::List(vec![])]))
            );
        }
    }
}

/// Lists whose parts lie in dictionaries and come filtered, so that places in the parent and in the child differ.
#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn lists_of_changing_length_come_back() {
    let (_folder, file) = made(&[
        "CREATE TABLE t AS SELECT i, list_transform(range(i % 5), lambda x: 'name number ' || ((i + x) % 10)) AS names
         FROM range(10000) r(i)",
    ]);
    let connection = open(&file);
    for sql in [
        "SELECT i, names FROM t WHERE i % 3 = 2",
        "SELECT i, list(name) FROM (SELECT i, unnest(names) AS name FROM t WHERE i % 3 = 2) GROUP BY i",
        "SELECT i, (names::VARCHAR[])[:] FROM t WHERE i % 3 = 2 ORDER BY i DESC",
        "SELECT i, s.n FROM (SELECT i, {'n': names} AS s FROM t) WHERE i % 3 = 2",
        "SELECT i, list_transform(m, lambda e: e['k'][1]) FROM
         (SELECT i, list_transform(names, lambda n: MAP {'k': [n]}['k']) AS x, list_transform(names, lambda n: {'k': [n]}) AS m FROM t WHERE i % 3 = 2)",
    ] {
        let rows = rows(&connection, sql);
        assert!(rows.len() >= 2_600, "{sql}: {}", rows.len());
        for row in rows {
            let (Cell::Integer(i), Cell::List(names)) = (&row[0], &row[1]) else {
                panic!("{sql}: {row:?}")
            };
            let name = |x| Cell::Text(format!("name number {}", (i + x) % 10));
            let expected: Vec<_> = (0..i % 5).map(name).collect();
            assert_eq!(names, &expected, "{sql}: {i}");
        }
    }
}

#[test]
#[ignore = "needs DuckDB's library, which scripts/fetch_duckdb.sh fetches; scripts/test.sh runs it"]
fn a_type_that_is_not_read_is_refused_by_name() {
    let (_folder, file) = made(&["CREATE TABLE t(a INTEGER)"]);
    let connection = open(&file);
    let deep = format!("SELECT {}1{} AS v", "[".repeat(40), "]".repeat(40));
    for (sql, name) in [
        ("SELECT 12::BIGNUM AS v", "BIGNUM"),
        ("SELECT [12::BIGNUM] AS v", "BIGNUM"),
        ("SELECT 12::VARIANT AS v", "VARIANT"),
        ("SELECT 'POINT(1 2)'::GEOMETRY AS v", "GEOMETRY"),
        (&deep, "more than 32 levels"),
    ] {
        let error = connection.run(sql, BOUNDS).unwrap_err().to_string();
        assert!(
            error.starts_with("refused: column \"v\" is ") && error.contains(name),
            "{sql}: {error}"
        );
        assert!(connection.prepare(sql).is_ok());
        assert!(
            connection
                .run(&sql.replace(" AS v", "::VARCHAR"), BOUNDS)
                .is_ok()
        );
    }
}
