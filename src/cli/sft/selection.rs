//! `--eval-data`: the adapter that answers best is the one that is kept.

use super::Args;
use crate::adapters::bank::{Bank, Member, Mixture};
use crate::adapters::lora::Adapter;
use crate::answering::rows::{named, too_long};
use crate::cli::{note, sql_worker};
use crate::data::jsonl::Line;
use crate::data::record;
use crate::data::template::Renderer;
use crate::eval::gates::{self, Gate};
use crate::generation::engine::{Adapters, Engine};
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::model::load::Base;
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Rows answered at once.
const BATCH: usize = 16;
/// Deadline of a query.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What was found so far; a part of the run's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The step after which the best adapter was, and its execution accuracy.
    pub found: Option<(usize, f64)>,
    /// Evaluations since.
    pub since: u64,
}

impl Best {
    /// Takes note of an evaluation; whether it is the best one.
    pub fn add(&mut self, step: usize, accuracy: f64) -> bool {
        let better = self.found.is_none_or(|(_, best)| accuracy > best);
        if better {
            *self = Self {
                found: Some((step, accuracy)),
                since: 0,
            };
        } else {
            self.since += 1;
        }
        better
    }
}

/// The rows that adapters are measured on.
pub struct Selection<'a> {
    base: &'a Base,
    gate: Gate,
    prompts: Vec<Vec<u32>>,
}

impl<'a> Selection<'a> {
    /// Reads the rows, if there are any, and checks their reference queries.
    pub fn open(args: &Args, base: &'a Base, renderer: &Renderer) -> Result<Option<Self>> {
        let (Some(data), Some(db)) = (&args.eval_data, &args.eval_db) else {
            return Ok(None);
        };
        let gate = gates::execution(data, db, &sql_worker::command()?, TIMEOUT, args.rules())?;
        let lines = gate.lines();
        let asked = record::prompts(data, &lines, &args.fields.columns()?)?;
        let prompts = asked.iter().map(|asked| renderer.prompt(asked));
        let prompts: Vec<_> = prompts.collect::<Result<_>>()?;
        let config = &base.decoder.config;
        let long = too_long(data, &lines, &prompts, &StopConfig::default(), config);
        ensure!(long.is_empty(), "{}", named(&long));
        Ok(Some(Self {
            base,
            gate,
            prompts,
        }))
    }

    /// What is asked, and what is right.
    pub fn rows(&self) -> String {
        let lines = self.gate.lines();
        let rows: Vec<_> = lines.iter().map(Line::fields).collect();
        serde_json::json!(rows).to_string()
    }

    /// The execution accuracy of the base under `adapter`.
    pub fn measure(&mut self, adapter: &Adapter) -> Result<f64> {
        let mut adapter = adapter.clone();
        adapter.end_training(&self.base.decoder)?;
        let bank = Bank::new(vec![Member {
            name: String::new(),
            adapter,
        }])?;
        let engine = Engine {
            decoder: &self.base.decoder,
            tokenizer: &self.base.tokenizer,
            adapters: Some(Adapters {
                bank: &bank,
                mixtures: vec![Mixture::only(0)],
                choice: Vec::new(),
            }),
            sampler: SamplerConfig::default(),
            stop: StopConfig::default(),
            batch: BATCH,
            // So few short answers take little beside what training holds.
            memory: usize::MAX,
        };
        let answers = engine.generate(&self.prompts)?;
        let without = answers.iter().enumerate();
        let without = without.filter(|(_, answer)| answer.text.is_none());
        let places: Vec<String> = without
            .map(|(row, _)| self.gate.examples[row].place(&self.gate.data))
            .collect();
        if !places.is_empty() {
            note(format_args!(
                "warning: no answer, and so not right, for logits that are no numbers: {}",
                named(&places)
            ));
        }
        let answers = answers.into_iter().enumerate();
        let answers = answers.map(|(row, answer)| (row, answer.text.unwrap_or_default()));
        let rows = self.gate.score(&answers.collect::<Vec<_>>())?;
        let share = self.gate.share(&rows);
        note(format_args!(
            "execution accuracy {:.3} ({}/{})",
            share.value, share.passed, share.n
        ));
        Ok(share.value)
    }
}
