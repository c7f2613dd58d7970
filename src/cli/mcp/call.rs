//! `factory mcp call`

use crate::cli::{UsageError, say};
use crate::mcp::client::{Heard, Wanted, ask};
use crate::run::words::plain;
use anyhow::{Result, bail};
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool};
use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

/// List the tools of a server, or call one: of this program's or of any other that speaks over standard input and output.
///
/// The server's own stderr is shown. Where the tool says that it failed, the exit code is 1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tool to call [default: list the tools].
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// Its arguments, a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}", requires = "tool")]
    args: String,
    /// Print all that the server said, as JSON.
    #[arg(long)]
    json: bool,
    /// Seconds that it may take, the server's start included.
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// What starts the server, behind --.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub fn run(args: Args) -> Result<()> {
    let wanted = match args.tool {
        None => Wanted::Tools,
        Some(tool) => Wanted::Call {
            tool,
            arguments: serde_json::from_str::<JsonObject>(&args.args)
                .map_err(|error| UsageError(format!("--args is no JSON object: {error}")))?,
        },
    };
    match ask(&args.command, wanted, Duration::from_secs(args.timeout))? {
        Heard::Results(_) => bail!("the server answered several calls, and one was made"),
        Heard::Tools(tools) if args.json => say(serde_json::to_string(&tools)?),
        Heard::Tools(tools) => tools.iter().try_for_each(list),
        Heard::Result(result) => {
            match args.json {
                true => say(serde_json::to_string(&result)?)?,
                false => print(&result)?,
            }
            match result.is_error {
                Some(true) => bail!("the tool says that it failed"),
                _ => Ok(()),
            }
        }
    }
}

fn list(tool: &Tool) -> Result<()> {
    let description = tool.description.as_deref().unwrap_or_default();
    say(format_args!(
        "{}: {}",
        plain(&tool.name),
        plain(description)
    ))
}

/// The texts as they are; of anything else, such as a picture, its JSON.
fn print(result: &CallToolResult) -> Result<()> {
    for block in &result.content {
        match block {
            ContentBlock::Text(text) => writeln!(std::io::stdout(), "{}", text.text)?,
            other => say(serde_json::to_string(other)?)?,
        }
    }
    Ok(())
}
