//! The model card: what it does, what it learned from, what it reached, how to use it. No text of a row is on it.

use super::compared::Compared;
use super::lock::Base;
use super::prompt::Prompt;
use super::request::{GGUF, MODELFILE, PAGE, Weights};
use crate::eval::judge::{Measured, Verdict};
use crate::model::load::looks_like_id;
use crate::recipe::records::{Choice, Decision, program};
use crate::recipe::validate::Records;
use crate::report::page;
use crate::run::words::plain;
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

const TEXT: &str = include_str!("card.md");

/// What the card is made of.
pub struct Card<'a> {
    pub records: &'a Records,
    pub weights: Weights,
    pub base: &'a Base,
    pub base_id: Option<&'a str>,
    pub license: Option<&'a str>,
    pub ollama: bool,
    pub asked: &'a Prompt,
    pub compared: Option<&'a Compared>,
}

/// What the template reads.
#[derive(Serialize)]
struct Shown<'a> {
    run_id: &'a str,
    target: &'a str,
    goal: Option<&'a str>,
    method: &'a str,
    training: Option<&'a str>,
    program: String,
    decision: &'a Decision,
    ships: bool,
    weights: String,
    kind: &'static str,
    base: &'a str,
    /// What others fetch it by, quoted.
    base_id: String,
    base_sha256: Option<&'a str>,
    license: Option<&'a str>,
    gates: Vec<Gate>,
    sources: Vec<Source>,
    limitations: &'a [String],
    asked: &'a Prompt,
    compared: Option<&'a Compared>,
    ollama: bool,
    gguf: &'static str,
    modelfile: &'static str,
    page: &'static str,
}

#[derive(Serialize)]
struct Gate {
    name: String,
    measures: String,
    base: String,
    own: String,
    asked: String,
    verdict: &'static str,
}

#[derive(Serialize)]
struct Source {
    kind: String,
    /// The file's name alone: its folder is the maker's business.
    name: String,
    rows: usize,
    sha256: String,
}

impl Card<'_> {
    /// The page, with its head for the hub.
    pub fn text(&self) -> Result<String> {
        let records = self.records;
        let lacks = "the run is not whole";
        let config = records.config.as_ref().context(lacks)?;
        let decision = records.decision.as_ref().context(lacks)?;
        let dataset = records.dataset.as_ref().context(lacks)?;
        let sources = dataset.sources.iter().map(|source| Source {
            kind: source.kind.clone(),
            name: source
                .path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            rows: source.rows,
            sha256: source.sha256.clone(),
        });
        let shown = Shown {
            run_id: &config.run_id,
            target: &config.target,
            goal: config.owner_goal.as_deref(),
            method: &config.candidate.method,
            training: config.candidate.training_command.as_deref(),
            program: program(),
            decision,
            ships: decision.decision == Choice::Ship,
            weights: self.weights.to_string(),
            kind: match self.weights {
                Weights::Adapter => "adapter",
                Weights::Merged => "merged",
                Weights::Gguf(_) => "gguf",
            },
            base: &self.base.id,
            base_id: json!(self.hub_id().unwrap_or(&self.base.id)).to_string(),
            base_sha256: self.base.sha256.as_deref(),
            license: self.license,
            gates: records.verdicts.iter().flatten().map(gate).collect(),
            sources: sources.collect(),
            limitations: records
                .validity
                .as_ref()
                .map_or(&[], |validity| &validity.known_limitations),
            asked: self.asked,
            compared: self.compared,
            ollama: self.ollama,
            gguf: GGUF,
            modelfile: MODELFILE,
            page: PAGE,
        };
        Ok(self.head(&config.candidate.method) + &page::markdown(TEXT, &shown)?)
    }

    /// The base's id on a hub, as far as it is known.
    fn hub_id(&self) -> Option<&str> {
        let own = Some(self.base.id.as_str())
            .filter(|id| self.base.sha256.is_none() && looks_like_id(id));
        self.base_id.or(own)
    }

    /// YAML, of which JSON's texts are a part.
    fn head(&self, method: &str) -> String {
        let mut lines = vec!["---".to_owned()];
        // The hub refuses a base that is no id.
        lines.extend(self.hub_id().map(|id| format!("base_model: {}", json!(id))));
        let library = match self.weights {
            Weights::Adapter => "peft",
            Weights::Merged => "transformers",
            Weights::Gguf(_) => "gguf",
        };
        lines.push(format!("library_name: {library}"));
        lines.extend(
            self.license
                .map(|license| format!("license: {}", json!(plain(license)))),
        );
        lines.push("pipeline_tag: text-generation".to_owned());
        lines.push("tags:".to_owned());
        let kind = method
            .split(' ')
            .next()
            .filter(|kind| ["lora", "dora", "rslora"].contains(kind));
        let tags = ["factory", "text-to-sql"].into_iter().chain(kind);
        let tags = tags.chain(matches!(self.weights, Weights::Gguf(_)).then_some("gguf"));
        lines.extend(tags.map(|tag| format!("- {tag}")));
        lines.push("---\n\n".to_owned());
        lines.join("\n")
    }
}

fn gate(verdict: &Verdict) -> Gate {
    let side = |value: f64, n: usize, [low, high]: [f64; 2]| match n {
        0 => format!("{value:.3}"),
        n => format!("{value:.3} [{low:.3}, {high:.3}] (n={n})"),
    };
    let base = |of: Measured| side(of.value, of.n, of.interval);
    let asked = verdict
        .conditions
        .iter()
        .map(|condition| condition.what.clone());
    Gate {
        name: verdict.name.clone(),
        measures: format!("{} ({})", verdict.metric, verdict.mode),
        base: verdict.baseline.map_or("-".to_owned(), base),
        own: side(verdict.value, verdict.n, verdict.interval),
        asked: asked.collect::<Vec<_>>().join(", "),
        verdict: if verdict.passed { "pass" } else { "fail" },
    }
}
