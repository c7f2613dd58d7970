//! Who answers a question, where a router decides.

use super::source::Source;
use crate::answering::routing::Routing;
use crate::data::asking::Asking;
use crate::router::{Decision, Router, Row, settle};
use anyhow::Result;
use serde_json::Map;

/// Each adapter is asked in its own way: that one answers for which the router decides when it sees the question put so, and of several the
/// surest. Its place among `askings`, which have the adapters' names; `None` where the router decides for none of them.
pub fn route(
    (router, routing): (&Router, &Routing),
    source: &Source,
    tables: &[String],
    askings: &[(String, Asking)],
    question: &str,
) -> Result<(Option<usize>, Decision)> {
    let mut best: Option<(usize, Decision)> = None;
    for (place, (name, asking)) in askings.iter().enumerate() {
        let prompt = source.put(asking, tables, question)?;
        let row = Row {
            prompt: &prompt,
            fields: &Map::new(),
        };
        let default = routing.default_route.as_deref();
        let decision = settle(router.decide(&row), routing.min_confidence, default);
        let surer = best
            .as_ref()
            .is_none_or(|(_, known)| decision.confidence > known.confidence);
        if decision.route.as_ref() == Some(name) && surer {
            best = Some((place, decision));
        }
    }
    let none = || Decision {
        route: None,
        reason: "the router decides for no adapter, however the question is put".to_owned(),
        confidence: 0.0,
    };
    Ok(match best {
        Some((place, decision)) => (Some(place), decision),
        None => (None, none()),
    })
}
