//! The dialect's notes, on the engine that they are about, through the engine's own confinement; and the way there by the command line.

use super::{BOUNDS, open, started};
use std::fs;
use std::process::Command;

#[path = "../common/notes.rs"]
mod notes;

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn every_snippet_runs() {
    let Some(server) = started() else {
        return;
    };
    server.psql(&notes::fixture("postgres"));
    server.psql("CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader");
    let connection = open(&server, "reader");
    for (facet, sql) in notes::snippets("postgres") {
        let answer = connection.run(&sql, BOUNDS);
        let answer = answer.unwrap_or_else(|error| panic!("{facet}: {error}: {sql}"));
        assert!(!answer.rows.is_empty(), "{facet}: no rows: {sql}");
    }
}

#[test]
#[ignore = "needs PostgreSQL, which scripts/install_postgres.sh installs; scripts/test.sh runs it"]
fn a_connection_is_asked_by_the_command_line() {
    let Some(server) = started() else {
        return;
    };
    server.psql(&notes::fixture("postgres"));
    server.psql("CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader");
    let folder = tempfile::tempdir().unwrap();
    let db = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
        command.arg("db").args(args).current_dir(folder.path());
        let output = command
            .env("DB_URL", server.url("reader", "postgres"))
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, said, errors) = db(&["test"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(
        said.starts_with("default: PostgreSQL ") && said.ends_with(", 2 tables\n"),
        "{said}"
    );
    let query = "select region, sum(amount) as total from sales group by 1 order by 1";
    let (_, said, errors) = db(&["query", "default", query, "--format", "csv"]);
    assert_eq!(
        said, "region,total\nnorth,235.75\nsouth,210.00\n",
        "{errors}"
    );
    let (_, list, _) = db(&[
        "schema", "default", "--format", "list", "--table", "visits", "--rows",
    ]);
    assert_eq!(list, "visits(id, person, day)\n-- rows: 4\n");
    let (code, _, errors) = db(&["query", "default", "select pg_sleep(60)", "--timeout", "1"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("exceeded 1 s"), "{errors}");
    let (code, _, errors) = db(&["query", "default", "select pg_terminate_backend(1)"]);
    assert!(code == Some(1) && errors.contains("refused"), "{errors}");
    assert!(
        fs::read_dir(folder.path()).unwrap().next().is_none(),
        "nothing is written"
    );
}
