//! How clients come to the server: over standard input and output, or over HTTP on this machine.

use super::log::Log;
use super::server::Server;
use crate::run::usage::UsageError;
use anyhow::{Context, Result};
use rmcp::ServiceExt;
use rmcp::service::QuitReason;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// Where the server answers HTTP.
pub const PATH: &str = "/mcp";

/// A way.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// A client started the server, and speaks to it alone.
    Stdio,
    /// Any client of this machine, at an address of the loopback.
    Http(SocketAddr),
}

/// A way that is open.
pub enum Bound {
    Stdio,
    Http(TcpListener),
}

impl Way {
    /// Opens it.
    pub fn bind(self) -> Result<Bound> {
        let Self::Http(address) = self else {
            return Ok(Bound::Stdio);
        };
        if !address.ip().is_loopback() {
            let message = format!(
                "--host {} is not this machine's own: there is no key that callers would have to know",
                address.ip()
            );
            return Err(UsageError(message).into());
        }
        let listener = TcpListener::bind(address);
        let listener = listener.with_context(|| {
            format!("cannot listen at {address} (--http gives another port, 0 any that is free)")
        })?;
        listener.set_nonblocking(true)?;
        Ok(Bound::Http(listener))
    }
}

impl Bound {
    /// Serves until nobody can come any more.
    pub async fn serve(self, server: Server, log: &Log) -> Result<()> {
        match self {
            Self::Stdio => stdio(server).await,
            Self::Http(listener) => http(listener, server, log).await,
        }
    }
}

async fn stdio(server: Server) -> Result<()> {
    let begun = server.serve(rmcp::transport::stdio()).await;
    let running = match begun {
        Ok(running) => running,
        // A client that leaves before it has begun is no fault.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(error).context("the client does not speak the protocol"),
    };
    match running.waiting().await? {
        QuitReason::JoinError(error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Each request stands alone: nothing is kept of a client, and one that hangs up ends its call. Names of other machines that lead here are
/// refused, and pages of other origins.
async fn http(listener: TcpListener, server: Server, log: &Log) -> Result<()> {
    let address = listener.local_addr()?;
    let port = address.port();
    let names = ["localhost", "127.0.0.1", "[::1]"];
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts([
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
            address.ip().to_string(),
        ])
        .with_allowed_origins(names.map(|name| format!("http://{name}:{port}")))
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(server.clone()), sessions, config);
    let router = axum::Router::new().route_service(PATH, service);
    log.event("listening", &format!("http://{address}{PATH}"));
    let listener = tokio::net::TcpListener::from_std(listener)?;
    Ok(axum::serve(listener, router).await?)
}
