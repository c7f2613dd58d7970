//! Runs and servers that end in the middle.

use super::{BOUNDS, open, open_for, process, rows, started};
use factory::db::cell::Cell;
use factory::db::postgres::Connection;
use factory::sql::error::SqlError;
use std::time::{Duration, Instant};
use std::{env, thread};

/// One statement that runs long.
const LONG: &str = "SELECT pg_sleep(6000)";
/// How many of them are running.
const RUNNING: &str = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SET LOCAL%FETCH%' AND state = 'active'";
const URL: &str = "FACTORY_TEST_URL";

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn a_thousand_runs_leave_no_connection() {
    let Some(server) = started() else {
        return;
    };
    server.psql("CREATE TABLE t AS SELECT generate_series(1, 2) AS a");
    let connection = open(&server, "postgres");
    for run in 0..1_000 {
        match run % 4 {
            0 => assert_eq!(
                rows(&connection, "SELECT count(*) FROM t"),
                [[Cell::Integer(2)]]
            ),
            1 => assert!(matches!(
                connection.run("SELECT nope FROM t", BOUNDS),
                Err(SqlError::Sql(_))
            )),
            2 => assert!(matches!(
                connection.run("DROP TABLE t", BOUNDS),
                Err(SqlError::Refused(_))
            )),
            _ => assert_eq!(connection.prepare("SELECT a FROM t").unwrap().len(), 1),
        }
    }
    super::until("no session is left", || server.sessions() == "0");
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn a_run_that_is_killed_leaves_no_transaction() {
    let Some(server) = started() else {
        return;
    };
    let mut child = process(
        "interrupted::runs_until_it_is_killed",
        URL,
        &server.url("postgres", "postgres"),
    )
    .spawn()
    .unwrap();
    super::until("it runs", || server.psql(RUNNING) == "1");
    child.kill().unwrap();
    child.wait().unwrap();
    super::until("no session is left", || server.sessions() == "0");
}

#[test]
#[ignore = "is a process of the test before it"]
fn runs_until_it_is_killed() {
    let Ok(url) = env::var(URL) else {
        return;
    };
    let timeouts = factory::db::postgres::Timeouts {
        call: Duration::from_secs(6000),
        ..super::TIMEOUTS
    };
    let _ = Connection::new(&url, timeouts).unwrap().run(LONG, BOUNDS);
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn a_server_that_dies_in_the_middle_is_told_and_found_again() {
    let Some(server) = started() else {
        return;
    };
    let connection = open(&server, "postgres");
    let ended = |end: &dyn Fn()| {
        thread::scope(|scope| {
            let run = scope.spawn(|| connection.run(LONG, BOUNDS));
            super::until("it runs", || server.psql(RUNNING) == "1");
            end();
            match run.join().unwrap() {
                Err(SqlError::Database(told)) => told,
                other => panic!("{other:?}"),
            }
        })
    };
    let cancelled = ended(&|| {
        drop(server.psql(&format!(
            "SELECT pg_cancel_backend(pid) FROM ({}) x",
            RUNNING.replace("count(*)", "pid")
        )))
    });
    assert!(
        cancelled.contains("/postgres: canceling statement due to user request (57014"),
        "{cancelled}"
    );
    let terminated = ended(&|| {
        drop(server.psql(&format!(
            "SELECT pg_terminate_backend(pid) FROM ({}) x",
            RUNNING.replace("count(*)", "pid")
        )))
    });
    assert!(terminated.contains("(57P01"), "{terminated}");
    let died = ended(&|| server.down());
    assert!(
        died.contains(&format!("{}:5432/postgres: ", server.folder().display()))
            && !died.contains('\n'),
        "{died}"
    );
    let absent = connection.run("SELECT 1", BOUNDS).unwrap_err().to_string();
    assert!(
        absent.contains("there is no server's socket") || absent.contains("nothing listens there"),
        "{absent}"
    );
    server.up();
    assert_eq!(rows(&connection, "SELECT 1"), [[Cell::Integer(1)]]);
}

#[cfg(unix)]
#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn a_server_that_stops_answering_is_left_at_the_deadline() {
    let Some(server) = started() else {
        return;
    };
    let limit = Duration::from_secs(5);
    let connection = open_for(&server, "postgres", limit);
    thread::scope(|scope| {
        let begun = Instant::now();
        let run = scope.spawn(|| connection.run(LONG, BOUNDS));
        super::until("it runs", || server.psql(RUNNING) == "1");
        let number: i32 = server
            .psql(&RUNNING.replace("count(*)", "pid"))
            .parse()
            .unwrap();
        // SAFETY: it is a process of this test's server.
        let signal = |signal| assert_eq!(unsafe { libc::kill(number, signal) }, 0);
        signal(libc::SIGSTOP);
        let result = run.join().unwrap();
        signal(libc::SIGCONT);
        assert_eq!(
            result,
            Err(SqlError::ResourceLimit("exceeded 5 s".to_owned()))
        );
        assert!(begun.elapsed() < 6 * limit, "{:?}", begun.elapsed());
    });
    super::until("no session is left", || server.sessions() == "0");
}
