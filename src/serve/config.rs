//! What a server is told; the one home of its defaults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// A server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub address: SocketAddr,
    /// File of the keys that callers may have, one a line; `None` asks for none.
    pub api_keys: Option<PathBuf>,
    /// Web pages of other origins that may call.
    pub origins: Vec<String>,
    /// Folder whose adapters may be loaded while it runs; `None` loads none.
    pub adapter_root: Option<PathBuf>,
    /// Longest prompt with its answer in tokens, at most what the model has positions for.
    pub context: usize,
    /// Requests that wait for their turn, at most.
    pub queue: usize,
    /// Longest body of a request in bytes.
    pub body: usize,
    pub asking: Asking,
}

/// How databases that callers bring are asked.
#[derive(Debug, Clone)]
pub struct Asking {
    /// Largest database in bytes.
    pub bytes: u64,
    /// What starts a process that runs queries.
    pub worker: Vec<PathBuf>,
    /// Processor time of a query.
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            api_keys: None,
            origins: Vec::new(),
            adapter_root: None,
            context: 4096,
            queue: 256,
            body: 4_000_000,
            asking: Asking {
                bytes: 100_000_000,
                worker: Vec::new(),
                timeout: Duration::from_secs(5),
            },
        }
    }
}
