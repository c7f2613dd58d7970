//! Values of every type, against the texts that `psql` prints of them.

use super::{BOUNDS, TIMEOUTS, open, rows, started};
use factory::db::cell::Cell;
use factory::db::postgres::Connection;

/// Types that the cases need.
const TYPES: &str = r#"
    CREATE TYPE mood AS ENUM ('sad', 'so "so"', 'happy');
    CREATE TYPE pair AS (x int, "the y" text);
    CREATE TYPE nest AS (p pair, list pair[], n numeric, gone int, t timestamptz); ALTER TYPE nest DROP ATTRIBUTE gone;
    CREATE TYPE nothing AS ();
    CREATE TYPE one AS (x text);
    CREATE DOMAIN positive AS int CHECK (value > 0);
    CREATE DOMAIN few AS int[];
    CREATE TYPE with_domain AS (p positive, f few, m mood, b box[]);
    CREATE TYPE span AS RANGE (subtype = float8);
"#;

const CASES: &[&str] = &[
    "true",
    "false",
    "NULL::bool",
    "0::int2",
    "(-32768)::int2",
    "32767::int2",
    "2147483647",
    "(-2147483648)::int4",
    "9223372036854775807",
    "(-9223372036854775808)::int8",
    "4294967295::oid",
    "'pg_class'::regclass",
    "'12'::xid",
    "'(1,2)'::tid",
    "'16/B374D848'::pg_lsn",
    "0::float4",
    "1.5::float4",
    "0.1::float4",
    "3.4028235e38::float4",
    "1e-45::float4",
    "'NaN'::float4",
    "'-Infinity'::float4",
    "0.1::float8",
    "0.1::float8 + 0.2",
    "'-0'::float8",
    "1e308::float8",
    "5e-324::float8",
    "1e22::float8",
    "123456789012345680::float8",
    "'NaN'::float8",
    "'Infinity'::float8",
    "0::numeric",
    "1.50",
    "-1.50::numeric(10,2)",
    "0.000000000000000000000000001",
    "1e-20::numeric",
    "123456789012345678901234567890.123456789",
    "repeat('9', 3000)::numeric",
    "('0.' || repeat('1', 2000))::numeric",
    "'NaN'::numeric",
    "'Infinity'::numeric",
    "'-Infinity'::numeric",
    "1e5::numeric(10,-2)",
    "12.34::money",
    "(-1234567.89)::money",
    "''::text",
    "'a'",
    "'ü€😀'",
    "E'a\\tb\\nc'",
    "' '::varchar(3)",
    "'ab'::char(5)",
    "'x'::\"char\"",
    "'name'::name",
    "'a\"b\\c''d'",
    "'<null>x'",
    "'\\x'::bytea",
    "'\\x00ff10'::bytea",
    "decode(repeat('ab', 500), 'hex')",
    "'2024-02-29'::date",
    "'0001-01-01'::date",
    "'0044-03-15 BC'::date",
    "'infinity'::date",
    "'-infinity'::date",
    "'5874897-12-31'::date",
    "'00:00'::time",
    "'24:00'::time",
    "'12:34:56.789'::time",
    "'12:34:56.000001'::time(6)",
    "'12:34:56+05:30'::timetz",
    "'12:34:56-15:59:59'::timetz",
    "'2024-02-29 12:34:56'::timestamp",
    "'2024-02-29 12:34:56.1'::timestamp(3)",
    "'0044-03-15 BC'::timestamp",
    "'infinity'::timestamp",
    "'294276-12-31 23:59:59.999999'::timestamp",
    "'2024-02-29 12:34:56+02'::timestamptz",
    "'1900-01-01 00:00'::timestamptz",
    "'-infinity'::timestamptz",
    "'4713-01-01 00:00 BC'::timestamptz",
    "'0'::interval",
    "'1 year 2 months -3 days 04:05:06.7'::interval",
    "'-1 month'::interval",
    "'-178000000 years'::interval",
    "'1 day ago'::interval",
    "'00:00:00.000001'::interval",
    "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
    "'{\"a\":  [1, null]}'::json",
    "'{\"b\": 1.50, \"a\": \"ü\"}'::jsonb",
    "'$.a[*]'::jsonpath",
    "'192.168.0.1/24'::inet",
    "'::1'::inet",
    "'10.0.0.0/8'::cidr",
    "'08:00:2b:01:02:03'::macaddr",
    "'08:00:2b:01:02:03:04:05'::macaddr8",
    "B'1010'",
    "B'1'::bit(5)",
    "''::varbit",
    "'<a>1</a>'::xml",
    "'a fat cat'::tsvector",
    "'fat & !cat'::tsquery",
    "'(1,2.5)'::point",
    "'{1,2,3}'::line",
    "'[(0,0),(1,1)]'::lseg",
    "'(2,2),(0,0)'::box",
    "'((0,0),(1,1))'::path",
    "'((0,0),(1,1),(1,0))'::polygon",
    "'<(0,0),2>'::circle",
    "'[1,10)'::int4range",
    "'empty'::int4range",
    "'[2024-01-01,)'::daterange",
    "'(,\"2024-01-01 00:00:00+00\"]'::tstzrange",
    "'{[1,3),[5,7)}'::int4multirange",
    "'[1.5,2]'::span",
    "'sad'::mood",
    "'so \"so\"'::mood",
    "7::positive",
    "'{1,2}'::few",
    "'{}'::int[]",
    "ARRAY[1,NULL,3]",
    "ARRAY[[1,2],[3,4]]",
    "'[0:1]={1,2}'::int[]",
    "'[-1:0][2:3]={{1,2},{3,NULL}}'::int[]",
    "'{{{{{{1}}}}}}'::int[]",
    "ARRAY['a', '', NULL, 'NULL', 'null', 'a,b', '{x}', 'a\"b', 'c\\d', ' e ', 'ü']",
    "ARRAY[true,false,NULL]",
    "ARRAY[1.50,NULL,'NaN'::numeric]",
    "ARRAY[1.5,'NaN','-Infinity']::float8[]",
    "ARRAY['2024-02-29','infinity']::date[]",
    "ARRAY['2024-02-29 12:00+00']::timestamptz[]",
    "ARRAY['1 day -00:00:01']::interval[]",
    "ARRAY['\\x00ff','\\x']::bytea[]",
    "ARRAY['{\"a\": \"b\"}']::jsonb[]",
    "ARRAY['happy','so \"so\"']::mood[]",
    "ARRAY[1,2]::positive[]",
    "ARRAY['[1,2)','empty']::int4range[]",
    "ARRAY['(2,2),(0,0)','(3,3),(1,1)']::box[]",
    "ARRAY['(1,2)']::point[]",
    "ARRAY['ab','c']::char(3)[]",
    "ARRAY['x']::\"char\"[]",
    "ARRAY['a','b']::name[]",
    "ARRAY[1.5]::money[]",
    "'1 2 3'::int2vector",
    "'1 2'::oidvector",
    "ARRAY['1 2','3']::int2vector[]",
    "ROW(1,'a')::pair",
    "ROW(NULL,NULL)::pair",
    "ROW(1,'')::pair",
    "ROW(1,'a \"b\" (c), \\d')::pair",
    "ROW()::nothing",
    "ROW(NULL)::one",
    "ROW('')::one",
    "NULL::pair",
    "ROW(ROW(1,'a,b'),ARRAY[ROW(2,'c\"d')::pair,NULL],1.50,'2024-01-01 00:00+00')::nest",
    "ARRAY[ROW(1,'x')::pair,ROW(NULL,'\\')::pair]",
    "ARRAY[ROW(ROW(1,NULL),'{}',NULL,NULL)::nest]",
    "ROW(1,'{2,3}','so \"so\"','{(1,1),(0,0);(2,2),(0,0)}')::with_domain",
    "ROW(1,'a',NULL)",
    "ARRAY[ROW(1,'a b'),ROW(2,NULL)]",
    "'a'::cstring",
    "NULL",
    "pg_sleep(0)",
    "'=r/postgres'::aclitem",
    "'a'::text COLLATE \"C\"",
    "'simple'::regconfig",
    "'1:2:'::pg_snapshot",
];

