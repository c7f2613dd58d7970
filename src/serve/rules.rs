//! What a request holds its answer to: `response_format`, `grammar`, Ollama's `format`, `constrain`.

use super::error::ApiError;
use super::fields::Fields;
use super::served::{Served, beside};
use crate::answering::constraint::dialect::Dialect;
use crate::answering::constraint::guidance::Guidance;
use crate::data::schema::{self, Table};
use crate::generation::constraint::Grammar;
use anyhow::anyhow;
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
    /// One query, with the names of these tables or any.
    Query(Option<Vec<Table>>),
}

/// OpenAI's `response_format`, llama.cpp's `grammar` (in llguidance's dialect of Lark) and `constrain`, of which one may be given.
pub fn rules(fields: &mut Fields) -> Result<Option<Rules>, ApiError> {
    let format = fields.value("response_format");
    let format = format.map(of_format).transpose()?.flatten();
    let lark = fields.text("grammar")?.map(|text| Rules {
        param: "grammar",
        kind: Kind::Lark(text),
    });
    one([format, lark, constrain(fields)?])
}

/// The one that is given; errors where there are several.
fn one<const N: usize>(given: [Option<Rules>; N]) -> Result<Option<Rules>, ApiError> {
    let mut given = given.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(first), Some(second)) => {
            let (first, second) = (first.param, second.param);
            let message = format!("{second} and {first} are both given: give one");
            Err(ApiError::field(second, message))
        }
        (found, _) => Ok(found),
    }
}

/// `constrain`: `"sql"` holds an answer to one SELECT of SQLite, `{"schema": TEXT}` to the names of a schema too.
fn constrain(fields: &mut Fields) -> Result<Option<Rules>, ApiError> {
    let param = "constrain";
    let tables = match fields.value(param) {
        None => return Ok(None),
        Some(Value::String(kind)) if kind == "off" => return Ok(None),
        Some(Value::String(kind)) if kind == "sql" => None,
        Some(schema @ Value::Object(_)) => {
            let mut inner = Fields::of(param, schema)?;
            let text = inner.text("schema")?.unwrap_or_default();
            inner.end()?;
            let tables = schema::of_field(&text);
            let tables = tables.map_err(|error| ApiError::field(param, format!("{error:#}")))?;
            if tables.is_empty() {
                let message = "the schema has neither CREATE TABLE statements nor lists such as towns(name, region)";
                return Err(ApiError::field(param, message));
            }
            Some(tables)
        }
        Some(_) => {
            let message = r#"constrain is none of "off", "sql", {"schema": "CREATE TABLE ..."}"#;
            return Err(ApiError::field(param, message));
        }
    };
    Ok(Some(Rules::query(tables)))
}

/// Ollama's `format` (`json`, or a JSON schema) or `constrain`.
pub fn ollama(fields: &mut Fields) -> Result<Option<Rules>, ApiError> {
    let param = "format";
    let schema = match fields.value(param) {
        None => None,
        Some(Value::String(text)) if text.is_empty() => None,
        Some(Value::String(text)) if text == "json" => Some(json!({"type": "object"})),
        Some(schema @ Value::Object(_)) => Some(schema),
        Some(_) => {
            let message = "format is neither json nor a JSON schema";
            return Err(ApiError::field(param, message));
        }
    };
    let format = schema.map(|schema| Rules {
        param,
        kind: Kind::Schema(schema),
    });
    one([format, constrain(fields)?])
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
    /// Those of one query, with the names of these tables or any.
    pub fn query(tables: Option<Vec<Table>>) -> Self {
        Self {
            param: "constrain",
            kind: Kind::Query(tables),
        }
    }

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
        let guidance = guidance.as_ref().map_err(|error| anyhow!("{error}"))?;
        Ok(match self.kind {
            Kind::Lark(text) => Arc::new(guidance.lark(&text)?),
            Kind::Schema(schema) => {
                Arc::new(guidance.compile(TopLevelGrammar::from_json_schema(schema))?)
            }
            Kind::Query(tables) => {
                let dialect = served.dialect.get_or_init(|| {
                    Dialect::sqlite(guidance).map_err(|error| format!("{error:#}"))
                });
                let dialect = dialect.as_ref().map_err(|error| anyhow!("{error}"))?;
                dialect.query(tables.as_deref())
            }
        })
    }
}
