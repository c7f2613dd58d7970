//! Which adapter each row of a file gets: a router's decisions, settled.

use crate::data::jsonl::Line;
use crate::data::record::Conversation;
use crate::router::{Decision, Router, Row, rules, settle};
use crate::run::usage::UsageError;
use crate::run::words::plain;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

/// How decisions are settled.
#[derive(Clone, Debug)]
pub struct Routing {
    /// Route of rows that the router is not sure of; without one it abstains.
    pub default_route: Option<String>,
    /// Least confidence of a decision, 0 to 1.
    pub min_confidence: f64,
    /// The route is this field of the row: the only way in which a label is used.
    pub trust_route_field: Option<String>,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            default_route: None,
            min_confidence: 0.5,
            trust_route_field: None,
        }
    }
}

impl Routing {
    /// Refuses what no routes of these names can have.
    pub fn check(&self, routes: &[&str]) -> Result<()> {
        let least = self.min_confidence;
        if !(0.0..=1.0).contains(&least) {
            let message = format!("--min-confidence {least} is not from 0 to 1");
            return Err(UsageError(message).into());
        }
        match &self.default_route {
            Some(default) if !routes.contains(&default.as_str()) => {
                let message = format!("--default-route {default} is none of {}", routes.join(", "));
                Err(UsageError(message).into())
            }
            _ => Ok(()),
        }
    }

    /// One decision for each of the rows of `path`, which ask for `asked`.
    pub fn decide(
        &self,
        router: &Router,
        path: &Path,
        lines: &[Line],
        asked: &[Conversation],
    ) -> Result<Vec<Decision>> {
        let routes = router.routes();
        let of_line = |(line, asked): (&Line, &Conversation)| {
            if let Some(field) = &self.trust_route_field {
                let route = line.str(path, field)?;
                if !routes.contains(&route) {
                    let place = format!("{}:{}", path.display(), line.number);
                    bail!(
                        "{place}: field {field:?} says {route:?}, which is none of {}",
                        routes.join(", ")
                    );
                }
                return Ok(Decision {
                    route: Some(route.to_owned()),
                    reason: format!("field {field}, trusted"),
                    confidence: 1.0,
                });
            }
            for field in rules::FIELDS {
                line.value(path, field)?;
            }
            let row = Row {
                prompt: &prompt_text(asked),
                fields: line.fields(),
            };
            let decision = router.decide(&row);
            Ok(settle(
                decision,
                self.min_confidence,
                self.default_route.as_deref(),
            ))
        };
        lines.iter().zip(asked).map(of_line).collect()
    }
}

/// What is asked as one text.
pub fn prompt_text(asked: &Conversation) -> String {
    let texts = asked.turns.iter().map(|turn| turn.content.as_str());
    texts.collect::<Vec<_>>().join("\n")
}

/// Reads a router's file.
pub fn read(path: &Path) -> Result<Router> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot open {}", path.display()))?;
    Router::from_json(&bytes).with_context(|| path.display().to_string())
}

/// Adds a decision to its row.
pub fn annotate(line: &mut Line, decision: &Decision) {
    line.set("_route", decision.route.clone());
    line.set("_route_reason", decision.reason.clone());
    line.set("_route_confidence", decision.confidence);
}

/// `routes: public=64 synthetic=49 abstained=1 (n=114)`
pub fn summary(decisions: &[Decision]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for decision in decisions {
        *counts
            .entry(decision.route.as_deref().unwrap_or(""))
            .or_insert(0) += 1;
    }
    let abstained = counts.remove("").unwrap_or(0);
    let counts: String = counts
        .iter()
        .map(|(route, count)| format!("{}={count} ", plain(route)))
        .collect();
    format!(
        "routes: {counts}abstained={abstained} (n={})",
        decisions.len()
    )
}
