//! `factory mcp serve`

use crate::answering::config::Config as Answering;
use crate::answering::constraint::Kind;
use crate::ask::{self, SAMPLES, SURE, TEMPERATURE, sampling};
use crate::cli::answering::AnsweringArgs;
use crate::cli::db::connection::{ConnectionsArgs, door};
use crate::cli::{UsageError, note, sql_worker};
use crate::db::answer::Bounds;
use crate::db::connections::{DEFAULT, Place};
use crate::db::door::Limits;
use crate::mcp::{Config, Model, Way};
use crate::run::words::bytes;
use anyhow::{Context, Result};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Serve connections to an assistant, over standard input and output.
///
/// Its tools list connections, tables and columns, run queries that only read, each in a process of its own, and have notes on each dialect; those
/// of mcp-alchemy are among them. With --lora or --base, one more has a model answer questions. Each call is logged on stderr, as JSON.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    connections: ConnectionsArgs,
    /// Database file or URL that is the connection called default.
    #[arg(long, value_name = "FILE|URL")]
    db: Option<String>,
    /// Serve over HTTP at this port instead; 0 is any that is free.
    #[arg(long, value_name = "PORT")]
    http: Option<u16>,
    /// Address of this machine to listen at, of the loopback.
    #[arg(long, requires = "http", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Seconds that a call may take.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Most rows of a result.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    max_rows: u64,
    /// Most memory of a result.
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = bytes)]
    max_bytes: usize,
    /// Calls that run at once; others wait.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    calls: u64,
    #[command(flatten)]
    answering: AnsweringArgs,
}

pub fn run(args: Args) -> Result<()> {
    let mut connections = args.connections.read()?;
    if let Some(place) = &args.db {
        connections = connections.with_default(place)?;
        if let Place::File(file) = &connections.configured(DEFAULT)?.place {
            File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        }
    }
    if connections.all().next().is_none() {
        let message = "no connections: write connections.toml, set DB_URL, or give --db FILE";
        return Err(UsageError(message.to_owned()).into());
    }
    let limits = Limits {
        timeout: Duration::from_secs(args.timeout),
        bounds: Bounds {
            rows: args.max_rows as usize,
            bytes: args.max_bytes,
        },
    };
    let answering = args.answering.config()?;
    let asks = answering.base.is_some() || !answering.loras.0.is_empty();
    let model = match asks {
        true => Some(model(answering, &args)?),
        false => None,
    };
    let config = Config {
        connections,
        door: door(limits)?,
        calls: args.calls as usize,
        way: match args.http {
            Some(port) => Way::Http(SocketAddr::new(args.host, port)),
            None => Way::Stdio,
        },
        model,
    };
    crate::mcp::serve(config, Arc::new(|line| note(line)))
}

fn model(answering: Answering, args: &Args) -> Result<Model> {
    if answering.routing.trust_route_field.is_some() {
        let message = "--trust-route-field is for rows of a file: a question has no such fields";
        return Err(UsageError(message.into()).into());
    }
    Ok(Model {
        ask: ask::Config {
            db: String::new(),
            tables: Vec::new(),
            prompt: None,
            notation: None,
            sampler: sampling(SAMPLES, TEMPERATURE, 0),
            constrain: Kind::Schema,
            sure: SURE,
        },
        answering,
        place: args.answering.place()?,
        worker: sql_worker::command()?.into(),
        timeout: Duration::from_secs(args.timeout),
    })
}
