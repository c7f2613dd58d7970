//! `--recompute auto`: whether the memory that is free holds the activations of the largest batch.

use crate::adapters::config::AdapterConfig;
use crate::model::decoder::Decoder;
use crate::model::memory::{SHARE, free};
use crate::run::observer::Observer;
use crate::run::words::size;
use crate::training::config::{Recompute, TrainConfig};
use crate::training::memory::{self, Pass};
use crate::training::sft::Example;

/// Whether backward computes activations again. `auto` counts on the machine's memory, which is a GPU's too on a Mac; a
/// CUDA device has its own, and there it stands for off.
pub fn decide(
    decoder: &Decoder,
    adapter: &AdapterConfig,
    examples: &[Example],
    train: &TrainConfig,
    observer: &dyn Observer,
) -> bool {
    match train.recompute {
        Recompute::On => true,
        Recompute::Off => false,
        Recompute::Auto if decoder.device.is_cuda() => false,
        Recompute::Auto => {
            let (needed, free) = (largest(decoder, adapter, examples, train), free());
            let recompute = needed as f64 > SHARE * free as f64;
            if recompute {
                observer.note(format_args!(
                    "activations are computed again in backward: keeping them may need {}, {} is free (--recompute off keeps them)",
                    size(needed),
                    size(free)
                ));
            }
            recompute
        }
    }
}

/// Bytes for the longest rows that may meet in a batch, all whole.
fn largest(
    decoder: &Decoder,
    adapter: &AdapterConfig,
    examples: &[Example],
    train: &TrainConfig,
) -> usize {
    let mut lengths: Vec<usize> = examples.iter().map(Example::len).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    lengths.truncate(train.batch);
    let rows = lengths.len().max(1);
    let pass = Pass {
        rows,
        length: lengths.iter().sum::<usize>().div_ceil(rows),
        size: decoder.dtype.size_in_bytes(),
        path: decoder.path,
        recompute: false,
    };
    memory::training(&decoder.config, adapter, pass)
}
