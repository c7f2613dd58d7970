//! Where a server is, and why it cannot be reached. No error shows the URL, which has a password in it.

use super::message;
use crate::run::words::duration;
use crate::sql::error::SqlError;
use std::io::ErrorKind;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To be connected to.
    pub connect: Duration,
    /// For everything that one call asks of it, connecting included.
    pub call: Duration,
}

impl Timeouts {
    /// How long connecting may take.
    pub fn to_connect(&self) -> Duration {
        self.connect.min(self.call)
    }
}

/// What a connection to a server needs.
pub struct Server {
    pub config: Config,
    pub timeouts: Timeouts,
    /// `host:port/database`.
    place: String,
}

impl Server {
    /// Reads a URL, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    pub fn new(url: &str, timeouts: Timeouts) -> Result<Self, SqlError> {
        let wrong = |reason: &str| {
            SqlError::Database(format!("the URL of a PostgreSQL database: {reason}"))
        };
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(wrong("it begins with postgres:// or postgresql://"));
        }
        if url.matches('@').count() > 1 {
            return Err(wrong(
                "it has more than one @: write one in the password as %40",
            ));
        }
        const TLS: &str = "this build has no TLS: sslmode may be disable or prefer, and the server has to accept connections without";
        let mut config: Config = url.parse().map_err(|error| {
            let cause = message::cause(&error);
            match cause.contains("sslmode") {
                true => wrong(TLS),
                false => wrong(&cause),
            }
        })?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(wrong(TLS));
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(wrong("it names no host"));
        }
        let options = config.get_options().unwrap_or_default();
        let options = format!("{options} -c default_transaction_read_only=on");
        config.options(options.trim_start());
        config.application_name("factory");
        let place = place(&config);
        Ok(Self {
            config,
            timeouts,
            place,
        })
    }

    /// An error about this server.
    pub fn error(&self, reason: &str) -> SqlError {
        SqlError::Database(format!("{}: {reason}", self.place))
    }

    /// That it took too long to connect.
    pub fn silent(&self) -> SqlError {
        let limit = duration(self.timeouts.to_connect());
        self.error(&format!(
            "no answer within {limit}: is the server up, and do host and port lead to it?"
        ))
    }

    /// Why no connection came to be.
    pub fn unreachable(&self, error: &tokio_postgres::Error) -> SqlError {
        if let Some(told) = error.as_db_error() {
            let advice = match *told.code() {
                SqlState::INVALID_PASSWORD => "check user and password in the URL",
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                    "the server does not let this user in from here without TLS, which this build has not: see its pg_hba.conf"
                }
                SqlState::INVALID_CATALOG_NAME => "check the database in the URL",
                SqlState::TOO_MANY_CONNECTIONS => "try again when others are done",
                SqlState::CANNOT_CONNECT_NOW => "try again in a moment",
                _ => "ask whoever runs the server",
            };
            return self.error(&format!("{}: {advice}", message::text(told)));
        }
        let cause = message::cause(error);
        match message::io(error) {
            Some(ErrorKind::ConnectionRefused) => {
                self.error("nothing listens there: is the server up, and are host and port right?")
            }
            Some(ErrorKind::NotFound) => {
                self.error("there is no server's socket: is it up, and are folder and port right?")
            }
            Some(ErrorKind::TimedOut) => self.silent(),
            _ if cause.contains("lookup address") => {
                self.error("the host is not known: check its name")
            }
            _ if cause.contains("password missing") => {
                self.error("the server wants a password, and the URL has none")
            }
            Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                self.error("the server closed the connection: is it PostgreSQL?")
            }
            _ if error.is_closed() => {
                self.error("the server closed the connection: is it PostgreSQL?")
            }
            _ => self.error(&format!("no connection: {cause}")),
        }
    }
}

fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let named = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(host) => host.clone(),
        #[cfg(unix)]
        Host::Unix(folder) => folder.display().to_string(),
    });
    let numbers = config.get_hostaddrs().iter().map(ToString::to_string);
    let hosts: Vec<_> = match config.get_hosts().is_empty() {
        true => numbers.collect(),
        false => named.collect(),
    };
    let hosts = hosts.iter().enumerate().map(|(place, host)| {
        let port = ports.get(place).or(ports.first()).unwrap_or(&5432);
        match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }
    });
    let hosts = hosts.collect::<Vec<_>>().join(",");
    match config.get_dbname().or(config.get_user()) {
        Some(database) => format!("{hosts}/{database}"),
        None => hosts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<Server, SqlError> {
        let second = Duration::from_secs(1);
        Server::new(
            url,
            Timeouts {
                connect: second,
                call: second,
            },
        )
    }

    #[test]
    fn a_server_is_named_without_its_password() {
        for (url, place) in [
            (
                "postgres://me:secret@db.example/shop",
                "db.example:5432/shop",
            ),
            (
                "postgresql://me:s%40cret@localhost:5433",
                "localhost:5433/me",
            ),
            ("postgres://me:se/c?ret@[::1]:5433/shop", "[::1]:5433/shop"),
            (
                "postgres:///shop?host=/run/pg&password=secret&user=me",
                "/run/pg:5432/shop",
            ),
            ("postgres://a,b:1/shop", "a:5432,b:1/shop"),
        ] {
            let server = server(url).unwrap();
            assert_eq!(server.place, place);
            assert!(!server.silent().to_string().contains("secret"));
            assert_eq!(
                server.config.get_options(),
                Some("-c default_transaction_read_only=on")
            );
        }
        let own = server("postgres://h/d?options=-csearch_path%3Dshop&application_name=x").unwrap();
        assert_eq!(
            own.config.get_options(),
            Some("-csearch_path=shop -c default_transaction_read_only=on")
        );
        assert_eq!(own.config.get_application_name(), Some("factory"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_it() {
        for (url, reason) in [
            ("mysql://me:secret@h/d", "begins with postgres://"),
            ("host=h password=secret", "begins with postgres://"),
            (
                "postgres://me:se@cret@h/d",
                "write one in the password as %40",
            ),
            (
                "postgres://me:s@e/cret@h/d",
                "write one in the password as %40",
            ),
            ("postgres://me:secret/d", "option `port`"),
            ("postgres://me:secret@h:port/d", "option `port`"),
            (
                "postgres://me:secret@h/d?sslmode=require",
                "this build has no TLS",
            ),
            (
                "postgres://me:secret@h/d?sslmode=verify-full",
                "this build has no TLS",
            ),
            (
                "postgres://me:secret@h/d?connect_timeout=x",
                "option `connect_timeout`",
            ),
            (
                "postgres://me:secret@h/d?colour=red",
                "unknown option `colour`",
            ),
            ("postgres://me:secret@/d", "no host"),
            ("postgres://me:secret@h/%ff", "utf-8"),
        ] {
            let error = server(url).err().expect(url).to_string();
            assert!(error.contains(reason), "{url}: {error}");
            assert!(!error.contains("cret") && !error.contains('\n'), "{error}");
        }
    }
}
