//! A client: starts a server and speaks to it over its standard input and output.

use super::watched::{self, Seen, Watched};
use crate::run::words::duration;
use anyhow::{Context, Result, anyhow, bail};
use rmcp::model::{CallToolRequestParams, CallToolResult, JsonObject, Tool};
use rmcp::service::{RoleClient, RunningService};
use rmcp::{ServiceError, ServiceExt};
use std::ffi::OsString;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// What is wanted of a server.
pub enum Wanted {
    Tools,
    Call {
        tool: String,
        arguments: JsonObject,
    },
    /// One after the other, each of which may take so long.
    Calls {
        all: Vec<(String, JsonObject)>,
        each: Duration,
    },
}

/// What a server said.
pub enum Heard {
    Tools(Vec<Tool>),
    Result(CallToolResult),
    /// Of each call, or why there is none.
    Results(Vec<Result<CallToolResult>>),
}

/// Most bytes that a server may answer in all: an endless line would fill the memory.
const MOST: u64 = 64 << 20;
/// How long a server may take to end by itself once nobody speaks to it.
const LEAVE: Duration = Duration::from_secs(3);

/// Starts `command`, asks it and ends it. What it says on stderr goes to ours. All that may take `timeout`.
pub fn ask(command: &[OsString], wanted: Wanted, timeout: Duration) -> Result<Heard> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    runtime.block_on(async {
        let (program, arguments) = command.split_first().context("no command of a server")?;
        let name = program.display().to_string();
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let heard = tokio::time::timeout(timeout, speak(&mut child, wanted, seen.clone())).await;
        let heard = match heard {
            Ok(heard) => heard.with_context(|| name.clone()),
            Err(_) => match watched::fault(&seen) {
                Some(fault) => bail!("{name}: {fault}"),
                None => bail!("{name}: no answer in {} s", timeout.as_secs_f64()),
            },
        };
        // Its input is closed; where it goes on all the same, it is killed.
        let _ = tokio::time::timeout(LEAVE, child.wait()).await;
        heard
    })
}

async fn speak(child: &mut Child, wanted: Wanted, seen: Arc<Mutex<Seen>>) -> Result<Heard> {
    let pipes = child.stdout.take().zip(child.stdin.take());
    let (answers, asked) = pipes.context("a process without pipes")?;
    let answers = Watched {
        output: answers.take(MOST),
        seen: seen.clone(),
    };
    let client = ().serve((answers, asked)).await;
    // The library's errors are of its own types.
    let client = client.map_err(|_| {
        let plain = || "it does not speak the protocol on its standard output".to_owned();
        anyhow!(watched::fault(&seen).unwrap_or_else(plain))
    })?;
    let heard = hear(&client, wanted, &seen).await;
    client.cancel().await?;
    heard
}

async fn hear(
    client: &RunningService<RoleClient, ()>,
    wanted: Wanted,
    seen: &Mutex<Seen>,
) -> Result<Heard> {
    // Without an answer, what else the server wrote is what is wrong.
    let plain = |error: ServiceError| match (error, watched::fault(seen)) {
        (ServiceError::McpError(error), _) => anyhow!("{}", error.message),
        (_, Some(fault)) => anyhow!(fault),
        (_, None) => anyhow!("it ended before it answered"),
    };
    Ok(match wanted {
        Wanted::Tools => Heard::Tools(client.list_all_tools().await.map_err(plain)?),
        Wanted::Call { tool, arguments } => {
            let call = CallToolRequestParams::new(tool).with_arguments(arguments);
            Heard::Result(client.call_tool(call).await.map_err(plain)?)
        }
        Wanted::Calls { all, each } => {
            let mut heard = Vec::new();
            for (tool, arguments) in all {
                let call = CallToolRequestParams::new(tool).with_arguments(arguments);
                let called = tokio::time::timeout(each, client.call_tool(call)).await;
                heard.push(match called {
                    Ok(Err(error @ ServiceError::McpError(_))) => Err(plain(error)),
                    Ok(result) => Ok(result.map_err(plain)?),
                    Err(_) => match watched::fault(seen) {
                        Some(fault) => bail!(fault),
                        None => Err(anyhow!("exceeded {}", duration(each))),
                    },
                });
            }
            Heard::Results(heard)
        }
    })
}
