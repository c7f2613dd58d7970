//! What a rollout is worth beside the others of its group.

use super::Kind;

/// What a rollout is worth beside its group: as a whole, or token by token where turns are told apart.
#[derive(Debug, Clone, PartialEq)]
pub enum Advantage {
    Whole(f64),
    /// One a label, in their order.
    Labels(Vec<f64>),
}

impl Advantage {
    /// That of a label.
    pub(super) fn at(&self, label: usize) -> f64 {
        match self {
            Self::Whole(advantage) => *advantage,
            Self::Labels(all) => all[label],
        }
    }

    /// Whether it is one of so many labels.
    pub(super) fn suits(&self, labels: usize) -> bool {
        match self {
            Self::Whole(_) => true,
            Self::Labels(all) => all.len() == labels,
        }
    }
}

impl Default for Advantage {
    fn default() -> Self {
        Self::Whole(0.0)
    }
}

impl From<f64> for Advantage {
    fn from(advantage: f64) -> Self {
        Self::Whole(advantage)
    }
}

/// Beside a standard deviation of 0.
const EPS: f64 = 1e-4;

/// The advantages of a group's rewards; `None` is a rollout that could not be judged, which counts for nothing. All are 0 exactly where the
/// rewards are alike.
pub fn advantages(kind: Kind, rewards: &[Option<f64>]) -> Vec<f64> {
    let judged: Vec<f64> = rewards.iter().flatten().copied().collect();
    let n = judged.len() as f64;
    let alike = judged.windows(2).all(|pair| pair[0] == pair[1]);
    if alike {
        return vec![0.0; rewards.len()];
    }
    let mean = judged.iter().sum::<f64>() / n;
    let scale = match kind {
        Kind::DrGrpo => 1.0,
        // To the mean of the others.
        Kind::Rloo => n / (n - 1.0),
        Kind::Grpo | Kind::Dapo | Kind::Gspo | Kind::Cispo => {
            let squares = judged.iter().map(|reward| (reward - mean).powi(2));
            1.0 / ((squares.sum::<f64>() / (n - 1.0)).sqrt() + EPS)
        }
    };
    let each = rewards.iter();
    each.map(|reward| reward.map_or(0.0, |reward| (reward - mean) * scale))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_spread_has_no_advantage() {
        for kind in [Kind::DrGrpo, Kind::Grpo, Kind::Rloo] {
            assert_eq!(advantages(kind, &[Some(0.1); 8]), [0.0; 8]);
            assert_eq!(advantages(kind, &[None, Some(0.3), None]), [0.0; 3]);
            assert_eq!(advantages(kind, &[]), [0.0; 0]);
        }
    }

    #[test]
    fn who_is_better_than_the_others_gains() {
        let rewards = [Some(1.0), Some(0.0), None, Some(0.5)];
        assert_eq!(advantages(Kind::DrGrpo, &rewards), [0.5, -0.5, 0.0, 0.0]);
        assert_eq!(advantages(Kind::Rloo, &rewards), [0.75, -0.75, 0.0, 0.0]);
        let scaled = advantages(Kind::Grpo, &rewards);
        assert!((scaled[0] - 0.5 / (0.5 + 1e-4)).abs() < 1e-12, "{scaled:?}");
    }
}
