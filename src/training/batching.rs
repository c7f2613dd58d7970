//! Which rows meet in which step.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// Row numbers without end: each epoch a fresh shuffle by `seed`, or 0, 1, 2, … over and over.
pub fn order(rows: usize, shuffle: bool, seed: u64) -> Box<dyn Iterator<Item = usize>> {
    match shuffle {
        true => Box::new(Shuffle::new(rows, seed)),
        false => Box::new((0..rows).cycle()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_holds_every_row_once_in_another_order() {
        let rows: Vec<usize> = Shuffle::new(20, 7).take(40).collect();
        for epoch in rows.chunks(20) {
            let mut sorted = epoch.to_vec();
            sorted.sort();
            assert_eq!(sorted, (0..20).collect::<Vec<_>>());
        }
        assert_ne!(rows[..20], rows[20..]);
        assert_eq!(rows, order(20, true, 7).take(40).collect::<Vec<_>>());
        assert_eq!(
            order(2, false, 7).take(5).collect::<Vec<_>>(),
            [0, 1, 0, 1, 0]
        );
    }
}
