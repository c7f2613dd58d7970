//! What catalogs say.

use super::{BOUNDS, open, rows, started};
use factory::db::answer::Column;
use factory::db::cell::Cell;
use factory::db::schema::ForeignKey;

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn a_schema_is_what_the_role_may_read() {
    let Some(server) = started() else {
        return;
    };
    server.psql(
        r#"CREATE TABLE maker(land text, number int, PRIMARY KEY (number, land));
        CREATE TABLE toy(id serial PRIMARY KEY, "price €" numeric(10,2), tags text[], gone int, land text, number int, secret text,
            next int REFERENCES toy, FOREIGN KEY (land, number) REFERENCES maker(land, number));
        ALTER TABLE toy DROP COLUMN gone;
        INSERT INTO maker SELECT 'x', generate_series(1, 300); ANALYZE maker;
        CREATE VIEW cheap AS SELECT id FROM toy; CREATE MATERIALIZED VIEW kept AS SELECT number FROM maker;
        CREATE TABLE parts(day date, x int, PRIMARY KEY (day, x)) PARTITION BY RANGE (day);
        CREATE TABLE parts_2024 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
        CREATE TABLE names_part(day date, x int, FOREIGN KEY (day, x) REFERENCES parts);
        CREATE SCHEMA "a ""b"" c"; CREATE TABLE "a ""b"" c"."odd'; DROP TABLE toy"("""" int, "Maker" int);
        CREATE SCHEMA hidden; CREATE TABLE hidden.t(a int); CREATE TABLE denied(a int PRIMARY KEY);
        CREATE TABLE partly(a int PRIMARY KEY, b int, c int REFERENCES denied, d int REFERENCES toy);
        CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA "a ""b"" c" TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA "a ""b"" c", hidden TO reader;
        GRANT SELECT ON maker, toy, cheap, kept, parts, parts_2024, names_part TO reader; GRANT SELECT (b, c, d) ON partly TO reader;"#,
    );
    let connection = open(&server, "reader");
    let schema = connection.schema().unwrap();
    let names: Vec<_> = schema
        .iter()
        .map(|table| (table.schema.as_str(), table.name.as_str(), table.view))
        .collect();
    assert_eq!(
        names,
        [
            ("a \"b\" c", "odd'; DROP TABLE toy", false),
            ("public", "cheap", true),
            ("public", "kept", true),
            ("public", "maker", false),
            ("public", "names_part", false),
            ("public", "partly", false),
            ("public", "parts", false),
            ("public", "toy", false),
        ]
    );
    let column = |name: &str, declared: &str| Column {
        name: name.to_owned(),
        declared: declared.to_owned(),
    };
    let texts = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        schema[0].columns,
        [column("\"", "integer"), column("Maker", "integer")]
    );
    assert_eq!((schema[1].rows, schema[3].rows), (None, Some(300)));
    assert_eq!(schema[3].primary_key, ["number", "land"]);
    assert_eq!(schema[6].primary_key, ["day", "x"]);
    let key = |columns: &[&str], table: &str, referenced: &[&str]| ForeignKey {
        columns: texts(columns),
        table: table.to_owned(),
        referenced: texts(referenced),
    };
    assert_eq!(
        schema[4].foreign_keys,
        [key(&["day", "x"], "parts", &["day", "x"])]
    );
    // Its own key is of a column that may not be read, and one of its others leads to a table that may not be.
    assert_eq!(
        schema[5].columns,
        [
            column("b", "integer"),
            column("c", "integer"),
            column("d", "integer")
        ]
    );
    assert_eq!(
        (schema[5].primary_key.len(), &schema[5].foreign_keys[..]),
        (0, &[key(&["d"], "toy", &["id"])][..])
    );
    let toy = &schema[7];
    assert_eq!(
        toy.columns[..4],
        [
            column("id", "integer"),
            column("price €", "numeric(10,2)"),
            column("tags", "text[]"),
            column("land", "text")
        ]
    );
    assert_eq!(toy.primary_key, ["id"]);
    assert_eq!(
        toy.foreign_keys,
        [
            key(&["land", "number"], "maker", &["land", "number"]),
            key(&["next"], "toy", &["id"])
        ]
    );
    let all = open(&server, "postgres").schema().unwrap();
    assert_eq!(all.len(), 10);
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn ten_thousand_tables_are_listed() {
    let Some(server) = started() else {
        return;
    };
    server.psql(
        "DO $$ BEGIN FOR i IN 1..10000 LOOP
             EXECUTE format('CREATE TABLE t%s(id int PRIMARY KEY, a text)', i);
             IF i % 500 = 0 THEN COMMIT; END IF;
         END LOOP; END $$",
    );
    let connection = open(&server, "postgres");
    let schema = connection.schema().unwrap();
    assert_eq!(schema.len(), 10_000);
    assert!(
        schema
            .iter()
            .all(|table| table.columns.len() == 2 && table.primary_key == ["id"])
    );
    assert_eq!(
        rows(&connection, "SELECT count(*) FROM t77"),
        [[Cell::Integer(0)]]
    );
    assert!(connection.run("SELECT * FROM t10001", BOUNDS).is_err());
}
