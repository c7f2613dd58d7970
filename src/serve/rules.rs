//! What a request holds its answer to: `response_format`, `grammar`, Ollama's `format`.

use super::error::ApiError;
use super::fields::Fields;
use super::served::{Served, beside};
use crate::answering::constraint::guidance::Guidance;
use crate::generation::constraint::Grammar;
use llguidance::api::TopLevelGrammar;
use serde_json::{Value, json};
use std::sync::Arc;

/// The rules, and the field that asks for them.
#[derive(Debug, Clone)]
pub struct Rules {
    param: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Schema(Value),
    Lark(String),
}

/// OpenAI's `response_format` and llama.cpp's `grammar`, of which one may be given; the latter in llguidance's dialect of Lark.
pub fn rules(fields: &mut Fields) -> Result<Option<Rules>, ApiError> {
    let format = fields.value("response_format");
    let format = format.map(of_format).transpose()?.flatten();
    match (format, fields.text("grammar")?) {
        (Some(_), Some(_)) => Err(ApiError::field(
            "grammar",
            "grammar and response_format are both given: give one",
        )),
        (format, None) => Ok(format),
        (None, Some(text)) => Ok(Some(Rules {
            param: "grammar",
            kind: Kind::Lark(text),
        })),
    }
}

/// Ollama's `format`: `json`, or a JSON schema.
pub fn ollama(fields: &mut Fields) -> Result<Option<Rules>, ApiError> {
    let param = "format";
    let schema = match fields.value(param) {
        None => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) if text == "json" => json!({"type": "object"}),
        Some(schema @ Value::Object(_)) => schema,
        Some(_) => {
            let message = "format is neither json nor a JSON schema";
            return Err(ApiError::field(param, message));
        }
    };
    let kind = Kind::Schema(schema);
    Ok(Some(Rules { param, kind }))
}

fn of_format(format: Value) -> Result<Option<Rules>, ApiError> {
    let param = "response_format";
    let mut format = Fields::of(param, format)?;
    let kind = format.text("type")?.unwrap_or_default();
    let schema = match kind.as_str() {
        "text" => None,
        "json_object" => Some(json!({"type": "object"})),
        "json_schema" => {
            let missing = || ApiError::field(param, "json_schema has no schema");
            let inner = format.value("json_schema").ok_or_else(missing)?;
            let mut inner = Fields::of(param, inner)?;
            let schema = inner.value("schema").ok_or_else(missing)?;
            // An answer is always held to its schema.
            inner.skip(&["name", "description", "strict"]);
            inner.end()?;
            Some(schema)
        }
        other => {
            let message = format!(
                "response_format has the type {other:?}, which is none of text, json_object, json_schema"
            );
            return Err(ApiError::field(param, message));
        }
    };
    format.end()?;
    Ok(schema.map(|schema| Rules {
        param,
        kind: Kind::Schema(schema),
    }))
}

impl Rules {
    /// The field that asks for them.
    pub fn param(&self) -> &'static str {
        self.param
    }

    /// Compiles them, beside the thread that answers callers. Errors where they cannot be understood.
    pub async fn compile(self, served: &Arc<Served>) -> Result<Arc<dyn Grammar>, ApiError> {
        let served = served.clone();
        let param = self.param;
        beside(move || {
            let compiled = self.compiled(&served);
            compiled.map_err(|error| ApiError::field(param, format!("{param}: {error:#}")))
        })
        .await
    }

    fn compiled(self, served: &Served) -> anyhow::Result<Arc<dyn Grammar>> {
        let guidance = served.guidance.get_or_init(|| {
            let tokenizer = &served.loaded.base.tokenizer;
            Guidance::new(tokenizer).map_err(|error| format!("{error:#}"))
        });
        let guidance = guidance
            .as_ref()
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let rules = match self.kind {
            Kind::Lark(text) => guidance.lark(&text)?,
            Kind::Schema(schema) => guidance.compile(TopLevelGrammar::from_json_schema(schema))?,
        };
        Ok(Arc::new(rules))
    }
}
