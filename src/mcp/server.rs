//! The server: which tools there are, and what becomes of a call.

use super::desk::{Call, Desk};
use super::log::{Log, Outcome};
use super::tool::{Said, Tool};
use super::tools;
use crate::eval::stop::Stop;
use crate::run::words::one_line;
use anyhow::{Context, Result, bail};
use rmcp::ErrorData;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    JsonObject, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Calls that run or wait for their turn; further ones are told to come again.
const MOST_CALLS: usize = 256;

const INSTRUCTIONS: &str = "Reads SQL databases. connection_list names them; sql_dialect_notes says how the SQL of one is written; \
entity_details has tables with their columns and keys; sql_execution runs one query. Nothing can be written.";

/// The server. Its clones are one.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

struct Shared {
    desk: Desk,
    tools: Vec<Tool>,
    /// Calls that run at once.
    desks: Arc<Semaphore>,
    turns: Semaphore,
    log: Log,
}

impl Server {
    /// A server whose calls work at `desk`, so many at once.
    pub fn new(desk: Desk, calls: usize, log: Log) -> Self {
        Self(Arc::new(Shared {
            tools: tools::all(&desk),
            desk,
            desks: Arc::new(Semaphore::new(calls)),
            turns: Semaphore::new(MOST_CALLS),
            log,
        }))
    }

    /// What a tool says. Dropped, it ends the call and the process that works for it.
    async fn run(&self, tool: usize, arguments: JsonObject) -> Result<Said> {
        let Ok(_turn) = self.0.turns.try_acquire() else {
            bail!("{MOST_CALLS} calls run or wait already: try again");
        };
        let held = self.0.desks.clone().acquire_owned().await?;
        let stop = Stop::default();
        let _waits = stop.when_dropped();
        let shared = self.0.clone();
        let work = move || {
            // Until it has ended, whoever waits for it.
            let _held = held;
            shared.tools[tool].run(&Call::new(&shared.desk, stop), arguments)
        };
        let worked = tokio::task::spawn_blocking(work).await;
        worked.context("the tool broke off: this is a fault of the server")?
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let own = Implementation::new("factory", env!("CARGO_PKG_VERSION"));
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(own)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.0.tools.iter().map(Tool::described).collect();
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let entry = self.0.log.begin(&request.name, &context.id, &arguments);
        let tools = &self.0.tools;
        let Some(tool) = tools.iter().position(|tool| tool.name == request.name) else {
            let names: Vec<&str> = tools.iter().map(|tool| tool.name).collect();
            let message = format!(
                "no tool is called {:?}; there are {}",
                request.name,
                names.join(", ")
            );
            entry.end(&Outcome::Error(&message));
            return Err(ErrorData::invalid_params(message, None));
        };
        let said = tokio::select! {
            said = self.run(tool, arguments) => said,
            () = context.ct.cancelled() => {
                entry.end(&Outcome::Cancelled);
                return Ok(failed("cancelled").into());
            }
        };
        let result = match said {
            Ok(said) => {
                entry.end(&Outcome::Ok);
                match said {
                    Said::Text(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
                    Said::Structured(value) => CallToolResult::structured(value),
                }
            }
            Err(error) => {
                let error = one_line(&error);
                entry.end(&Outcome::Error(&error));
                failed(&error)
            }
        };
        Ok(result.into())
    }
}

fn failed(error: &str) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(error)])
}
