//! Which rows meet in which step.

use super::config::TrainConfig;
use super::sft::Example;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::collections::VecDeque;

/// The rows of each optimizer step of a run, to be taken in batches. A step holds no row twice: an epoch's last one has what
/// is left of it.
pub fn steps(
    examples: &[&Example],
    config: &TrainConfig,
) -> impl Iterator<Item = Vec<usize>> + use<> {
    let (rows, total) = (examples.len(), config.total_rows(examples.len()));
    let mut order = order(examples, config);
    let (most, mut done) = (config.rows_per_step(), 0);
    (0..config.total_steps(rows)).map(move |_| {
        let size = most.min(rows - done % rows).min(total - done);
        done += size;
        order.by_ref().take(size).collect()
    })
}

/// Row numbers without end, as `config` orders them: each epoch a fresh shuffle by its seed, or 0, 1, 2, … over and over.
fn order(examples: &[&Example], config: &TrainConfig) -> Box<dyn Iterator<Item = usize>> {
    let rows = examples.len();
    match (config.no_shuffle, config.group_prefix) {
        (true, _) => Box::new((0..rows).cycle()),
        (false, true) => Box::new(Grouped::new(clusters(examples), config.batch, config.seed)),
        (false, false) => Box::new(Shuffle::new(rows, config.seed)),
    }
}

/// An endless seeded stream of row numbers: every epoch is a fresh shuffle of all rows.
struct Shuffle {
    rows: usize,
    rng: StdRng,
    epoch: Vec<usize>,
}

impl Shuffle {
    /// A stream over `rows` rows (at least one).
    fn new(rows: usize, seed: u64) -> Self {
        Self {
            rows,
            rng: StdRng::seed_from_u64(seed),
            epoch: Vec::new(),
        }
    }
}

impl Iterator for Shuffle {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.epoch.is_empty() {
            self.epoch = (0..self.rows).collect();
            self.epoch.shuffle(&mut self.rng);
        }
        self.epoch.pop()
    }
}

/// Rows in clusters that begin alike: neighbours, sorted by their tokens, that share at least half of the shorter one's prompt.
fn clusters(examples: &[&Example]) -> Vec<Vec<usize>> {
    let mut sorted: Vec<usize> = (0..examples.len()).collect();
    sorted.sort_by_key(|&i| (&examples[i].tokens, i));
    let mut clusters: Vec<Vec<usize>> = Vec::new();
    for row in sorted {
        let alike = |other: usize| {
            let (a, b) = (examples[row], examples[other]);
            let same = a.tokens.iter().zip(&b.tokens).take_while(|(a, b)| a == b);
            let prompt = |e: &Example| e.learned.first().map_or(0, |learned| learned.start);
            2 * same.count() >= prompt(a).min(prompt(b))
        };
        match clusters.last_mut() {
            Some(cluster) if cluster.last().is_some_and(|&other| alike(other)) => cluster.push(row),
            _ => clusters.push(vec![row]),
        }
    }
    clusters
}

/// An endless seeded stream of row numbers in batches of rows of one cluster, as far as they go: what is left of a cluster
/// fills batches with what is left of others. Every epoch has every row once; its last batch may be a smaller one.
struct Grouped {
    clusters: Vec<Vec<usize>>,
    batch: usize,
    rng: StdRng,
    /// What is left of the epoch.
    epoch: VecDeque<usize>,
}

impl Grouped {
    fn new(clusters: Vec<Vec<usize>>, batch: usize, seed: u64) -> Self {
        Self {
            clusters,
            batch,
            rng: StdRng::seed_from_u64(seed),
            epoch: VecDeque::new(),
        }
    }

    fn next_epoch(&mut self) {
        let (mut batches, mut rests) = (Vec::new(), Vec::new());
        for cluster in &mut self.clusters {
            cluster.shuffle(&mut self.rng);
            let whole = cluster.chunks_exact(self.batch);
            rests.push(whole.remainder().to_vec());
            batches.extend(whole.map(<[usize]>::to_vec));
        }
        rests.shuffle(&mut self.rng);
        let rest = rests.concat();
        let whole = rest.chunks_exact(self.batch);
        let last = whole.remainder();
        batches.extend(whole.clone().map(<[usize]>::to_vec));
        batches.shuffle(&mut self.rng);
        self.epoch.extend(batches.concat());
        self.epoch.extend(last);
    }
}