/// What the server writes of a value, from the value.
fn written(cell: &Cell) -> Option<String> {
    Some(match cell {
        Cell::Null => return None,
        Cell::Boolean(true) => "t".to_owned(),
        Cell::Boolean(false) => "f".to_owned(),
        Cell::Integer(integer) => integer.to_string(),
        Cell::Real(real) => real.to_string().replace("inf", "Infinity"),
        Cell::Decimal(text) | Cell::Text(text) | Cell::Moment { text, .. } => text.clone(),
        Cell::Blob(bytes) => bytes
            .iter()
            .fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
        Cell::List(cells) => {
            let item = |cell: &Cell| match (cell, written(cell)) {
                (Cell::List(_), Some(list)) => list,
                (_, None) => "NULL".to_owned(),
                (_, Some(text)) => {
                    let special = |c: char| "\"\\{},; \t\n".contains(c);
                    let quoted = text.is_empty()
                        || text.eq_ignore_ascii_case("null")
                        || text.contains(special);
                    match quoted {
                        true => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
                        false => text,
                    }
                }
            };
            format!(
                "{{{}}}",
                cells.iter().map(item).collect::<Vec<_>>().join(",")
            )
        }
        Cell::Struct(fields) => {
            let item = |(_, cell): &(String, Cell)| match written(cell) {
                None => String::new(),
                Some(text) => {
                    let quoted =
                        text.is_empty() || text.contains(|c: char| "\"\\(), \t\n".contains(c));
                    match quoted {
                        true => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\"")),
                        false => text,
                    }
                }
            };
            format!(
                "({})",
                fields.iter().map(item).collect::<Vec<_>>().join(",")
            )
        }
    })
}

