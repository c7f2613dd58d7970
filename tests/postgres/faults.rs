//! Servers that cannot be reached, and mistakes in queries.

use super::{BOUNDS, TIMEOUTS, open, started, started_with};
use factory::db::postgres::{Connection, Timeouts};
use factory::sql::error::SqlError;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

fn fault(url: &str, timeouts: Timeouts) -> String {
    match Connection::new(url, timeouts).and_then(|connection| connection.version()) {
        Err(SqlError::Database(told)) => {
            assert!(!told.contains("s3cret") && !told.contains('\n'), "{told}");
            told
        }
        Err(other) => panic!("{url}: {other:?}"),
        Ok(_) => panic!("{url} is open"),
    }
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn a_server_that_lets_nobody_in_says_why() {
    let rules = "local all app scram-sha-256\nlocal all old md5\nlocal all plain password\nlocal all nobody reject";
    let Some(server) = started_with(rules) else {
        return;
    };
    server.psql(
        "CREATE ROLE app LOGIN PASSWORD 's3cret @:/?'; SET password_encryption = md5; CREATE ROLE old LOGIN PASSWORD 's3cret'; CREATE ROLE plain LOGIN PASSWORD 's3cret';
         CREATE ROLE nobody LOGIN; CREATE ROLE full_up LOGIN CONNECTION LIMIT 0;",
    );
    let url = |user: &str, password: &str, database: &str| {
        server.url(user, database) + "&password=" + password
    };
    for (user, password) in [
        ("app", "s3cret%20%40:%2F%3F"),
        ("old", "s3cret"),
        ("plain", "s3cret"),
    ] {
        let open = Connection::new(&url(user, password, "postgres"), TIMEOUTS).unwrap();
        let version = open.version().unwrap();
        assert!(version.split('.').next().unwrap().parse::<u32>().is_ok());
        let wrong = fault(&url(user, "s3cret-not", "postgres"), TIMEOUTS);
        assert!(wrong.contains(&format!("/postgres: password authentication failed for user \"{user}\" (28P01): check user and password")), "{wrong}");
        let none = fault(&server.url(user, "postgres"), TIMEOUTS);
        assert!(
            none.ends_with("the server wants a password, and the URL has none"),
            "{none}"
        );
    }
    let unknown = fault(&url("nobody", "s3cret", "postgres"), TIMEOUTS);
    assert!(
        unknown.contains("(28000)") && unknown.contains("TLS, which this build has not"),
        "{unknown}"
    );
    let database = fault(&url("postgres", "s3cret", "no-such"), TIMEOUTS);
    assert!(
        database.ends_with(
            "/no-such: database \"no-such\" does not exist (3D000): check the database in the URL"
        ),
        "{database}"
    );
    let role = fault(&server.url("no-such", "postgres"), TIMEOUTS);
    assert!(
        role.contains("role \"no-such\" does not exist (28000)"),
        "{role}"
    );
    let full = fault(&server.url("full_up", "postgres"), TIMEOUTS);
    assert!(
        full.contains("(53300): try again when others are done"),
        "{full}"
    );
    let folder = fault("postgres:///d?host=/no/such/folder", TIMEOUTS);
    assert!(
        folder.contains("/no/such/folder:5432/d: there is no server's socket"),
        "{folder}"
    );
}

#[test]
fn what_is_no_server_is_told() {
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let url = |port: u16| format!("postgres://me:s3cret@127.0.0.1:{port}/shop");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = port(&listener);
    drop(listener);
    let refused = fault(&url(closed), TIMEOUTS);
    assert!(
        refused.starts_with(&format!("127.0.0.1:{closed}/shop: nothing listens there")),
        "{refused}"
    );

    // It takes the connection, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    let short = Timeouts {
        connect: Duration::from_millis(300),
        ..TIMEOUTS
    };
    let told = fault(&url(port(&silent)), short);
    assert!(told.contains("no answer within 0.3 s"), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(20));

    for answer in [
        "",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "R\0\0\0\u{8}\0\0\0\0Z\0\0\0\u{5}I",
        "R\0\0\0\u{8}\0\0\0\0",
    ] {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port(&other);
        let answers = thread::spawn(move || {
            let (mut stream, _): (TcpStream, _) = other.accept().unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let told = fault(&url(address), short);
        assert!(
            told.starts_with(&format!("127.0.0.1:{address}/shop: ")),
            "{answer:?}: {told}"
        );
        answers.join().unwrap();
    }

    let unknown = fault("postgres://me:s3cret@no-such-host.invalid/shop", short);
    assert!(
        unknown.starts_with("no-such-host.invalid:5432/shop: the host is not known")
            || unknown.contains("no answer within"),
        "{unknown}"
    );
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn the_servers_message_stands_alone() {
    let Some(server) = started() else {
        return;
    };
    server.psql("CREATE TABLE t(a int); CREATE ROLE reader LOGIN; CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN 1 / $1; END'");
    let connection = open(&server, "postgres");
    let message = |sql: &str| match connection.run(sql, BOUNDS) {
        Err(SqlError::Sql(message)) => message,
        other => panic!("{sql}: {other:?}"),
    };
    for (sql, expected) in [
        (
            "SELECT nope FROM t",
            "column \"nope\" does not exist (42703 at character 8)",
        ),
        (
            "/* ü */ SELECT nope FROM t",
            "column \"nope\" does not exist (42703 at character 16)",
        ),
        (
            "SELECT t.b FROM t",
            "column t.b does not exist (42703 at character 8)",
        ),
        (
            "SELECT aa FROM t",
            "column \"aa\" does not exist (42703 at character 8; hint: Perhaps you meant to reference the column \"t.a\".)",
        ),
        (
            "SELECT a FORM t",
            "syntax error at or near \"t\" (42601 at character 15)",
        ),
        ("SELECT 1 / 0", "division by zero (22012)"),
        ("SELECT f(0)", "division by zero (22012)"),
        (
            "SELECT 'x'::int",
            "invalid input syntax for type integer: \"x\" (22P02 at character 8)",
        ),
        (
            "SELECT * FROM absent",
            "relation \"absent\" does not exist (42P01 at character 15)",
        ),
        (
            "SELECT a FROM t GROUP BY",
            "syntax error at end of input (42601 at character 25)",
        ),
        (
            "EXPLAIN (COLOUR red) SELECT 1",
            "unrecognized EXPLAIN option \"colour\" (42601 at character 10)",
        ),
    ] {
        assert_eq!(message(sql), expected);
    }
    let long = message(&format!("SELECT '{}'::int", "x\n".repeat(1 << 20)));
    assert!(long.len() < 1_000 && !long.contains('\n'), "{long}");
    let denied = open(&server, "reader")
        .run("SELECT * FROM t", BOUNDS)
        .unwrap_err();
    assert_eq!(denied.to_string(), "permission denied for table t (42501)");
}