impl Iterator for Grouped {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.epoch.is_empty() {
            self.next_epoch();
        }
        self.epoch.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::config::Length;

    #[test]
    fn every_epoch_holds_every_row_once_in_another_order() {
        let rows: Vec<usize> = Shuffle::new(20, 7).take(40).collect();
        for epoch in rows.chunks(20) {
            let mut sorted = epoch.to_vec();
            sorted.sort();
            assert_eq!(sorted, (0..20).collect::<Vec<_>>());
        }
        assert_ne!(rows[..20], rows[20..]);
        let config = TrainConfig {
            seed: 7,
            ..TrainConfig::default()
        };
        let example = Example::new(&[1], &[2]);
        let examples = [&example; 20];
        assert_eq!(rows, order(&examples, &config).take(40).collect::<Vec<_>>());
        let config = TrainConfig {
            no_shuffle: true,
            ..config
        };
        let unshuffled = order(&examples[..2], &config).take(5);
        assert_eq!(unshuffled.collect::<Vec<_>>(), [0, 1, 0, 1, 0]);
    }

    #[test]
    fn no_step_holds_a_row_twice() {
        for (rows, batch, grad_accum, length, sizes) in [
            (3, 8, 1, Length::Epochs(3.0), &[3, 3, 3][..]),
            (5, 2, 1, Length::Epochs(2.0), &[2, 2, 1, 2, 2, 1]),
            (5, 2, 2, Length::Epochs(1.5), &[4, 1, 3]),
            (4, 2, 1, Length::Steps(3), &[2, 2, 2]),
            (3, 2, 2, Length::Steps(2), &[3, 3]),
        ] {
            for (no_shuffle, group_prefix) in [(false, false), (true, false), (false, true)] {
                let config = TrainConfig {
                    length,
                    batch,
                    grad_accum,
                    no_shuffle,
                    group_prefix,
                    ..TrainConfig::default()
                };
                let examples: Vec<_> = (0..rows).map(|row| of_cluster(row % 2, row)).collect();
                let examples: Vec<&Example> = examples.iter().collect();
                let steps: Vec<Vec<usize>> = steps(&examples, &config).collect();
                let found: Vec<usize> = steps.iter().map(Vec::len).collect();
                assert_eq!(found, sizes, "{config:?}");
                for step in steps {
                    let mut rows = step.clone();
                    rows.sort();
                    rows.dedup();
                    assert_eq!(rows.len(), step.len(), "{step:?}");
                }
            }
        }
    }

    fn of_cluster(cluster: u32, row: u32) -> Example {
        Example::new(&[cluster, cluster, cluster, 50 + row, 60], &[1])
    }

    #[test]
    fn grouped_batches_are_of_one_cluster_and_epochs_whole() {
        for (sizes, batch) in [
            ([9, 7, 5], 4),
            ([1, 1, 1], 8),
            ([8, 8, 8], 8),
            ([3, 1, 2], 4),
        ] {
            let examples: Vec<Example> = sizes
                .iter()
                .enumerate()
                .flat_map(|(cluster, &size)| {
                    (0..size).map(move |row| of_cluster(cluster as u32, row))
                })
                .collect();
            let config = TrainConfig {
                group_prefix: true,
                batch,
                ..TrainConfig::default()
            };
            let examples: Vec<&Example> = examples.iter().collect();
            let n = examples.len();
            let rows: Vec<usize> = order(&examples, &config).take(3 * n).collect();
            assert_eq!(
                rows,
                order(&examples, &config).take(3 * n).collect::<Vec<_>>()
            );
            for (i, epoch) in rows.chunks(n).enumerate() {
                let mut sorted = epoch.to_vec();
                sorted.sort();
                assert_eq!(sorted, (0..n).collect::<Vec<_>>(), "{sizes:?}, epoch {i}");
            }
            let of_one = |rows: &&[usize]| {
                let cluster = |row: usize| examples[row].tokens[0];
                rows.iter().all(|&row| cluster(row) == cluster(rows[0]))
            };
            // What is left of each cluster fills the others.
            let whole: u32 = sizes.iter().map(|size| size / batch as u32).sum();
            let grouped = rows[..n].chunks(batch).filter(of_one).count();
            assert!(grouped >= whole as usize, "{sizes:?}: {grouped} of {whole}");
        }
    }
}
