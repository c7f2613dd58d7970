//! What callers may name as a model: the base, each adapter, and `auto`, for which the router decides.

use super::error::ApiError;
use crate::answering::routing::{Routing, prompt_text};
use crate::data::asking::Asking;
use crate::data::record::Conversation;
use crate::router::{Decision, Router, Row, settle};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// The name for which the router decides.
pub const AUTO: &str = "auto";

/// An adapter that callers may name.
#[derive(Debug, Clone)]
pub struct Adapter {
    pub name: String,
    pub folder: PathBuf,
    /// 0 is the base, 1 the adapter.
    pub weight: f64,
    /// How it was asked in training.
    pub asking: Asking,
}

/// What is served.
pub struct Models {
    base: String,
    /// Unix time.
    since: u64,
    router: Option<(Router, Routing)>,
    adapters: RwLock<Vec<Adapter>>,
}

/// What answers a request: adapters with weights, and how that was decided where a router did.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    pub parts: Vec<(String, f64)>,
    pub decision: Option<Decision>,
}

impl Models {
    /// `since` is the Unix time of the server's begin.
    pub fn new(
        base: String,
        since: u64,
        router: Option<(Router, Routing)>,
        adapters: Vec<Adapter>,
    ) -> Self {
        Self {
            base,
            since,
            router,
            adapters: RwLock::new(adapters),
        }
    }

    /// The adapters, in the order in which they came.
    pub fn adapters(&self) -> RwLockReadGuard<'_, Vec<Adapter>> {
        self.adapters.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may be named.
    pub fn names(&self) -> Vec<String> {
        let auto = self.router.as_ref().map(|_| AUTO.to_owned());
        let adapters = self.adapters();
        let adapters = adapters.iter().map(|adapter| adapter.name.clone());
        auto.into_iter()
            .chain([self.base.clone()])
            .chain(adapters)
            .collect()
    }

    /// Whether that is the base's name.
    pub fn is_base(&self, name: &str) -> bool {
        name == self.base
    }

    /// Adds one. Errors where its name is taken.
    pub fn add(&self, adapter: Adapter) -> Result<(), ApiError> {
        if self.names().contains(&adapter.name) {
            let message = format!("{} is served already", adapter.name);
            return Err(ApiError::field("lora_name", message));
        }
        let mut adapters = self
            .adapters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        adapters.push(adapter);
        Ok(())
    }

    /// Takes one away. Errors where it is not there, or the router may decide for it.
    pub fn remove(&self, name: &str) -> Result<(), ApiError> {
        let routed = |(router, _): &(Router, Routing)| router.routes().contains(&name);
        if self.router.as_ref().is_some_and(routed) {
            let message = format!("{name} stays: the router decides for it");
            return Err(ApiError::field("lora_name", message));
        }
        let mut adapters = self
            .adapters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match adapters.iter().position(|adapter| adapter.name == name) {
            Some(place) => {
                adapters.remove(place);
                Ok(())
            }
            None => {
                drop(adapters);
                Err(ApiError::no_model(name, &self.names()))
            }
        }
    }

    /// What answers `asked` as the model `name`.
    pub fn choose(&self, name: &str, asked: &Conversation) -> Result<Chosen, ApiError> {
        match &self.router {
            Some((router, routing)) if name == AUTO => {
                let row = Row {
                    prompt: &prompt_text(asked),
                    fields: &Map::new(),
                };
                let default = routing.default_route.as_deref();
                let decision = settle(router.decide(&row), routing.min_confidence, default);
                let parts = match &decision.route {
                    Some(route) => self.adapter(route)?,
                    None => Vec::new(),
                };
                let decision = Some(decision);
                Ok(Chosen { parts, decision })
            }
            _ => self.named(name),
        }
    }

    /// What is the model of this name, which is not `auto`.
    pub fn named(&self, name: &str) -> Result<Chosen, ApiError> {
        let parts = match self.is_base(name) {
            true => Vec::new(),
            false => self.adapter(name)?,
        };
        let decision = None;
        Ok(Chosen { parts, decision })
    }

    /// The router, where there is one.
    pub fn routing(&self) -> Option<(&Router, &Routing)> {
        let (router, routing) = self.router.as_ref()?;
        Some((router, routing))
    }

    /// How each adapter was asked in training, by its name.
    pub fn askings(&self) -> Vec<(String, Asking)> {
        let adapters = self.adapters();
        let each = adapters.iter();
        each.map(|adapter| (adapter.name.clone(), adapter.asking.clone()))
            .collect()
    }

    /// What answers who names no model: `auto`, else the first adapter, else the base.
    pub fn first(&self) -> String {
        let adapters = self.adapters();
        let adapter = adapters.first().map(|adapter| adapter.name.clone());
        match &self.router {
            Some(_) => AUTO.to_owned(),
            None => adapter.unwrap_or_else(|| self.base.clone()),
        }
    }

    /// An adapter with its weight.
    pub fn adapter(&self, name: &str) -> Result<Vec<(String, f64)>, ApiError> {
        let adapters = self.adapters();
        match adapters.iter().find(|adapter| adapter.name == name) {
            Some(adapter) => Ok(vec![(adapter.name.clone(), adapter.weight)]),
            None => {
                drop(adapters);
                Err(ApiError::no_model(name, &self.names()))
            }
        }
    }

    /// As OpenAI lists them.
    pub fn json(&self) -> Value {
        let model = |name: &String| {
            json!({
                "id": name,
                "object": "model",
                "created": self.since,
                "owned_by": "factory",
                "parent": (!self.is_base(name)).then_some(&self.base),
            })
        };
        let models: Vec<Value> = self.names().iter().map(model).collect();
        json!({"object": "list", "data": models})
    }
}
