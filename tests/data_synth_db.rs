//! `factory data synth --db`, from outside.

#[path = "common/synth.rs"]
mod set;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use factory::sql::shape::shape;
use rusqlite::Connection;
use serde_json::Value;
use set::{rows, synth, text};
use tempfile::TempDir;

const TABLES: &str = "
    create table harbors(id integer primary key, name text, coast text);
    create table boats(id integer primary key, name text, harbor_id integer references harbors(id),
                       kind text, length integer, built integer, sold_on text);
    create table crew(id integer primary key, name text, boat_id integer, role text, pay integer);";

fn database(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(TABLES).unwrap();
    for (at, name) in ["Skagen", "Bergen", "Gdynia", "Ystad", "Vardo"]
        .iter()
        .enumerate()
    {
        let coast = if at % 2 == 0 { "north" } else { "south" };
        let row = (at as i64 + 1, name, coast);
        connection
            .execute("insert into harbors values (?1, ?2, ?3)", row)
            .unwrap();
    }
    for at in 1..=60i64 {
        let kind = ["trawler", "ferry", "tug", "yacht"][(at * 7 % 4) as usize];
        let sold =
            (at % 3 == 0).then(|| format!("20{:02}-0{}-1{}", 10 + at % 9, 1 + at % 8, at % 9));
        let row = (
            at,
            format!("Boat {at}"),
            1 + at * 11 % 5,
            kind,
            5 + at * 37 % 83,
            1970 + at * 13 % 50,
            sold,
        );
        let sql = "insert into boats values (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        connection.execute(sql, row).unwrap();
    }
    for at in 1..=150i64 {
        let role = ["captain", "cook", "deckhand"][(at * 5 % 3) as usize];
        let row = (
            at,
            format!("Sailor {at}"),
            1 + at * 17 % 55,
            role,
            1000 + at * 71 % 977,
        );
        connection
            .execute("insert into crew values (?1, ?2, ?3, ?4, ?5)", row)
            .unwrap();
    }
    connection
}

fn error(output: &Output, code: i32) -> String {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{error}");
    error
}

