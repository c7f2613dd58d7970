//! Which adapter serves a row, why, and how sure that is: decided by what a caller has at inference time, never by labels.

pub mod content;
pub mod features;
pub mod rules;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a router sees of a row.
pub struct Row<'a> {
    /// The prompt's text.
    pub prompt: &'a str,
    /// The row's fields, of which only those of [`rules::FIELDS`] are looked at.
    pub fields: &'a Map<String, Value>,
}

/// What a router decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// `None` where it abstains.
    pub route: Option<String>,
    /// In words.
    pub reason: String,
    /// 0 to 1.
    pub confidence: f64,
}

/// A router, as its file holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Router {
    Rules(rules::Rules),
    Content(content::Content),
}

impl Router {
    /// Reads and checks a router's file.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let router: Self =
            serde_json::from_slice(bytes).context("no router of `factory route fit`, nor rules")?;
        match &router {
            Self::Rules(rules) => rules.check()?,
            Self::Content(content) => content.check()?,
        }
        Ok(router)
    }

    /// The names that it may decide for.
    pub fn routes(&self) -> Vec<&str> {
        match self {
            Self::Rules(rules) => rules.routes(),
            Self::Content(content) => content.routes(),
        }
    }

    /// Decides for one row.
    pub fn decide(&self, row: &Row) -> Decision {
        match self {
            Self::Rules(rules) => rules.decide(row),
            Self::Content(content) => content.decide(row.prompt),
        }
    }
}

/// Turns a decision that is less sure than `least` into the default route, or an abstention.
pub fn settle(decision: Decision, least: f64, default: Option<&str>) -> Decision {
    let sure = decision.route.is_some() && decision.confidence >= least;
    if sure {
        return decision;
    }
    let reason = match &decision.route {
        Some(route) => format!(
            "{route} only at {:.2}: {}",
            decision.confidence, decision.reason
        ),
        None => decision.reason,
    };
    Decision {
        route: default.map(str::to_owned),
        reason: match default {
            Some(_) => format!("default; {reason}"),
            None => reason,
        },
        confidence: decision.confidence,
    }
}

/// Errors unless every route of `router` is one of `known`, naming all that are not.
pub fn check_known(router: &Router, known: &[&str]) -> Result<()> {
    let unknown: Vec<_> = router
        .routes()
        .into_iter()
        .filter(|route| !known.contains(route))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let known = match known {
        [] => "none".to_owned(),
        known => known.join(", "),
    };
    bail!(
        "the router decides for {}, which is no adapter here (there are {known}): name them with --lora NAME=FOLDER",
        unknown.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_sure_goes_to_the_default_or_nowhere() {
        let unsure = Decision {
            route: Some("a".to_owned()),
            reason: "because".to_owned(),
            confidence: 0.4,
        };
        assert_eq!(settle(unsure.clone(), 0.3, None), unsure);
        let abstained = settle(unsure.clone(), 0.5, None);
        assert_eq!(
            (abstained.route, abstained.reason.as_str()),
            (None, "a only at 0.40: because")
        );
        let default = settle(unsure, 0.5, Some("b"));
        assert_eq!(
            (default.route.as_deref(), default.reason.as_str()),
            (Some("b"), "default; a only at 0.40: because")
        );
    }

    #[test]
    fn a_router_is_read_checked_and_held_against_the_adapters() {
        let rules = r#"{"kind":"rules","rules":[{"field":"db","route":"a"},{"field":"prompt","matches":"(?i)create table","route":"b"}]}"#;
        let router = Router::from_json(rules.as_bytes()).unwrap();
        assert_eq!(router.routes(), ["a", "b"]);
        assert!(check_known(&router, &["b", "a", "c"]).is_ok());
        let error = check_known(&router, &["c"]).unwrap_err().to_string();
        assert!(
            error.contains("decides for a, b, which is no adapter here (there are c)"),
            "{error}"
        );
        for (bad, expected) in [
            (
                r#"{"kind":"rules","rules":[{"field":"gold_sql","route":"a"}]}"#,
                "gold_sql",
            ),
            (
                r#"{"kind":"rules","rules":[{"field":"db","matches":"(","route":"a"}]}"#,
                r#""(" is no regular expression"#,
            ),
            (
                r#"{"kind":"rules","rules":[{"field":"db","route":""}]}"#,
                "rule 1: route has no name",
            ),
            (r#"{"kind":"rules","rules":[]}"#, "no rules"),
            (r#"{"kind":"other"}"#, "no router"),
        ] {
            let error = format!("{:#}", Router::from_json(bad.as_bytes()).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
