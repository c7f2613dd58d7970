//! A PostgreSQL server of a test's own, on a socket in a folder of its own, which ends with it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::{env, fs};
use tempfile::TempDir;

/// A server that runs.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
}

impl Server {
    /// Starts one, with these lines besides those of `pg_hba.conf` that let everybody in; nothing where PostgreSQL is not installed,
    /// which the test says by name, and which is a failure where `FACTORY_REQUIRE_ENGINES` is set.
    pub fn start(test: &str, rules: &str) -> Option<Self> {
        let Some(programs) = programs() else {
            let told = format!(
                "{test}: PostgreSQL is not installed: not tested (scripts/install_postgres.sh installs it)"
            );
            assert!(env::var_os("FACTORY_REQUIRE_ENGINES").is_none(), "{told}");
            eprintln!("{told}");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        let server = Self { folder, programs };
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(server.folder()));
        }
        let data = server.data();
        run(server
            .program("initdb")
            .args([
                "--no-sync",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--pgdata",
            ])
            .arg(&data));
        let access = format!("{rules}\nlocal all all trust\n");
        fs::write(data.join("pg_hba.conf"), access).unwrap();
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nfsync = off\nmax_prepared_transactions = 2\nautovacuum = off\n",
            server.folder().display()
        );
        fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
        server.up();
        Some(server)
    }

    /// Starts it again, or for the first time.
    pub fn up(&self) {
        let log = self.folder().join("log");
        run(self
            .program("pg_ctl")
            .args(["start", "--wait", "--silent", "-D"])
            .arg(self.data())
            .arg("-l")
            .arg(log));
    }

    /// Ends it at once, as if it had died.
    pub fn down(&self) {
        run(self
            .program("pg_ctl")
            .args(["stop", "--silent", "--mode=immediate", "-D"])
            .arg(self.data()));
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// The URL of a database for a user.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!(
            "postgres:///{database}?host={}&user={user}",
            self.folder().display()
        )
    }

    /// A session of its own, in a process of its own, which may outlast its test by no more than the server.
    pub fn session(&self, user: &str, sql: &str) -> Child {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "-U", user, "-c", sql, "postgres", "-h"])
            .arg(self.folder());
        psql.stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// What `psql` prints of statements, with nothing around values, a unit separator between them and a record separator
    /// between rows; NULL is `<null>`.
    pub fn psql(&self, sql: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "-v",
            "ON_ERROR_STOP=1",
        ])
        .args([
            "-F",
            "\x1f",
            "-R",
            "\x1e",
            "-P",
            "null=<null>",
            "-U",
            "postgres",
            "-f",
            "-",
            "postgres",
        ])
        .arg("-h")
        .arg(self.folder())
        .env("PGDATESTYLE", "ISO")
        .env("PGTZ", "UTC")
        .env("PGCLIENTENCODING", "UTF8");
        let file = self
            .folder()
            .join(format!("{:?}.sql", std::thread::current().id()));
        fs::write(&file, sql).unwrap();
        let output = run(psql.stdin(fs::File::open(&file).unwrap()));
        let text = String::from_utf8(output.stdout).unwrap();
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }

    /// Everything that the server keeps: roles and databases with their rows, large objects, sequences, settings; and what sessions
    /// hold now.
    pub fn state(&self) -> String {
        let dump = run(Command::new(self.programs.join("pg_dumpall"))
            .args(["--no-sync", "-U", "postgres", "-h"])
            .arg(self.folder()));
        let held = self.psql(
            "SELECT name, setting FROM pg_settings ORDER BY name;
             SELECT locktype, mode, objid FROM pg_locks WHERE pid <> pg_backend_pid() ORDER BY 1, 2, 3;
             SELECT slot_name FROM pg_replication_slots; SELECT roname FROM pg_replication_origin; SELECT gid FROM pg_prepared_xacts;
             SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2;
             SELECT pg_snapshot_xmax(pg_current_snapshot()), pg_walfile_name(pg_current_wal_lsn());
             SELECT pg_ls_dir('.') ORDER BY 1; SELECT datname, stats_reset FROM pg_stat_database ORDER BY 1;
             SELECT pg_conf_load_time(), pg_current_logfile(), pg_is_in_backup FROM (SELECT count(*) AS pg_is_in_backup FROM pg_ls_dir('.') WHERE pg_ls_dir = 'backup_label') b;",
        );
        // A dump begins with a key of chance.
        let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
        let dump = dump.lines().filter(|line| !line.contains("restrict "));
        dump.collect::<Vec<_>>().join("\n") + &held
    }

    /// Sessions of this program that are there.
    pub fn sessions(&self) -> String {
        self.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'factory'")
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        // The server refuses to be root's.
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(program);
                command
            }
            false => Command::new(program),
        };
        command.current_dir(self.folder());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stop = self
            .program("pg_ctl")
            .args(["stop", "--silent", "--mode=immediate", "-D"])
            .arg(self.data())
            .status();
        if let Err(error) = stop {
            eprintln!("the server is still there: {error}");
        }
    }
}

/// The folder of the server's programs: of the PATH, or the newest of Debian's.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).filter(|folder| folder.join("initdb").exists());
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut installed: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    installed.sort_by_key(|folder| {
        let version = folder
            .parent()
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy().into_owned());
        version
            .and_then(|version| version.parse().ok())
            .unwrap_or(0u32)
    });
    // A link stands for the folder that it leads to, where the other programs are.
    let real = |folder: PathBuf| {
        Some(
            fs::canonicalize(folder.join("initdb"))
                .ok()?
                .parent()?
                .to_owned(),
        )
    };
    on_path
        .chain(installed.into_iter().rev())
        .filter_map(real)
        .find(|folder| folder.join("psql").exists())
}

fn is_root() -> bool {
    // SAFETY: it only asks.
    unsafe { libc::geteuid() == 0 }
}

fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}: {out}{errors}");
    output
}