#[test]
fn a_database_becomes_a_set_that_keeps_its_promises() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    database(folder.path().join("port.db").as_path());
    let make = |out: &str, more: &[&str]| {
        let (db, out) = (path("port.db"), path(out));
        let mut arguments = vec![
            "--db",
            &db,
            "--out",
            &out,
            "--rows",
            "400",
            "--dev",
            "40",
            "--preferences",
            "60",
        ];
        arguments.extend(more);
        let output = synth(&arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let said = make("one", &[]);
    assert!(
        said.contains(
            "port: crew.boat_id was taken for a key to boats.id: it is named after the table boats"
        ),
        "{said}"
    );
    make("two", &[]);
    make("three", &["--seed", "1"]);
    let out = folder.path().join("one");
    for name in [
        "train.jsonl",
        "dev.jsonl",
        "preferences.jsonl",
        "card.md",
        "names.toml",
        "manifest.json",
        "databases/port.db",
    ] {
        let content = fs::read(out.join(name)).unwrap();
        assert!(
            content == fs::read(folder.path().join("two").join(name)).unwrap(),
            "{name} differs"
        );
    }
    let (train, dev) = (rows(&out.join("train.jsonl")), rows(&out.join("dev.jsonl")));
    assert!(
        fs::read(out.join("train.jsonl")).unwrap()
            != fs::read(folder.path().join("three/train.jsonl")).unwrap()
    );
    assert_eq!((train.len(), dev.len()), (400, 40));
    assert_eq!(rows(&out.join("preferences.jsonl")).len(), 60);

    let questions: BTreeSet<&str> = train.iter().map(|row| text(row, "question")).collect();
    let queries: BTreeSet<&str> = train.iter().map(|row| text(row, "response")).collect();
    let shapes: BTreeSet<String> = queries.iter().map(|sql| shape(sql)).collect();
    assert!(
        questions.len() == 400 && shapes.len() > 60,
        "{}",
        shapes.len()
    );
    let mut unseen = 0;
    for row in &dev {
        let sql = text(row, "gold_sql");
        assert!(
            !questions.contains(text(row, "question")) && !queries.contains(sql),
            "{sql}"
        );
        let is_seen = shapes.contains(&shape(sql));
        assert_eq!(
            text(row, "slice"),
            if is_seen {
                "seen-shape"
            } else {
                "unseen-shape"
            }
        );
        unseen += usize::from(!is_seen);
        let end = format!("\nQuestion: {}", text(row, "question"));
        let start = "Write one SQLite query that answers the question.\nSchema: harbors(id, name, coast); boats(";
        assert!(text(row, "prompt").starts_with(start) && text(row, "prompt").ends_with(&end));
    }
    assert!((10..=20).contains(&unseen), "{unseen}");
    let other = rows(&folder.path().join("three/train.jsonl"));
    let both = || train.iter().chain(&other);
    let joined = |count: u64| both().filter(|row| row["tables"] == count).count();
    assert!(
        joined(2) > 160 && joined(3) > 20,
        "{} {}",
        joined(2),
        joined(3)
    );

    // The audit runs each query forwards, backwards and with ties the other way.
    let golds: Vec<String> = train
        .iter()
        .map(|row| {
            serde_json::json!({"id": row["id"], "db": row["db"], "gold_sql": row["response"]})
                .to_string()
        })
        .chain(dev.iter().map(Value::to_string))
        .collect();
    fs::write(folder.path().join("golds.jsonl"), golds.join("\n")).unwrap();
    let audit = Command::new(env!("CARGO_BIN_EXE_factory"))
        .args(["eval-sql", &path("golds.jsonl"), "--db-dir"])
        .arg(out.join("databases"))
        .args(["--audit-gold", "--strict"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(
        audit.status.success() && said.contains("sound=440 odd=0"),
        "{said}"
    );
    // No filter is idle: without its condition each query answers otherwise.
    let connection = Connection::open(folder.path().join("port.db")).unwrap();
    let answer = |sql: &str| -> String {
        let mut statement = connection.prepare(sql).unwrap();
        let width = statement.column_count();
        let cells = statement.query_map([], |row| {
            let cells: Result<Vec<rusqlite::types::Value>, _> =
                (0..width).map(|at| row.get(at)).collect();
            cells
        });
        let mut cells: Vec<String> = cells.unwrap().map(|row| format!("{row:?}")).collect();
        cells.sort();
        cells.join("\n")
    };
    let mut looked_at = 0;
    for sql in queries {
        if let Some((before, rest)) = sql.split_once(" where ")
            && !rest.contains(" group ")
            && !rest.contains("select")
            && !rest.contains(" order ")
            && !["union", "intersect", "except"]
                .iter()
                .any(|word| sql.contains(word))
        {
            looked_at += 1;
            assert_ne!(answer(sql), answer(before), "{sql}");
        }
    }
    assert!(looked_at > 100, "{looked_at}");
}

#[test]
fn the_names_file_is_written_once_and_then_obeyed() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    database(folder.path().join("port.db").as_path());
    let (db, out, names) = (path("port.db"), path("set"), path("words.toml"));
    let arguments = [
        "--db", &db, "--out", &out, "--rows", "150", "--dev", "10", "--names", &names,
    ];
    assert!(synth(&arguments).status.success());
    let written = fs::read_to_string(&names).unwrap();
    for part in [
        "[port.boats]",
        "many = [\"boats\"]",
        "label = [\"name\"]",
        "[port.boats.compare.length]",
    ] {
        assert!(written.contains(part), "{part}: {written}");
    }
    assert!(!folder.path().join("set/names.toml").exists());
    let edited = written.replace("many = [\"boats\"]", "many = [\"vessels\"]");
    fs::write(&names, &edited).unwrap();
    assert!(synth(&arguments).status.success());
    let questions = fs::read_to_string(folder.path().join("set/train.jsonl")).unwrap();
    assert!(questions.contains(" vessels "));
    assert_eq!(fs::read_to_string(&names).unwrap(), edited);
    for (from, to, expected) in [
        (
            "[port.boats]",
            "[port.ships]",
            "the database has no table `ships`",
        ),
        ("[port.", "[harbour.", "no database of this name"),
        (
            "kind = [\"kind\"]",
            "sort = [\"kind\"]",
            "table `boats` has no column `sort`",
        ),
        ("person = ", "persons = ", "unknown field `persons`"),
        (
            "[port.boats.links]\nharbor_id",
            "[port.boats.links]\nlength",
            "no key leads from `length`",
        ),
        (
            "many = [\"boats\"]",
            "many = [\" \"]",
            "`boats`: many has no words",
        ),
        (
            "many = [\"boats\"]",
            "many = []",
            "`boats`: many has no words",
        ),
        (
            "many = [\"boats\"]",
            "many = [\"{question}\"]",
            "`boats`: many: \"{question}\" has a control character or a brace",
        ),
        ("verb = \"\"", "verb = \"a\\nb\"", "verb: \"a\\nb\" has"),
    ] {
        fs::write(&names, written.replace(from, to)).unwrap();
        let error = error(&synth(&arguments), 1);
        assert!(
            error.contains(expected) && error.contains("words.toml"),
            "{to}: {error}"
        );
    }
}

const SCHOOL: &str = "
    create table pupils(id integer primary key, first_name text, last_name text, town text, phone text, active text,
                        entered_on text, left_on text, motto text);
    create table clubs(id integer primary key, club text, day text);
    create table memberships(pupil_id integer references pupils(id), club_id integer references clubs(id));
    create table fines(id integer primary key, pupil_id integer references pupils(id), payer_name text, amount integer, paid integer);";

/// A school whose pupils have phones, unknown towns and no fines.
fn school(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(SCHOOL).unwrap();
    for at in 1..=9i64 {
        let row = (
            at,
            format!("Club {}", char::from(b'A' + at as u8)),
            ["Monday", "Friday"][at as usize % 2],
        );
        connection
            .execute("insert into clubs values (?1, ?2, ?3)", row)
            .unwrap();
    }
    for at in 1..=80i64 {
        let town = [Some("Riga"), Some("Ghent"), Some("Oslo"), None][(at * 7 % 4) as usize];
        let motto = ["Work, and rest", "Onwards", "Rest or play"][(at * 5 % 3) as usize];
        let row = (
            (at, format!("First{}", at % 31), format!("Last{at}")),
            (
                town,
                format!("0{}/55{:02}", at % 3, at * 37 % 83),
                ["Y", "N"][(at * 11 % 7 / 4) as usize],
            ),
            (
                format!("2019-0{}-11", 1 + at % 9),
                format!("2023-0{}-1{}", 1 + at * 5 % 9, at % 10),
                motto,
            ),
        );
        let sql = "insert into pupils values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let ((a, b, c), (d, e, f), (g, h, i)) = row;
        connection
            .execute(sql, (a, b, c, d, e, f, g, h, i))
            .unwrap();
        for club in 1..=at % 4 {
            let row = (at, 1 + (at * 3 + club * 2) % 9);
            connection
                .execute("insert into memberships values (?1, ?2)", row)
                .unwrap();
        }
    }
    for at in 1..=200i64 {
        let row = (
            at,
            1 + at * 13 % 60,
            format!("Payer {}", at % 20),
            2 + at * 29 % 47,
            at % 2,
        );
        connection
            .execute("insert into fines values (?1, ?2, ?3, ?4, ?5)", row)
            .unwrap();
    }
}

#[test]
fn questions_leave_nothing_open_and_nobody_named_by_number() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    school(folder.path().join("school.db").as_path());
    let (db, out) = (path("school.db"), path("set"));
    let made = synth(&["--db", &db, "--out", &out, "--rows", "1200", "--dev", "0"]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let names = fs::read_to_string(folder.path().join("set/names.toml")).unwrap();
    assert!(
        names.contains("label = [\"club\"]") && names.contains("club = [\"name\"]"),
        "{names}"
    );
    let all = rows(&folder.path().join("set/train.jsonl"));
    let pairs: Vec<(&str, &str)> = all
        .iter()
        .map(|row| (text(row, "question"), text(row, "response")))
        .collect();
    let some = |part: &str| assert!(pairs.iter().any(|(_, sql)| sql.contains(part)), "{part}");
    for part in [
        "phone",
        "active = 'Y'",
        "having count(*) <",
        "order by",
        "in (",
    ] {
        some(part);
    }
    // What is asked for, and what never is.
    let open = |(asked, sql): &&(&str, &str)| -> bool {
        let groups = sql.contains(" join ") && sql.contains("group by");
        let fewer = sql.contains("having count(*) <") || sql.contains("order by count(*) limit");
        let timed = ["latest", "earliest", "newest", "oldest", "recent"];
        let timed = timed.iter().any(|word| asked.contains(word)) && sql.contains("_on");
        asked.contains("membership")
            || asked.contains(" by name.")
            || asked.contains("active Y")
            || sql.contains("phone =")
            || sql.contains("phone like")
            || sql.contains("phone in")
            || sql.contains("town !=")
            || sql.contains("group by town")
            || sql.contains("group by p.town")
            || groups && fewer && !asked.contains("at least one but fewer")
            || timed && !asked.contains("entered on") && !asked.contains("left on")
            || sql.contains("select payer_name from fines;") && asked.contains("List the fines.")
            || sql.contains("motto in (")
            || asked.contains("each pupil that have")
            || asked.contains("every pupil that have")
    };
    let left: Vec<&(&str, &str)> = pairs.iter().filter(open).collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn a_schema_without_rows_gets_some() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(folder.path().join("port.sql"), TABLES).unwrap();
    let (schema, out) = (path("port.sql"), path("set"));
    let output = synth(&[
        "--schema", &schema, "--out", &out, "--rows", "100", "--dev", "10",
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("port has no rows of its own: those in the set are made up"),
        "{said}"
    );
    let script = fs::read_to_string(folder.path().join("set/databases/port.sql")).unwrap();
    Connection::open_in_memory()
        .unwrap()
        .execute_batch(&script)
        .unwrap();
    assert!(
        rows(&folder.path().join("set/train.jsonl"))
            .iter()
            .all(|row| row["db"] == "port.sql")
    );
}

#[test]
fn odd_names_and_huge_cells_are_no_hindrance() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let connection = Connection::open(folder.path().join("odd.db")).unwrap();
    let script = "create table \"Stück \"\"A\"\"\"(\"Schlüssel\" integer primary key, \"数\" integer, \"order\" text, scan blob, note text);";
    connection.execute_batch(script).unwrap();
    for at in 0..80i64 {
        let scan = vec![7u8; if at == 1 { 1_200_000 } else { 9 }];
        let note = "x".repeat(if at == 2 { 1_500_000 } else { 3 });
        let row = (
            at,
            at * 31 % 97,
            ["it's", "a\"b", "ö"][(at % 3) as usize],
            scan,
            note,
        );
        let sql = "insert into \"Stück \"\"A\"\"\" values (?1, ?2, ?3, ?4, ?5)";
        connection.execute(sql, row).unwrap();
    }
    drop(connection);
    let (db, out) = (path("odd.db"), path("set"));
    let output = synth(&[
        "--db",
        &db,
        "--out",
        &out,
        "--rows",
        "60",
        "--dev",
        "6",
        "--preferences",
        "20",
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let train = rows(&folder.path().join("set/train.jsonl"));
    assert!(
        train
            .iter()
            .any(|row| text(row, "response").contains("\"order\" = 'it''s'"))
    );
    assert!(
        train
            .iter()
            .all(|row| text(row, "response").contains("from \"Stück \"\"A\"\"\""))
    );
}

#[test]
fn what_cannot_be_read_is_one_line_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).unwrap();
    let good = database(folder.path().join("good.db").as_path());
    drop(good);
    let whole = fs::read(folder.path().join("good.db")).unwrap();
    write("empty.db", b"");
    write("cipher.db", &[0x5a; 8192]);
    write("cut.db", &whole[..whole.len() - 4096]);
    let mut broken = whole.clone();
    broken[4096..].fill(0xee);
    write("broken.db", &broken);
    Connection::open(folder.path().join("bare.db"))
        .unwrap()
        .execute_batch(TABLES)
        .unwrap();
    let locked = Connection::open(folder.path().join("locked.db")).unwrap();
    locked
        .execute_batch("create table t(a); begin exclusive")
        .unwrap();
    let none = Connection::open(folder.path().join("none.db")).unwrap();
    none.execute_batch("create view v as select 1").unwrap();
    for (name, expected) in [
        ("empty.db", "the file is empty"),
        ("cipher.db", "not a SQLite database, or an encrypted one"),
        ("cut.db", "the file is truncated"),
        ("broken.db", "malformed"),
        ("bare.db", "no table has a row"),
        ("locked.db", "another process has it locked"),
        ("none.db", "the database has no tables"),
        ("gone.db", "gone.db"),
        ("", "is a folder: name the file in it"),
    ] {
        let (db, out) = (path(name), path("out"));
        let error = error(&synth(&["--db", &db, "--out", &out]), 1);
        assert!(
            error.lines().count() == 1 && error.contains(expected),
            "{name}: {error}"
        );
        assert!(error.contains(name), "{name}: {error}");
        assert!(!folder.path().join("out").exists(), "{name}");
    }
    let (db, out) = (path("good.db"), path("out"));
    for (more, expected) in [
        (&["--mix", "joins=3"][..], "--mix joins=3: no such kind"),
        (&["--mix", "join"], "expected KIND=WEIGHT"),
        (&["--prompt", "Ask."], "{schema}"),
        (&["--spec", "x.toml"], "cannot be used with"),
        (&["--rows", "0"], "0 is not in 1.."),
    ] {
        let arguments = [&["--db", &db, "--out", &out][..], more].concat();
        let error = error(&synth(&arguments), 2);
        assert!(error.contains(expected), "{error}");
    }
    let none = synth(&["--out", &path("out")]);
    let said = error(&none, 2);
    assert!(said.contains("--spec") && said.contains("--db") && said.contains("--schema"));
    let twice = synth(&["--db", &db, "--db", &db, "--out", &out]);
    assert!(error(&twice, 1).contains("two databases are called good"));
}
