//! Connections by their names: those of a `connections.toml`, or the one that `DB_URL` tells.

use super::registry::{Driver, Kind};
use crate::run::nearest::nearest;
use crate::run::settings;
use crate::run::usage::UsageError;
use crate::sql::identifier::quoted;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use url::{Url, form_urlencoded};

/// The file that is looked for where none is named.
pub const FILE: &str = "connections.toml";
/// The environment variable that holds one connection's URL, as SQLAlchemy writes it.
pub const DB_URL: &str = "DB_URL";
/// What the connection of `DB_URL` is called.
pub const DEFAULT: &str = "default";

/// A connection. As JSON it goes to worker processes alone: its password is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    pub name: String,
    pub driver: Driver,
    pub place: Place,
}

/// Where a connection leads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Place {
    File(PathBuf),
    Server(Address),
    /// Nowhere yet: this build does not go there.
    Nowhere,
    /// Somewhere that is not known for this reason, such as a variable that is not set: nobody else's connection is held up by it.
    Unknown(String),
}

impl Place {
    /// The file, or the URL without its password; none where no query can go.
    pub fn shown(&self) -> Option<String> {
        match self {
            Self::File(file) => Some(file.display().to_string()),
            Self::Server(address) => Some(address.to_string()),
            Self::Nowhere | Self::Unknown(_) => None,
        }
    }

    /// Whether queries can go there.
    pub fn is_reachable(&self) -> bool {
        matches!(self, Self::File(_) | Self::Server(_))
    }
}

/// The URL of a server, whose password is shown to nobody.
#[derive(Clone, Serialize, Deserialize)]
pub struct Address(Url);

impl Address {
    /// With the password.
    pub fn secret(&self) -> &str {
        self.0.as_str()
    }
}

impl Address {
    /// The same, where names are looked for in `schema` alone.
    fn within(&self, schema: &str) -> Self {
        // Options are words, apart by spaces.
        let name = quoted(schema).replace('\\', "\\\\").replace(' ', "\\ ");
        let options = format!("-c search_path={name}");
        let options: String = form_urlencoded::byte_serialize(options.as_bytes()).collect();
        let options = format!("options={}", options.replace('+', "%20"));
        let mut url = self.0.clone();
        let query = match url.query() {
            Some(query) => format!("{query}&{options}"),
            None => options,
        };
        url.set_query(Some(&query));
        Self(url)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let url = &self.0;
        let user = match url.username() {
            "" => String::new(),
            user => format!("{user}@"),
        };
        let host = url.host_str().unwrap_or_default();
        let port = url
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        write!(
            formatter,
            "{}://{user}{host}{port}{}",
            url.scheme(),
            url.path()
        )
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// A table of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    driver: Option<String>,
    path: Option<PathBuf>,
    url: Option<String>,
    /// The environment variable that holds the URL.
    url_env: Option<String>,
    /// The one that holds the password.
    password_env: Option<String>,
}

/// All connections that are configured: of `file`, else of `connections.toml` where it is there, and of `DB_URL`.
#[derive(Clone, Debug, Default)]
pub struct Connections(BTreeMap<String, Connection>);

impl Connections {
    /// Reads them. Errors name file, connection and key.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let default = Path::new(FILE);
        let file = file.or(default.exists().then_some(default));
        let mut all = match file {
            Some(file) => Self::of_file(file)?,
            None => Self::default(),
        };
        if let Ok(url) = env::var(DB_URL) {
            let one = at(DEFAULT, &url, Path::new(""));
            let one = one.map_err(|error| UsageError(format!("{DB_URL}: {error:#}")))?;
            if all.0.insert(DEFAULT.to_owned(), one).is_some() {
                let message = format!(
                    "{DB_URL} is set, and a connection is called {DEFAULT} already: rename that one"
                );
                return Err(UsageError(message).into());
            }
        }
        Ok(all)
    }

