//! `factory db test`

use super::connection::{ConnectionsArgs, door};
use crate::cli::{note, plain, say};
use crate::db::connections::Connection;
use crate::db::door::Limits;
use anyhow::{Result, bail};

/// Open connections and say what answers: engine, version, how many tables.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Connections, database files or URLs [default: all that are configured].
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub fn run(args: &Args, connections: &ConnectionsArgs) -> Result<()> {
    let connections = connections.read()?;
    let all: Vec<Connection> = match &args.names[..] {
        [] => connections.all().cloned().collect(),
        names => {
            let named = names.iter().map(|name| connections.get(name));
            named.collect::<Result<_>>()?
        }
    };
    if all.is_empty() {
        return say("no connections: write connections.toml, or set DB_URL");
    }
    let door = door(Limits::default())?;
    let mut failed = 0;
    for connection in &all {
        let name = plain(&connection.name);
        let found = door.version(connection).and_then(|version| {
            let tables = door.schema(connection)?;
            Ok((version, tables.len()))
        });
        match found {
            Ok((version, tables)) => say(format_args!("{name}: {version}, {tables} tables"))?,
            Err(error) if all.len() == 1 => {
                return Err(anyhow::Error::from(error).context(name));
            }
            Err(error) => {
                note(format_args!("{name}: {}", plain(&error.to_string())));
                failed += 1;
            }
        }
    }
    match failed {
        0 => Ok(()),
        failed => bail!("{failed} of {} connections do not answer", all.len()),
    }
}
