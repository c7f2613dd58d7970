//! What answering is told; the one home of its defaults.

use super::constraint;
use super::loras::Loras;
use super::routing::Routing;
use crate::data::record::Columns;
use crate::data::template::Template;
use crate::db::notes::Dialect;
use crate::generation::stop::StopConfig;
use crate::run::usage::UsageError;
use anyhow::Result;
use std::path::PathBuf;

/// How prompts are answered.
#[derive(Debug, Clone)]
pub struct Config {
    pub loras: Loras,
    /// File of a router that gives each row one of the adapters.
    pub route: Option<PathBuf>,
    pub routing: Routing,
    /// Which column of a row is its prompt.
    pub columns: Columns,
    /// A folder, a .gguf file or a hub id [default: the adapters', else the default one].
    pub base: Option<String>,
    /// How a prompt becomes text [default: as the adapters were trained, else plain].
    pub template: Option<Template>,
    pub stop: StopConfig,
    pub on_long: OnLong,
    /// Rows answered at once, at most: fewer where the memory that is free does not hold them.
    pub batch: usize,
    /// Bytes of the keys and values of rows in flight and of beginnings that rows share [default: what a batch may take, and 256 MB].
    pub kv_memory: Option<usize>,
    /// Whether a few tokens are guessed ahead and checked together, by the adapters' n-grams and by what a row has said.
    pub speculation: bool,
    /// What answers are held to.
    pub constrain: constraint::Config,
    /// The dialect whose notes stand before what is asked.
    pub notes: Option<Dialect>,
}

/// What happens to a row whose prompt does not fit the model with its longest answer: all such rows are named and none is
/// answered, or each stays without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OnLong {
    Error,
    Skip,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            loras: Loras::default(),
            route: None,
            routing: Routing::default(),
            columns: Columns::default(),
            base: None,
            template: None,
            stop: StopConfig::default(),
            on_long: OnLong::Error,
            batch: 32,
            kv_memory: None,
            speculation: true,
            constrain: constraint::Config::default(),
            notes: None,
        }
    }
}

impl Config {
    /// Refuses what is a mistake whatever is answered.
    pub fn check(&self) -> Result<()> {
        match self.stop.stop.iter().any(String::is_empty) {
            true => Err(UsageError("--stop must not be empty".into()).into()),
            false => Ok(()),
        }
    }
}