    fn of_file(file: &Path) -> Result<Self> {
        let tables: BTreeMap<String, Table> = settings::read(file)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut all = BTreeMap::new();
        for (name, table) in tables {
            let one = connection(&name, table, folder);
            let one = one
                .map_err(|error| UsageError(format!("{}: [{name}]: {error:#}", file.display())))?;
            all.insert(name, one);
        }
        Ok(Self(all))
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &Connection> {
        self.0.values()
    }

    /// The same and one called [`DEFAULT`], to a database file or a URL. Errors where one is called so already.
    pub fn with_default(mut self, place: &str) -> Result<Self> {
        if self.0.contains_key(DEFAULT) {
            let message = format!("a connection is called {DEFAULT} already: rename that one");
            return Err(UsageError(message).into());
        }
        let mut one = Self::default().get(place)?;
        one.name = DEFAULT.to_owned();
        self.0.insert(DEFAULT.to_owned(), one);
        Ok(self)
    }

    /// The configured connection called `name`. Errors name those that there are.
    pub fn configured(&self, name: &str) -> Result<&Connection> {
        self.0.get(name).ok_or_else(|| self.unknown(name).into())
    }

    /// The connection called `name`, or the database that it is the file or the URL of. Errors name those that there are.
    pub fn get(&self, name: &str) -> Result<Connection> {
        if let Some(one) = self.0.get(name) {
            return match &one.place {
                Place::Unknown(reason) => Err(UsageError(format!("[{name}]: {reason}")).into()),
                _ => Ok(one.clone()),
            };
        }
        if name.contains("://") {
            let mut one = at(name, name, Path::new("")).map_err(UsageError::of)?;
            // Its name is told; its password is not.
            let nowhere = || format!("{}://…", one.driver.id());
            one.name = one.place.shown().unwrap_or_else(nowhere);
            return Ok(one);
        }
        if let Some(driver) = of_file_name(Path::new(name)) {
            return Ok(Connection {
                name: name.to_owned(),
                driver,
                place: Place::File(PathBuf::from(name)),
            });
        }
        Err(self.unknown(name).into())
    }

    fn unknown(&self, name: &str) -> UsageError {
        let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
        // A URL may have a password in it.
        let name = if name.contains("://") { "a URL" } else { name };
        let message = match (&known[..], nearest(name, known.iter().copied())) {
            ([], _) => format!(
                "no connection is called {name:?}, and none is configured: write {FILE}, set {DB_URL}, or name a database file"
            ),
            (known, near) => {
                let near = near.map(|near| format!(": did you mean {near:?}?"));
                let near = near.unwrap_or_default();
                let known = known.join(", ");
                format!("no connection is called {name:?}; there are {known}{near}")
            }
        };
        UsageError(message)
    }
}

/// The driver of a database file by the end of its name.
pub fn of_file_name(file: &Path) -> Option<Driver> {
    match file.extension()?.to_str()? {
        "sqlite" | "sqlite3" | "db" | "sql" => Some(Driver::Sqlite),
        "duckdb" | "ddb" => Some(Driver::Duckdb),
        _ => None,
    }
}

fn connection(name: &str, table: Table, folder: &Path) -> Result<Connection> {
    let url = match (table.url, table.url_env) {
        (Some(_), Some(_)) => bail!("url and url_env say the same thing twice"),
        (Some(url), None) => Some(url),
        (None, Some(variable)) => match (env::var(&variable), &table.driver) {
            (Ok(url), _) => Some(url),
            (Err(_), Some(id)) => return unknown(name, driver(id)?, &variable),
            (Err(_), None) => bail!(
                "{} (with driver = \"postgres\" or another, the others can be used meanwhile)",
                unset(&variable)
            ),
        },
        (None, None) => None,
    };
    let named = match &table.driver {
        Some(id) => Some(driver(id)?),
        None => None,
    };
    let mut one = match (url, table.path) {
        (Some(_), Some(_)) => bail!("url and path say the same thing twice"),
        (Some(url), None) => {
            let one = at(name, &url, folder)?;
            ensure!(
                named.is_none_or(|driver| driver == one.driver),
                "its driver is {}, its url is one of {}",
                table.driver.unwrap_or_default(),
                one.driver.id()
            );
            one
        }
        (None, Some(path)) => {
            let driver = named.or_else(|| of_file_name(&path));
            let driver = driver.context("no driver: give driver = \"sqlite\" or \"duckdb\"")?;
            ensure!(
                matches!(driver, Driver::Sqlite | Driver::Duckdb),
                "{} has no path: give a url",
                driver.id()
            );
            Connection {
                name: name.to_owned(),
                driver,
                place: Place::File(folder.join(path)),
            }
        }
        (None, None) => {
            let driver = named.context("neither driver, url nor path")?;
            ensure!(
                !matches!(driver, Driver::Sqlite | Driver::Duckdb | Driver::Postgres),
                "neither url nor path"
            );
            Connection {
                name: name.to_owned(),
                driver,
                place: Place::Nowhere,
            }
        }
    };
    if let Some(variable) = table.password_env {
        let Place::Server(Address(url)) = &mut one.place else {
            bail!("password_env is for a server's url");
        };
        ensure!(
            url.password().is_none(),
            "the url has a password already: leave it out of the file"
        );
        let Ok(password) = env::var(&variable) else {
            return unknown(name, one.driver, &variable);
        };
        let set = url.set_password(Some(&password));
        ensure!(set.is_ok(), "its url takes no password");
    }
    Ok(one)
}

/// The connection of a URL. Errors never show it whole.
fn at(name: &str, url: &str, folder: &Path) -> Result<Connection> {
    let (scheme, rest) = url.split_once("://").context("no URL: it has no ://")?;
    let Some(driver) = Driver::of_scheme(scheme) else {
        let schemes = Driver::ALL.iter().flat_map(|driver| driver.schemes());
        match nearest(scheme, schemes.copied()) {
            Some(near) => bail!("no driver for {scheme}://: did you mean {near}://?"),
            None => bail!("no driver for {scheme}://"),
        }
    };
    let place = match driver {
        // Three slashes and a path as seen from here, or four and a whole one.
        Driver::Sqlite | Driver::Duckdb => {
            let path = rest.strip_prefix('/').unwrap_or(rest);
            let path = path.split('?').next().unwrap_or(path);
            ensure!(
                !path.is_empty() && path != ":memory:",
                "the url names no file"
            );
            Place::File(folder.join(path))
        }
        Driver::Postgres => {
            let url = Url::parse(&format!("postgresql://{rest}"));
            // The library's error does not quote it.
            let url = url.context("the url cannot be read")?;
            ensure!(
                url.fragment().is_none() && !url.path().contains('@'),
                "the url has a password with /, #, ? or @ in it: write them as %2F, %23, %3F and %40"
            );
            Place::Server(Address(url))
        }
        _ => Place::Nowhere,
    };
    Ok(Connection {
        name: name.to_owned(),
        driver,
        place,
    })
}

fn driver(id: &str) -> Result<Driver> {
    match Driver::named(id) {
        Some(driver) => Ok(driver),
        None => {
            let known = Driver::ALL.map(Driver::id);
            match nearest(id, known) {
                Some(near) => bail!("no driver is called {id:?}: did you mean {near:?}?"),
                None => bail!("no driver is called {id:?}; there are {}", known.join(", ")),
            }
        }
    }
}

fn unset(variable: &str) -> String {
    format!("the environment variable {variable} is not set, or is no text")
}

fn unknown(name: &str, driver: Driver, variable: &str) -> Result<Connection> {
    Ok(Connection {
        name: name.to_owned(),
        driver,
        place: Place::Unknown(unset(variable)),
    })
}

impl Connection {
    /// Where it leads, without a password; its name where that is nowhere.
    pub fn shown(&self) -> String {
        self.place.shown().unwrap_or_else(|| self.name.clone())
    }

    /// The same, where names are looked for in `schema` of its server; an empty one, and what is a file, change nothing.
    pub fn within(&self, schema: &str) -> Self {
        let mut own = self.clone();
        if let (Place::Server(address), false) = (&mut own.place, schema.is_empty()) {
            *address = address.within(schema);
        }
        own
    }

    /// The dialect that it speaks. Errors where it runs no SQL.
    pub fn dialect(&self) -> Result<super::notes::Dialect> {
        match self.driver.kind() {
            Kind::Warehouse(dialect) => Ok(dialect),
            Kind::Context => bail!(
                "{}: {} is not a SQL warehouse connection",
                self.name,
                self.driver.id()
            ),
        }
    }
}
