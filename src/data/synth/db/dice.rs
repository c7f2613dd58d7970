//! Choices that depend on the seed alone, by hashes: no generator's version can change them.

use super::super::fill::rank;

/// A row of choices.
pub struct Dice {
    seed: u64,
    name: String,
    thrown: u64,
}

impl Dice {
    /// The choices of this name; others do not move them.
    pub fn new(seed: u64, name: &str) -> Self {
        Self {
            seed,
            name: name.to_owned(),
            thrown: 0,
        }
    }

    /// A number below `sides`; 0 where there is none.
    pub fn below(&mut self, sides: usize) -> usize {
        self.thrown += 1;
        let number = rank(self.seed, &[&self.name, &self.thrown.to_string()]);
        // `checked_rem`: of nothing the first is as good as any.
        number.checked_rem(sides as u64).unwrap_or(0) as usize
    }

    /// True in `share` of 100 throws.
    pub fn chance(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let at = self.below(all.len());
        all.get(at)
    }

    /// One of some ways to say something.
    pub fn of<const N: usize>(&mut self, mut all: [String; N]) -> String {
        std::mem::take(&mut all[self.below(N)])
    }

    /// One of some texts, empty where there is none.
    pub fn say(&mut self, all: &[&str]) -> String {
        self.pick(all)
            .map_or_else(String::new, |text| (*text).to_owned())
    }

    /// One of them, each as often as it weighs.
    pub fn weighted<'a, T>(&mut self, all: &'a [(T, usize)]) -> Option<&'a T> {
        let total = all.iter().map(|(_, weight)| weight).sum();
        let mut left = self.below(total);
        for (one, weight) in all {
            if left < *weight {
                return Some(one);
            }
            left -= weight;
        }
        None
    }
}
