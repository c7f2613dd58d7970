//! `--dry-run`: what a run will need, from its own shapes and some of its own steps.

use crate::adapters::lora::Adapter;
use crate::cli::{say, size};
use crate::model::load::Base;
use crate::training::batching::steps;
use crate::training::config::{Length, TrainConfig};
use crate::training::memory::{self, Pass};
use crate::training::optim::Optimizer;
use crate::training::packing::pack;
use crate::training::sft::{Encoded, Example};
use crate::training::trainer;
use anyhow::Result;
use std::ops::ControlFlow;

/// Steps that are run and thrown away; the first one warms up.
const STEPS: usize = 4;

/// Prints the estimates; `evaluates` where adapters are to be scored on the way, which is not estimated.
pub fn print(
    base: &Base,
    adapter: &mut Adapter,
    encoded: &Encoded,
    validation: Option<&[Example]>,
    train: &TrainConfig,
    evaluates: bool,
) -> Result<()> {
    let examples = &encoded.examples;
    let steps: Vec<Vec<usize>> = steps(examples, train).collect();
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
    say(format_args!(
        "{total} steps, {} rows, {tokens} tokens, of which {:.0}% are spared by shared prefixes",
        rows().count(),
        100.0 * (1.0 - computed as f64 / tokens as f64)
    ))?;
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
    let weights = memory::parameters(config) * element;
    let beside = memory::training(config, &adapter.config, pass);
    say(format_args!(
        "memory: {} for the base, {} for training, {} in all",
        size(weights),
        size(beside),
        size(weights + beside)
    ))?;
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
        examples,
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
    let estimate = all * seconds / measured as f64;
    say(format_args!("time: {estimate:.1} s ({})", clock(estimate)))?;
    match evaluates {
        true => say("the answers to --eval-data take time beside that"),
        false => Ok(()),
    }
}

/// `1 h 05 min`
fn clock(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        0 => "less than a minute".to_owned(),
        1..60 => format!("{minutes} min"),
        _ => format!("{} h {:02} min", minutes / 60, minutes % 60),
    }
}
