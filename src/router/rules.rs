//! Routing by rules that a person wrote: the first one that holds decides.

use super::{Decision, Row};
use anyhow::{Result, ensure};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Fields that a caller has at inference time. `prompt` is the prompt's text, whatever field it came from.
pub const FIELDS: [&str; 5] = ["prompt", "db", "source", "schema", "question"];

/// Most bytes that one expression may compile to.
const MAX_COMPILED: usize = 1 << 20;

/// Rules in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    pub rules: Vec<Rule>,
}

/// One rule: it holds for rows whose `field` matches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// One of [`FIELDS`].
    pub field: String,
    /// A regular expression that is found in the field; without one, that the row has the field is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Expression>,
    pub route: String,
}

/// A regular expression of bounded size.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression(Regex);

impl TryFrom<String> for Expression {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let regex = RegexBuilder::new(&text).size_limit(MAX_COMPILED).build();
        let regex = regex.map_err(|e| format!("{text:?} is no regular expression: {e}"))?;
        Ok(Self(regex))
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> Self {
        expression.0.as_str().to_owned()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Rules {
    /// Errors where a rule looks at a field that no caller has, or names no route.
    pub fn check(&self) -> Result<()> {
        ensure!(!self.rules.is_empty(), "no rules");
        for (i, rule) in self.rules.iter().enumerate() {
            ensure!(
                FIELDS.contains(&rule.field.as_str()),
                "rule {}: field {:?} is not there at inference time (known: {})",
                i + 1,
                rule.field,
                FIELDS.join(", ")
            );
            ensure!(!rule.route.is_empty(), "rule {}: route has no name", i + 1);
        }
        Ok(())
    }

    /// The routes, each once.
    pub fn routes(&self) -> Vec<&str> {
        let mut routes: Vec<&str> = Vec::new();
        for rule in &self.rules {
            if !routes.contains(&rule.route.as_str()) {
                routes.push(&rule.route);
            }
        }
        routes
    }

    /// The first rule that holds; sure of it, since a person was.
    pub fn decide(&self, row: &Row) -> Decision {
        for rule in &self.rules {
            let text = match rule.field.as_str() {
                "prompt" => Some(Cow::Borrowed(row.prompt)),
                field => row.fields.get(field).filter(|v| !v.is_null()).map(|value| {
                    match value.as_str() {
                        Some(text) => Cow::Borrowed(text),
                        None => Cow::Owned(value.to_string()),
                    }
                }),
            };
            let reason = match (text, &rule.matches) {
                (Some(_), None) => format!("has {}", rule.field),
                (Some(text), Some(Expression(regex))) if regex.is_match(&text) => {
                    format!("{} matches {}", rule.field, regex.as_str())
                }
                _ => continue,
            };
            return Decision {
                route: Some(rule.route.clone()),
                reason,
                confidence: 1.0,
            };
        }
        Decision {
            route: None,
            reason: "no rule holds".to_owned(),
            confidence: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_rule_that_holds_decides() {
        let rules: Rules = serde_json::from_value(json!({"rules": [
            {"field": "db", "route": "own"},
            {"field": "source", "matches": "^wikisql$", "route": "public"},
            {"field": "prompt", "matches": "(?i)create table", "route": "public"},
        ]}))
        .unwrap();
        let decide = |prompt: &str, fields: serde_json::Value| {
            let fields = fields.as_object().unwrap();
            rules.decide(&Row { prompt, fields })
        };
        assert_eq!(
            decide("CREATE TABLE t", json!({"db": "x.db"}))
                .route
                .as_deref(),
            Some("own")
        );
        assert_eq!(
            decide("", json!({"source": "wikisql"})).reason,
            "source matches ^wikisql$"
        );
        assert_eq!(
            decide("create TABLE t", json!({"db": null}))
                .route
                .as_deref(),
            Some("public")
        );
        let nothing = decide("hello", json!({"gold_sql": "create table"}));
        assert_eq!((nothing.route, nothing.confidence), (None, 0.0));
    }
}
