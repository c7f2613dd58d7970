//! The flags of commands that play episodes, or make what will be played.

use crate::cli::db::worker;
use crate::learning::episodes::stage::{Setup, Source};
use crate::learning::episodes::table;
use anyhow::Result;
use clap::builder::RangedU64ValueParser;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// How episodes begin, and how long they and what they are told may be.
#[derive(Debug, clap::Args, Serialize)]
pub struct PlayArgs {
    /// Folder of the documents that rows name in external_knowledge: the prompt has them.
    #[arg(long, value_name = "DIR")]
    pub knowledge: Option<PathBuf>,
    /// Turns that an episode has.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = turns())]
    pub turns: u64,
    /// Longest observation in tokens; what is longer is cut, and says so.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u64).range(16..=65_536))]
    pub observation_tokens: u64,
    /// Seconds that a tool's call may take.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub query_seconds: u64,
}

fn turns() -> RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=20)
}

impl PlayArgs {
    /// How episodes are played with `tools`, whose turns have at most `max_tokens`.
    pub fn setup(&self, tools: &Tools, max_tokens: usize) -> Result<Setup> {
        Ok(Setup {
            source: tools.source.clone(),
            worker: worker::command()?.into(),
            time: self.time(),
            knowledge: self.knowledge.clone(),
            play: table::Config {
                turns: self.turns as usize,
                observation: self.observation_tokens as usize,
                max_tokens,
                ..table::Config::default()
            },
        })
    }

    /// How long a tool's call may take.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.query_seconds)
    }
}

/// `--tools`
#[derive(Debug, Clone)]
pub struct Tools {
    /// As it was given.
    pub text: String,
    source: Source,
}

impl Tools {
    /// What the flag means without a value.
    pub fn builtin() -> Self {
        Self {
            text: "builtin".to_owned(),
            source: Source::Builtin,
        }
    }

    /// Reads the flag's value: `builtin`, or `mcp:` and a command.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "builtin" {
            return Ok(Self::builtin());
        }
        let command = text.strip_prefix("mcp:");
        let words = command
            .and_then(shlex::split)
            .filter(|words| !words.is_empty());
        let words = words.ok_or("builtin, or mcp: and the command of a server")?;
        Ok(Self {
            text: text.to_owned(),
            source: Source::Mcp(words),
        })
    }
}