fn check(expression: &str, cell: &Cell, expected: &str) {
    match cell {
        Cell::Real(real) => {
            let expected: f64 = match expression.contains("float4") {
                true => expected.parse::<f32>().unwrap().into(),
                false => expected.parse().unwrap(),
            };
            assert!(
                real.to_bits() == expected.to_bits() || real.is_nan() && expected.is_nan(),
                "{expression}: {real}"
            );
        }
        _ => {
            // Bounds of arrays are not kept, and boxes have a mark of their own between them.
            let expected = match expected
                .strip_prefix('[')
                .and_then(|text| text.split_once("]={"))
            {
                Some((_, items)) if matches!(cell, Cell::List(_)) => format!("{{{items}"),
                _ => expected.to_owned(),
            };
            let written = written(cell).unwrap_or_else(|| "<null>".to_owned());
            match expression.contains("::box[]") {
                true => assert_eq!(written, "{\"(2,2),(0,0)\",\"(3,3),(1,1)\"}"),
                false if expression.contains("::with_domain") => {
                    assert_eq!(
                        written,
                        r#"(1,"{2,3}","so ""so""","{""(1,1),(0,0)"",""(2,2),(0,0)""}")"#
                    );
                }
                false => assert_eq!(written, expected, "{expression}"),
            }
        }
    }
    let back: Cell = serde_json::from_str(&serde_json::to_string(cell).unwrap()).unwrap();
    assert_eq!(format!("{back:?}"), format!("{cell:?}"), "{expression}");
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn every_type_is_read_as_psql_prints_it() {
    let Some(server) = started() else {
        return;
    };
    server.psql(TYPES);
    let printed = server.psql(&format!("SELECT {}", CASES.join(", ")));
    let printed: Vec<_> = printed.split('\x1f').collect();
    assert!(CASES.len() > 150 && printed.len() == CASES.len());
    let connection = open(&server, "postgres");
    let columns: Vec<_> = CASES
        .iter()
        .enumerate()
        .map(|(place, case)| format!("{case} AS c{place}"))
        .collect();
    // At once, and over several pieces.
    let all = format!(
        "SELECT {} FROM generate_series(1, 2500)",
        columns.join(", ")
    );
    let answer = connection.run(&all, BOUNDS).unwrap();
    assert_eq!((answer.rows.len(), answer.cut), (2500, None));
    assert_eq!(connection.prepare(&all).unwrap(), answer.columns);
    for row in [
        &answer.rows[0],
        &answer.rows[999],
        &answer.rows[1000],
        &answer.rows[2499],
    ] {
        for ((case, cell), printed) in CASES.iter().zip(row).zip(&printed) {
            check(case, cell, printed);
        }
    }
    assert!(
        answer
            .rows
            .iter()
            .all(|row| format!("{row:?}") == format!("{:?}", answer.rows[0]))
    );
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn values_have_the_kinds_of_their_types() {
    let Some(server) = started() else {
        return;
    };
    server.psql(TYPES);
    server.psql("CREATE TABLE t(id int, \"price €\" numeric(10,2), tags varchar(5)[], p pair, m mood, d positive); INSERT INTO t VALUES (1, 2, '{a}', (3, 'b'), 'sad', 5)");
    let connection = open(&server, "postgres");
    let text = |text: &str| Cell::Text(text.to_owned());
    let answer = connection.run("SELECT *, t FROM t", BOUNDS).unwrap();
    let columns: Vec<_> = answer
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.declared.as_str()))
        .collect();
    assert_eq!(
        columns,
        [
            ("id", "integer"),
            ("price €", "numeric(10,2)"),
            ("tags", "character varying(5)[]"),
            ("p", "pair"),
            ("m", "mood"),
            ("d", "integer"),
            ("t", "t"),
        ]
    );
    let pair = Cell::Struct(vec![
        ("x".to_owned(), Cell::Integer(3)),
        ("the y".to_owned(), text("b")),
    ]);
    let row = [
        Cell::Integer(1),
        Cell::Decimal("2.00".to_owned()),
        Cell::List(vec![text("a")]),
        pair,
        text("sad"),
        Cell::Integer(5),
    ];
    assert_eq!(answer.rows[0][..6], row);
    let names = ["id", "price €", "tags", "p", "m", "d"].map(str::to_owned);
    let fields = names.into_iter().zip(row).collect();
    assert_eq!(answer.rows[0][6], Cell::Struct(fields));
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn types_in_types_too_deep_are_refused_by_name() {
    let Some(server) = started() else {
        return;
    };
    let mut types = "CREATE TYPE d0 AS (x int);".to_owned();
    for depth in 1..=40 {
        types += &format!("CREATE TYPE d{depth} AS (x d{});", depth - 1);
    }
    server.psql(&types);
    let connection = open(&server, "postgres");
    let error = connection
        .run("SELECT NULL::d40 AS v", BOUNDS)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("refused: column \"v\" is d40, of types in types too deep"),
        "{error}"
    );
    assert_eq!(
        rows(&connection, "SELECT NULL::d40::text AS v, NULL::d20"),
        [[Cell::Null, Cell::Null]]
    );
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn text_of_other_encodings_comes_as_utf_8_or_is_refused_by_the_server() {
    let Some(server) = started() else {
        return;
    };
    for encoding in ["LATIN1", "SQL_ASCII"] {
        server.psql(&format!(
            "CREATE DATABASE \"{encoding}\" ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
        ));
    }
    let open =
        |database: &str| Connection::new(&server.url("postgres", database), TIMEOUTS).unwrap();
    let text = Cell::Text("ü".to_owned());
    let sql = "SELECT 'ü', chr(252) AS v";
    assert_eq!(rows(&open("LATIN1"), sql), [[text.clone(), text]]);
    let error = open("SQL_ASCII")
        .run("SELECT E'a\\xff'", BOUNDS)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "invalid byte sequence for encoding \"UTF8\": 0xff (22021)"
    );
}
