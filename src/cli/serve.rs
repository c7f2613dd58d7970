//! `factory serve`: answers over HTTP.

use super::UsageError;
use super::answering::AnsweringArgs;
use super::interrupt;
use super::sql_worker;
use super::terminal::Terminal;
use crate::run::words;
use crate::serve::config::{Asking, Config};
use anyhow::Result;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Answer over HTTP: OpenAI's and Ollama's APIs, each adapter a model, `auto` by the router.
///
/// A page at / asks databases. The base, each adapter and, with --route, `auto` are models. A request without a temperature is answered greedily, one without
/// max_tokens with as many as --max-tokens says.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address to listen at; others than this machine can reach it where it is not the loopback's.
    #[arg(long, default_value_t = Config::default().address.ip())]
    host: IpAddr,
    /// Port to listen at; 0 is any that is free.
    #[arg(long, default_value_t = Config::default().address.port())]
    port: u16,
    #[command(flatten)]
    answering: AnsweringArgs,
    /// Longest prompt with its answer, in tokens; at most what the base has positions for.
    #[arg(long, value_name = "TOKENS", default_value_t = Config::default().context as u64, value_parser = clap::value_parser!(u64).range(2..))]
    context: u64,
    /// Answers that wait for their turn, at most; further requests are told to come again.
    #[arg(long, value_name = "N", default_value_t = Config::default().queue as u64, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    queue: u64,
    /// Longest body of a request.
    #[arg(long, value_name = "SIZE", value_parser = words::bytes, default_value = "4MB")]
    max_body: usize,
    /// Largest database that the page at / may be given.
    #[arg(long, value_name = "SIZE", value_parser = words::bytes, default_value = "100MB")]
    max_database: usize,
    /// Processor time that a query on one may use, in milliseconds.
    #[arg(long, value_name = "N", default_value_t = Config::default().asking.timeout.as_millis() as u64, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    timeout_ms: u64,
    /// Folder whose adapters may be loaded and unloaded while it runs (/v1/load_lora_adapter).
    #[arg(long, value_name = "FOLDER")]
    adapter_root: Option<PathBuf>,
    /// File of the keys that callers may have, one a line, which only its owner can read.
    #[arg(long, value_name = "FILE")]
    api_keys: Option<PathBuf>,
    /// Origin whose web pages may call, such as http://localhost:3000, or * for all (repeatable).
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,
}

/// Serves until Ctrl-C.
pub fn run(args: Args) -> Result<()> {
    let config = Config {
        address: SocketAddr::new(args.host, args.port),
        api_keys: args.api_keys,
        origins: args.cors,
        adapter_root: args.adapter_root,
        context: args.context as usize,
        queue: args.queue as usize,
        body: args.max_body,
        asking: Asking {
            bytes: args.max_database as u64,
            worker: sql_worker::command()?.into(),
            timeout: Duration::from_millis(args.timeout_ms),
        },
    };
    let answering = args.answering.config()?;
    if answering.routing.trust_route_field.is_some() {
        let message = "--trust-route-field is for rows of a file: a request has no such fields";
        return Err(UsageError(message.into()).into());
    }
    let place = args.answering.place()?;
    interrupt::watch()?;
    crate::serve::run(&config, &answering, &place, &Terminal::default())
}
