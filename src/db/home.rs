//! Where the databases are that rows name: files of a folder, or one connection.

use super::connections::{Connection, Place};
use super::locate::{is_duckdb, locate};
use super::notes::Dialect;
use super::registry::Driver;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where databases are. As JSON it goes to worker processes alone: a connection's password is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Home {
    /// Files, each called by its name.
    Folder(PathBuf),
    /// One database. On a server a row names a schema of it, or none for the schemas that it looks into by itself.
    Connection(Connection),
}

impl From<PathBuf> for Home {
    fn from(folder: PathBuf) -> Self {
        Self::Folder(folder)
    }
}

impl Home {
    /// The folder, where it is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Connection(_) => None,
        }
    }

    /// What rows mean that name no database: a connection is one, in a folder there is none.
    pub fn unnamed(&self) -> Option<&'static str> {
        self.folder().is_none().then_some("")
    }

    /// The files of the database called `db`, the first its own (see [`locate`]); of a server the name of the schema stands for it.
    pub fn locate(&self, db: &str, follow_links: bool) -> Result<Vec<PathBuf>> {
        match self {
            Self::Folder(folder) => locate(folder, db, follow_links),
            Self::Connection(connection) => one(connection, db).map(|file| vec![file]),
        }
    }

    /// The connection to the database called `db`, and the schema that it stands for, which is empty but on a server.
    pub fn connection<'d>(&self, db: &'d str, follow_links: bool) -> Result<(Connection, &'d str)> {
        let files = self.locate(db, follow_links)?;
        match self {
            Self::Connection(connection) => Ok(match connection.place {
                Place::Server(_) => (connection.within(db), db),
                _ => (connection.clone(), ""),
            }),
            Self::Folder(_) => {
                let file = files.into_iter().next().unwrap_or_default();
                let driver = self.driver(&file);
                let name = db.to_owned();
                let place = Place::File(file);
                Ok((
                    Connection {
                        name,
                        driver,
                        place,
                    },
                    "",
                ))
            }
        }
    }

    /// What opens a file that was located.
    pub fn driver(&self, file: &Path) -> Driver {
        match self {
            Self::Folder(_) if is_duckdb(file) => Driver::Duckdb,
            Self::Folder(_) => Driver::Sqlite,
            Self::Connection(connection) => connection.driver,
        }
    }

    /// The dialect of the database called `db`.
    pub fn dialect(&self, db: &str) -> Result<Dialect> {
        match self {
            Self::Folder(_) if is_duckdb(Path::new(db)) => Ok(Dialect::Duckdb),
            Self::Folder(_) => Ok(Dialect::Sqlite),
            Self::Connection(connection) => connection.dialect(),
        }
    }
}

fn one(connection: &Connection, db: &str) -> Result<PathBuf> {
    let name = &connection.name;
    match &connection.place {
        Place::Server(_) => Ok(PathBuf::from(db)),
        Place::File(file) => {
            let own = [file.file_stem(), file.file_name()];
            let known = db.is_empty() || db == name || own.contains(&Some(db.as_ref()));
            match known {
                true => Ok(file.clone()),
                false => bail!(
                    "there is no database {db:?} in connection {name}, which is the one file {}",
                    file.display()
                ),
            }
        }
        Place::Unknown(reason) => bail!("{name}: {reason}"),
        Place::Nowhere => bail!("no connector for {} in this build", connection.driver.id()),
    }
}

impl fmt::Display for Home {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(formatter, "{}", folder.display()),
            Self::Connection(connection) => formatter.write_str(&connection.shown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::connections::Connections;

    fn home(place: &str) -> Home {
        Home::Connection(Connections::default().get(place).unwrap())
    }

    #[test]
    fn a_file_is_called_by_its_names_alone() {
        let shop = home("data/shop.duckdb");
        for db in ["", "shop", "shop.duckdb", "data/shop.duckdb"] {
            assert_eq!(
                shop.locate(db, false).unwrap(),
                [PathBuf::from("data/shop.duckdb")]
            );
        }
        let error = shop.locate("other", false).unwrap_err().to_string();
        assert!(
            error.contains("\"other\"") && error.contains("shop.duckdb"),
            "{error}"
        );
        assert_eq!(shop.driver(Path::new("anything")), Driver::Duckdb);
    }

    #[test]
    fn a_server_has_schemas_and_no_password_is_told() {
        let server = home("postgres://me:secret@host/shop");
        assert_eq!(
            server.locate("sales", false).unwrap(),
            [PathBuf::from("sales")]
        );
        assert_eq!(server.to_string(), "postgresql://me@host/shop");
        assert!(!format!("{server:?}").contains("secret"));
    }

    #[test]
    fn what_has_no_connector_is_said() {
        let error = home("mysql://host/shop").locate("x", false).unwrap_err();
        assert!(error.to_string().contains("no connector for mysql"));
    }
}
