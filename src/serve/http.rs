//! The door: which path goes where, who may come in, how large and how slow a request may be, and how the server ends.

use super::config::Config;
use super::error::ApiError;
use super::keys::Keys;
use super::{State, adapters, asking, facts, ollama, openai, page};
use crate::run::usage::UsageError;
use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::io::Write;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;
use tokio_stream::StreamExt;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};
use url::Url;

/// How long a caller may take for the head of a request, and for its body.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a database may take to come, however it drips.
const UPLOAD: Duration = Duration::from_secs(600);

/// The body of a request.
pub struct Body(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let read = Bytes::from_request(request, state);
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            Ok(Err(error)) => Err(refused(&error)),
            Err(_) => Err(late()),
        }
    }
}

/// Writes the body of a request to a file, of `most` bytes at most. Who sends nothing for a while, or little for long, is let go.
pub async fn store(
    request: Request,
    mut file: NamedTempFile,
    most: u64,
) -> Result<NamedTempFile, ApiError> {
    let mut body = request.into_body().into_data_stream();
    let mut written = 0;
    let end = Instant::now() + UPLOAD;
    loop {
        let patience = PATIENCE.min(end.saturating_duration_since(Instant::now()));
        let piece = match tokio::time::timeout(patience, body.next()).await {
            Ok(None) => break,
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(_))) => return Err(ApiError::request("the body did not come whole")),
            Err(_) => return Err(late()),
        };
        written += piece.len() as u64;
        if written > most {
            return Err(large());
        }
        let wrote = file.write_all(&piece);
        wrote.map_err(|error| ApiError::server(format!("the database cannot be kept: {error}")))?;
    }
    Ok(file)
}

fn late() -> ApiError {
    let message = "the body did not come in time";
    ApiError::body(StatusCode::REQUEST_TIMEOUT, message)
}

fn large() -> ApiError {
    let message = "the body is longer than this server reads";
    ApiError::body(StatusCode::PAYLOAD_TOO_LARGE, message)
}

fn refused(error: &BytesRejection) -> ApiError {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => large(),
        _ => {
            let message = "the body did not come whole";
            ApiError::body(StatusCode::BAD_REQUEST, message)
        }
    }
}

/// What is served where.
pub fn router(state: State, config: &Config, keys: Option<Keys>) -> Result<Router> {
    let open = Router::new()
        .route("/", get(page::index))
        .route("/page/{file}", get(page::part))
        .route("/health", get(facts::health))
        .route("/version", get(facts::version));
    let mut closed = Router::new()
        .route("/v1/chat/completions", post(openai::chat))
        .route("/v1/completions", post(openai::completions))
        .route("/v1/models", get(openai::models))
        .route("/v1/models/{name}", get(openai::model))
        .route("/v1/load_lora_adapter", post(adapters::load))
        .route("/v1/unload_lora_adapter", post(adapters::unload))
        .route("/lora-adapters", get(adapters::list))
        .route("/tokenize", post(facts::tokenize))
        .route("/detokenize", post(facts::detokenize))
        .route("/metrics", get(facts::metrics))
        .route("/slots", get(facts::slots))
        .route("/ask", post(asking::ask))
        .route("/ask/query", post(asking::query))
        .route("/ask/databases", post(asking::bring))
        .route("/ask/databases/{id}", delete(asking::forget))
        .route("/api/chat", post(ollama::chat))
        .route("/api/generate", post(ollama::generate))
        .route("/api/tags", get(ollama::tags))
        .route("/api/version", get(ollama::version));
    if let Some(keys) = keys {
        let keys = Arc::new(keys);
        let check = move |request: Request, next: Next| {
            let keys = keys.clone();
            async move {
                match keys.opens(request.headers()) {
                    true => next.run(request).await,
                    false => ApiError::key().into_response(),
                }
            }
        };
        closed = closed.layer(middleware::from_fn(check));
    }
    let mut all = open
        .merge(closed)
        .fallback(|uri: Uri| async move { ApiError::no_path(uri.path()) })
        .method_not_allowed_fallback(|| async { ApiError::no_method() })
        .layer(DefaultBodyLimit::max(config.body));
    let origins = Arc::new(config.origins.clone());
    if !config.origins.is_empty() {
        all = all.layer(cors(&config.origins)?);
    }
    Ok(all
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            own_pages(origins.clone(), request, next)
        }))
        .with_state(state))
}

