//! The flags of every command that answers prompts.

use super::device::{self, DTypeArg, DeviceArg, WeightsArg};
use super::fields::FieldArgs;
use super::loras::LoraArgs;
use super::route::RouteArgs;
use crate::answering::config::{Config, OnLong};
use crate::answering::constraint;
use crate::data::template::Template;
use crate::db::home::Home;
use crate::generation::stop::StopConfig;
use crate::model::place::Place;
use crate::run::words;
use anyhow::Result;
use std::path::PathBuf;

/// What answers are held to.
#[derive(Debug, clap::Args)]
pub struct ConstrainArgs {
    /// What answers are held to: one SELECT of SQLite, or one with the tables and columns of the row's schema, which its database
    /// (--db-dir), its field schema or context, or its prompt has: CREATE TABLE statements, or lists such as Schema: towns(name, region).
    /// Strings and numbers are free. A token that does not fit is drawn again from those that do; the others stay as they are.
    #[arg(long, value_enum, value_name = "KIND", default_value_t = constraint::Kind::Off)]
    constrain: constraint::Kind,
    /// Hold rows whose schema is not understood to SQL alone, and count them; else they are refused.
    #[arg(long, requires = "constrain")]
    constrain_fallback: bool,
}

impl ConstrainArgs {
    /// What they say, with where the rows' databases are.
    pub fn get(&self, home: Option<Home>) -> constraint::Config {
        constraint::Config {
            kind: self.constrain,
            fallback: self.constrain_fallback,
            home,
        }
    }
}

/// How rows of a file are read.
#[derive(Debug, clap::Args)]
pub struct RowArgs {
    #[command(flatten)]
    constrain: ConstrainArgs,
    #[command(flatten)]
    pub fields: FieldArgs,
    /// What to do with rows whose prompt does not fit the model with its longest answer: name them and stop, or skip them,
    /// which leaves them without an answer.
    #[arg(long, value_enum, default_value_t = Config::default().on_long)]
    on_long: OnLong,
}

impl RowArgs {
    /// `config` with what they say, and where the rows' databases are.
    pub fn with(&self, config: Config, home: Option<Home>) -> Result<Config> {
        Ok(Config {
            constrain: self.constrain.get(home),
            columns: self.fields.columns()?,
            on_long: self.on_long,
            ..config
        })
    }
}

/// The flags.
#[derive(Debug, clap::Args)]
pub struct AnsweringArgs {
    #[command(flatten)]
    pub loras: LoraArgs,
    /// Router that gives each row one of the adapters, by its name; a row that it abstains from gets the base.
    #[arg(long, value_name = "FILE")]
    pub route: Option<PathBuf>,
    #[command(flatten)]
    pub routing: RouteArgs,
    /// Base model: a folder, a .gguf file or a hub id [default: the adapter's, else Qwen/Qwen3-0.6B].
    #[arg(long)]
    base: Option<String>,
    /// How a prompt becomes text [default: as the adapter was trained here, else plain].
    #[arg(long, value_enum)]
    template: Option<Template>,
    /// Longest answer in tokens.
    #[arg(long, default_value_t = Config::default().stop.max_tokens as u64, value_parser = clap::value_parser!(u64).range(1..))]
    max_tokens: u64,
    /// Text that ends an answer (repeatable); it is cut off. Taken as it is: a newline is $'\n' in bash. A special token is
    /// given by its name, as in '<|im_end|>'.
    #[arg(long)]
    stop: Vec<String>,
    /// Rows answered at once, at most: fewer where the memory that is free does not hold them.
    #[arg(long, default_value_t = Config::default().batch as u64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    batch: u64,
    /// Memory for keys and values, of the rows that are answered and of beginnings of prompts that rows share and compute once: a
    /// number with a unit, such as 512MB or 2GB [default: what a batch of the longest rows takes and 256 MB, if that is free].
    #[arg(long, value_name = "SIZE", value_parser = words::bytes)]
    kv_memory: Option<usize>,
    /// Compute one token of an answer at a time. Else, where few rows are answered at once, likely next tokens are checked together: those
    /// that followed in an adapter's training answers (its ngrams.safetensors), or earlier in the row. The answers are the same.
    #[arg(long)]
    no_speculation: bool,
    /// Where to run.
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    device: DeviceArg,
    /// Type of the base's weights and activations; adapters and softmax are f32.
    #[arg(long, value_enum, default_value_t = DTypeArg::Auto)]
    dtype: DTypeArg,
    /// How the base's weights are held.
    #[arg(long, value_enum, default_value_t = WeightsArg::Auto)]
    weights: WeightsArg,
    #[cfg(feature = "metal")]
    #[command(flatten)]
    memory: device::MemoryArgs,
}

impl AnsweringArgs {
    /// What they say. Errors where a flag alone is a mistake.
    pub fn config(&self) -> Result<Config> {
        let config = Config {
            loras: self.loras.0.clone(),
            route: self.route.clone(),
            routing: self.routing.get(),
            base: self.base.clone(),
            template: self.template,
            stop: StopConfig {
                max_tokens: self.max_tokens as usize,
                stop: self.stop.clone(),
            },
            batch: self.batch as usize,
            kv_memory: self.kv_memory,
            speculation: !self.no_speculation,
            ..Config::default()
        };
        config.check()?;
        if self.route.is_none() {
            self.routing.refuse()?;
        }
        Ok(config)
    }

    /// Where to run.
    pub fn place(&self) -> Result<Place> {
        device::place(
            self.device,
            self.dtype,
            self.weights,
            #[cfg(feature = "metal")]
            &self.memory,
        )
    }
}
