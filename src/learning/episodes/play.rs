//! Playing: many episodes in lockstep, a turn of all of them at a time.

use super::episode::Episode;
use super::table::{Table, Task};
use super::wave::Wave;
use crate::generation::engine::Engine;
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::learning::draw;
use anyhow::{Result, ensure};
use std::collections::BTreeMap;

/// Plays `sampler.samples` episodes of each of the tasks `which`, whose order they are in. `engine` makes what draws a turn.
///
/// What is drawn for a task depends on the sampler's seed and its place among `tasks`, not on the others that are played. As many episodes are
/// played at once as the engine takes; their beginnings are computed once.
///
/// Errors where the observer says stop, and where a database or a server of tools is gone.
pub fn play<'e>(
    table: &Table,
    engine: &dyn Fn(SamplerConfig, StopConfig) -> Engine<'e>,
    tasks: &[Task],
    which: &[usize],
    sampler: &SamplerConfig,
) -> Result<Vec<Vec<Episode>>> {
    let samples = sampler.samples;
    let places = draw::places(which, samples);
    let mut tokens = vec![Vec::new(); tasks.len() * samples];
    for &place in &places {
        tokens[place] = tasks[place / samples].prompt.clone();
    }
    let stop = StopConfig {
        max_tokens: table.config.max_tokens,
        stop: table.protocol.stops(),
    };
    let first = engine(sampler.clone(), stop.clone());
    let mut cache = table.cache(&first, places.iter().map(|place| tokens[*place].len()))?;
    let mut played = BTreeMap::new();
    for places in places.chunks(first.batch.max(1)) {
        let mut wave = Wave::new(table, tasks, samples, &mut tokens, places);
        for turn in 0..table.config.turns {
            // Another stream for each turn, and none that another step of training has.
            let sampler = SamplerConfig {
                seed: draw::seed(sampler.seed.rotate_left(23), turn as u64),
                ..sampler.clone()
            };
            wave.turn(&engine(sampler, stop.clone()), &mut cache, turn)?;
        }
        played.extend(wave.played);
    }
    ensure!(played.len() == places.len(), "a task is to be played twice");
    let mut episodes = places.iter().filter_map(|place| played.remove(place));
    let own = which
        .iter()
        .map(|_| episodes.by_ref().take(samples).collect());
    Ok(own.collect())
}
