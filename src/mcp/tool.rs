//! A tool: its name, its arguments, what it does.

use super::desk::Call;
use anyhow::{Context, Result};
use rmcp::handler::server::tool::schema_for_input;
use rmcp::model::{JsonObject, ToolAnnotations};
use rmcp::schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::any::Any;
use std::sync::Arc;

/// What a tool says.
pub enum Said {
    Text(String),
    /// An object, which is also said as compact JSON.
    Structured(Value),
}

type Run = dyn Fn(&Call, JsonObject) -> Result<Said> + Send + Sync;

/// A tool. It only reads, and says the same again as long as the database is the same.
pub struct Tool {
    pub name: &'static str,
    description: String,
    schema: Arc<JsonObject>,
    run: Box<Run>,
}

impl Tool {
    /// One whose arguments are an `A`, which refuses fields that it does not know.
    pub fn new<A: JsonSchema + DeserializeOwned + Any>(
        name: &'static str,
        description: impl Into<String>,
        run: fn(&Call, A) -> Result<Said>,
    ) -> Self {
        Self {
            name,
            description: description.into(),
            // Every `A` is a struct, whose schema is an object's.
            schema: schema_for_input::<A>().unwrap_or_default(),
            run: Box::new(move |call, arguments| {
                let arguments = serde_json::from_value(Value::Object(arguments));
                run(
                    call,
                    arguments.with_context(|| format!("arguments of {name}"))?,
                )
            }),
        }
    }

    /// What clients are told of it.
    pub fn described(&self) -> rmcp::model::Tool {
        let reads = ToolAnnotations::new()
            .read_only(true)
            .destructive(false)
            .idempotent(true)
            .open_world(false);
        rmcp::model::Tool::new(self.name, self.description.clone(), self.schema.clone())
            .with_annotations(reads)
    }

    /// Runs it. Errors are for the assistant to read.
    pub fn run(&self, call: &Call, arguments: JsonObject) -> Result<Said> {
        (self.run)(call, arguments)
    }
}
