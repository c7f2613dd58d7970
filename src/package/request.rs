//! What is to be made of a run.

use crate::answering::config::Config;
use crate::generation::sampler::SamplerConfig;
use crate::model::gguf_write::Stored;
use crate::model::place::Place;
use crate::recipe::done::Done;
use crate::recipe::publish::Check;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// The files that every package has.
pub const CARD: &str = "README.md";
pub const PROMPT: &str = "prompt.json";
pub const PAGE: &str = "report.html";
pub const GGUF: &str = "model.gguf";
pub const MODELFILE: &str = "Modelfile";
/// How far merged weights are from what was measured.
pub const COMPARED: &str = "compared.json";

/// What a package holds as weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// PEFT's folder, for its base.
    Adapter,
    /// A folder of safetensors that needs no base.
    Merged,
    /// One file that needs no base.
    Gguf(Stored),
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Adapter => f.write_str("adapter"),
            Self::Merged => f.write_str("merged model"),
            Self::Gguf(stored) => write!(f, "GGUF {}", stored.name()),
        }
    }
}

/// How a stage of `generate` asked.
pub type AskedBy<'a> = dyn Fn(&Done) -> Result<(Config, SamplerConfig)> + 'a;

/// What is to be made of a run.
pub struct Request<'a> {
    /// The run's folder.
    pub run: &'a Path,
    pub out: &'a Path,
    pub weights: Weights,
    /// Whether a Modelfile is written.
    pub ollama: bool,
    /// Whether a run may be packaged that was not decided to ship.
    pub not_shipped: bool,
    /// The base's id on the hub, for the card, where the run names a file.
    pub base_id: Option<&'a str>,
    pub asked_by: &'a AskedBy<'a>,
    pub check: &'a Check<'a>,
    /// Where a GGUF is compared.
    pub place: &'a Place,
}