/// Pages of the origins that were named may call.
fn cors(origins: &[String]) -> Result<CorsLayer> {
    let origin = |origin: &String| -> Result<HeaderValue> {
        let whole =
            Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
        let value = HeaderValue::from_str(origin).ok().filter(|_| whole);
        let wrong = || format!("--cors {origin:?} is no origin, such as https://example.com");
        Ok(value.ok_or_else(|| UsageError(wrong()))?)
    };
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        // A key is not among "any".
        .allow_headers(AllowHeaders::mirror_request());
    Ok(match origins.iter().any(|origin| origin == "*") {
        true => layer.allow_origin(Any),
        false => {
            let origins: Vec<HeaderValue> = origins.iter().map(origin).collect::<Result<_>>()?;
            layer.allow_origin(AllowOrigin::list(origins))
        }
    })
}

/// Whether that is a name of the loopback.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
        || name.trim_end_matches('.').eq_ignore_ascii_case("localhost")
}

/// Pages of other sites do not get in. One may have its name lead to this machine, and would then be at home here: on the loopback, only the
/// loopback's own names are answered. And a browser sends what a page asks without asking first, with the page's origin.
async fn own_pages(origins: Arc<Vec<String>>, request: Request, next: Next) -> Response {
    match stranger(&origins, &request) {
        Some(error) => error.into_response(),
        None => next.run(request).await,
    }
}

/// Why a request does not get in.
fn stranger(origins: &[String], request: &Request) -> Option<ApiError> {
    let refused = |message: &str| Some(ApiError::body(StatusCode::FORBIDDEN, message));
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap_or("?").to_owned())
    };
    let host = header("host").unwrap_or_else(|| "localhost".to_owned());
    if let Some(origin) = header("origin") {
        let here = [format!("http://{host}"), format!("https://{host}")];
        let named = origins.iter().any(|known| known == "*" || *known == origin);
        if !named && !here.contains(&origin) {
            return refused("a page of another origin asks: --cors names those that may");
        }
    }
    match request.extensions().get::<Local>() {
        Some(Local) if !is_loopback(&host) => refused("this server is not at home under that name"),
        _ => None,
    }
}

/// A request that came over the loopback.
#[derive(Clone)]
struct Local;

/// How long callers may still read when the last answer is complete and the server ends.
const LEAVE: Duration = Duration::from_secs(5);

/// Answers until `end`; then no more come in, and what runs is finished.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    state: State,
    end: impl Future<Output = ()>,
) -> Result<()> {
    listener.set_nonblocking(true)?;
    let local = listener.local_addr()?.ip().is_loopback();
    let router = match local {
        true => router.layer(axum::Extension(Local)),
        false => router,
    };
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let graceful = GracefulShutdown::new();
    let mut server = hyper::server::conn::http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE);
    tokio::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut end => break,
        };
        let Ok((stream, _)) = accepted else {
            // Too many open files, or a caller who left at once: others may get through.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        // A token goes out when it is there.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = server.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // What goes wrong with a connection is its caller's own.
            let _ = connection.await;
        });
    }
    drop(listener);
    let idle = async {
        // A caller who does not read, or sends without end, keeps nobody waiting.
        while state.served().is_ok_and(|served| served.is_busy()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(LEAVE).await;
    };
    tokio::select! {
        () = graceful.shutdown() => {}
        () = idle => {}
    }
    Ok(())
}
