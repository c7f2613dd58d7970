//! Answers over HTTP: OpenAI's and Ollama's APIs, adapters as models.
//!
//! One thread owns the adapters and the key cache ([`engine`]); another answers callers ([`http`]) and tells it what they ask.

mod adapters;
mod asking;
pub mod config;
mod engine;
mod error;
mod facts;
mod fields;
mod http;
mod keys;
mod metrics;
mod models;
mod ollama;
mod openai;
mod page;
mod reply;
mod request;
mod rules;
mod served;
mod shelf;

use crate::answering::{self, loaded::Loaded};
use crate::data::asking::Asking;
use crate::generation::cache::Cache;
use crate::model::allocator;
use crate::model::place::Place;
use crate::run::observer::Observer;
use crate::run::usage::UsageError;
use anyhow::{Context, Result, anyhow};
use config::Config;
use engine::View;
use error::ApiError;
use keys::Keys;
use models::Models;
use served::Served;
use shelf::Shelf;
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// What every handler has: the model, once it is there.
#[derive(Clone, Default)]
pub struct State(Arc<OnceLock<Arc<Served>>>);

impl State {
    fn served(&self) -> Result<Arc<Served>, ApiError> {
        self.0.get().cloned().ok_or_else(ApiError::loading)
    }
}

/// Serves what `answering` says, at `place`, until `observer` asks it to stop. Then what runs is finished.
pub fn run(
    config: &Config,
    answering: &answering::config::Config,
    place: &Place,
    observer: &dyn Observer,
) -> Result<()> {
    allocator::share_heaps();
    let keys = config.api_keys.as_deref().map(Keys::read).transpose()?;
    let state = State::default();
    if let Some(root) = &config.adapter_root
        && !root.is_dir()
    {
        let message = format!("--adapter-root {} is no folder", root.display());
        return Err(UsageError(message).into());
    }
    let router = http::router(state.clone(), config, keys)?;
    let shared = state.clone();
    let address = config.address;
    let listener = TcpListener::bind(address).with_context(|| {
        format!("cannot listen at {address} (--port gives another, 0 any that is free)")
    })?;
    let bound = listener.local_addr()?;
    if !bound.ip().is_loopback() && config.api_keys.is_none() {
        observer.note(format_args!(
            "{bound} can be reached from other machines, and no key is asked for: --api-keys FILE asks for one"
        ));
    }
    let (end, ended) = watch::channel(false);
    let (gone, http_gone) = channel::<()>();
    let http = std::thread::Builder::new().name("http".into());
    let http = http.spawn(move || {
        let _gone = gone;
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build()?;
        runtime.block_on(http::serve(listener, router, shared, stopped(ended)))
    })?;
    let served = load(config, answering, place, observer);
    let answered = served.and_then(|(served, adapters, cache, commands)| {
        let names = served.models.names().join(", ");
        let served = Arc::new(served);
        // Nobody else sets it.
        let _ = state.0.set(served.clone());
        observer.note(format_args!("serving {names} at http://{bound}"));
        let gone = || {
            if observer.stops() {
                end.send_replace(true);
            }
            // Its last caller has its answer then.
            http_gone.try_recv() != Err(TryRecvError::Empty)
        };
        engine::run(&served, adapters, cache, commands, gone)
    });
    end.send_replace(true);
    let joined = http.join();
    answered?;
    joined.map_err(|_| anyhow!("the HTTP thread ended in a panic"))?
}

/// Waits for the word to end.
async fn stopped(mut ended: watch::Receiver<bool>) {
    while !*ended.borrow_and_update() {
        if ended.changed().await.is_err() {
            return;
        }
    }
}

/// What the engine begins with.
type Begin = (Served, engine::Adapters, Cache, Receiver<engine::Command>);

/// Loads what is served.
fn load(
    config: &Config,
    answering: &answering::config::Config,
    place: &Place,
    observer: &dyn Observer,
) -> Result<Begin> {
    let mut loaded = Loaded::load(answering, place, observer)?;
    let router = loaded.router(answering)?;
    let base = base_name(&loaded.name);
    for lora in &answering.loras.0 {
        if lora.name == base || lora.name == models::AUTO {
            let name = &lora.name;
            let message = format!(
                "an adapter cannot be called {name} here, which is the name of another model: --lora NAME=FOLDER gives another"
            );
            return Err(UsageError(message).into());
        }
    }
    let decoder = &loaded.base.decoder;
    let most = decoder.config.max_position_embeddings;
    let context = config.context.min(most);
    let longest = loaded.stop.max_tokens;
    if longest >= context {
        let message = format!(
            "--max-tokens {longest} leaves no room for a prompt in a context of {context} tokens"
        );
        return Err(UsageError(message).into());
    }
    let cache = loaded.standing_cache(context)?;
    let adapters = answering.loras.0.iter().map(|lora| {
        Ok(models::Adapter {
            name: lora.name.clone(),
            folder: lora.folder.clone(),
            weight: lora.weight,
            asking: Asking::read(&lora.folder)?.unwrap_or_default(),
        })
    });
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let router = router.map(|router| (router, answering.routing.clone()));
    let models = Models::new(
        base,
        since.unwrap_or_default().as_secs(),
        router,
        adapters.collect::<Result<_>>()?,
    );
    let bank = loaded.take_adapters()?;
    let (commands, receiver) = channel();
    let served = Served {
        room: loaded.batch + config.queue,
        loaded: Arc::new(loaded),
        models,
        view: View::default(),
        context,
        adapter_root: config.adapter_root.clone(),
        commands,
        guidance: OnceLock::new(),
        dialect: OnceLock::new(),
        shelf: Shelf::new(&config.asking)?,
        tickets: Arc::new(()),
    };
    Ok((served, bank, cache, receiver))
}

/// How the base is called: by the last part of its path or id.
fn base_name(base: &str) -> String {
    let last = Path::new(base).file_name();
    last.map_or_else(
        || base.to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
