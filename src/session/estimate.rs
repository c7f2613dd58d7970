//! What a run will need, from its own shapes and some of its own steps.

use crate::adapters::lora::Adapter;
use crate::model::load::Base;
use crate::training::batching::steps;
use crate::training::config::{Length, TrainConfig};
use crate::training::lessons::Supervised;
use crate::training::memory::{self, Pass};
use crate::training::optim::Optimizer;
use crate::training::packing::pack;
use crate::training::sft::{Encoded, Example};
use crate::training::trainer;
use anyhow::Result;
use std::ops::ControlFlow;

/// Steps that are run and thrown away; the first one warms up.
const STEPS: usize = 4;

/// What a run will need; scoring adapters on the way takes time beside that.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    pub steps: usize,
    /// Counted each time they are seen, as their tokens are.
    pub rows: usize,
    pub tokens: usize,
    /// Of `tokens` those that are computed: shared prefixes spare some.
    pub computed: usize,
    /// Bytes of the base's weights.
    pub weights: usize,
    /// Bytes of what training holds beside them.
    pub beside: usize,
    pub seconds: f64,
}

/// Of the run of `adapter`.
pub fn of(
    base: &Base,
    adapter: &mut Adapter,
    encoded: &Encoded,
    validation: Option<&[Example]>,
    train: &TrainConfig,
) -> Result<Estimate> {
    let examples = &encoded.examples;
    let all: Vec<&Example> = examples.iter().collect();
    let steps: Vec<Vec<usize>> = steps(&all, train).collect();
    let share = train.shares_prefix(&adapter.config);
    let passes: Vec<(usize, usize)> = steps
        .iter()
        .flat_map(|rows| rows.chunks(train.batch))
        .map(|rows| {
            let packed = pack(rows.iter().map(|&row| &examples[row]), share);
            (packed.batch.len(), rows.len())
        })
        .collect();
    let computed: usize = passes.iter().map(|(tokens, _)| tokens).sum();
    let rows = || steps.iter().flatten();
    let tokens: usize = rows().map(|&row| examples[row].len()).sum();
    let total = steps.len();
    let (longest, together) = passes.iter().copied().max().unwrap_or_default();
    let config = &base.decoder.config;
    let element = base.decoder.dtype.size_in_bytes();
    let pass = Pass {
        rows: together,
        length: longest.div_ceil(together.max(1)),
        size: element,
        path: base.decoder.path,
        recompute: base.decoder.recompute,
    };
    let weights = base.decoder.bytes();
    let beside = memory::training(config, &adapter.config, pass);
    let some = TrainConfig {
        length: Length::Steps(STEPS.min(total)),
        ..train.clone()
    };
    let mut optimizer = Optimizer::new(base.decoder.path, train.weight_decay);
    let (mut seconds, mut measured, mut before) = (0.0, 0, 0.0);
    trainer::train(
        &base.decoder,
        adapter,
        &mut optimizer,
        &mut Supervised::new(examples, &some)?,
        None,
        &some,
        |m, _, _| {
            if m.step > 1 || total == 1 {
                seconds += m.elapsed_s - before;
                measured += m.computed;
            }
            before = m.elapsed_s;
            Ok(ControlFlow::Continue(()))
        },
    )?;
    let validated: usize = validation
        .unwrap_or_default()
        .iter()
        .map(Example::len)
        .sum();
    let times = (1..=total)
        .filter(|step| train.validates(*step, total))
        .count();
    // Of a step: backward has the products of forward, as frozen weights get no gradient, and computing again has them once more.
    let forward = match base.decoder.recompute {
        true => 1.0 / 3.0,
        false => 1.0 / 2.0,
    };
    let all = computed as f64 + (validated * times) as f64 * forward;
    Ok(Estimate {
        steps: total,
        rows: rows().count(),
        tokens,
        computed,
        weights,
        beside,
        seconds: all * seconds / measured as f64,
    })
}
