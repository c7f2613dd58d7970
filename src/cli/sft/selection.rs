//! `--eval-data`: the adapter that answers best is the one that is kept.

use super::Args;
use crate::adapters::bank::{Bank, Member, Mixture};
use crate::adapters::lora::Adapter;
use crate::cli::{note, sql_worker};
use crate::data::jsonl::Line;
use crate::data::record;
use crate::data::template::Renderer;
use crate::eval::gates::{self, Gate};
use crate::generation::engine::{Adapters, Engine};
use crate::generation::sampler::SamplerConfig;
use crate::generation::sequence::StopConfig;
use crate::model::load::Base;
use anyhow::{Context, Result};
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
        let gate = gates::execution(data, db, &sql_worker::command()?, TIMEOUT)?;
        let lines = gate.lines();
        let asked = record::prompts(data, &lines, &args.fields.columns()?)?;
        let prompts = asked.iter().map(|asked| renderer.prompt(asked));
        let prompts: Vec<_> = prompts.collect::<Result<_>>()?;
        StopConfig::default()
            .positions(&prompts, &base.decoder.config)
            .with_context(|| data.display().to_string())?;
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
        };
        let answers = engine.generate(&self.prompts, |_| Ok(()))?;
        let answers = answers.into_iter().map(|answer| answer.text).enumerate();
        let rows = self.gate.score(&answers.collect::<Vec<_>>())?;
        let share = self.gate.share(&rows);
        note(format_args!(
            "execution accuracy {:.3} ({}/{})",
            share.value, share.passed, share.n
        ));
        Ok(share.value)
    }
}
