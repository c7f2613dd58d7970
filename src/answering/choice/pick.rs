//! The choice itself, of what samples returned.

use crate::eval::returned::Returned;
use serde_json::{Value, json};
use std::cmp::{Ordering, Reverse};

/// How a row's answer is chosen among its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Select {
    /// The first that was drawn.
    First,
    /// The first whose query runs.
    Executable,
    /// One of those, the most of all, whose queries return the same.
    Vote,
}

/// What is known of a sample.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What its query returned, or why it returned nothing.
    pub result: Result<Returned, String>,
    /// The mean log-probability of its tokens.
    pub logprob: Option<f64>,
}

/// Samples with one result, or with one error, by their places.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub result: Result<Returned, String>,
    pub samples: Vec<usize>,
}

/// Why a sample was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// It is the first.
    First,
    /// It is the first that runs.
    Executable,
    /// It is of the largest group.
    Vote,
    /// It is of the likeliest of the largest groups.
    Logprob,
    /// It is of the first of the largest groups, and they are as likely.
    Order,
    /// It is the first, for none runs.
    NoneRuns,
    /// It failed, and what was answered then runs.
    Repair,
}

impl By {
    /// As rows and summaries say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Executable => "executable",
            Self::Vote => "vote",
            Self::Logprob => "logprob",
            Self::Order => "order",
            Self::NoneRuns => "none_runs",
            Self::Repair => "repair",
        }
    }

    /// What is said of the rows where it chose.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::First => "the first",
            Self::Executable => "the first that runs",
            Self::Vote => "by vote",
            Self::Logprob => "by log-probability, among groups as large",
            Self::Order => "the first, among groups as large and as likely",
            Self::NoneRuns => "the first, for none runs",
            Self::Repair => "by repair",
        }
    }
}

/// The sample that was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Its place.
    pub sample: usize,
    pub by: By,
    /// Of all samples whose queries were run: that of the chosen one first, then the larger before the smaller, and errors last.
    pub groups: Vec<Group>,
    /// The share of samples that return the same, where samples were run.
    pub share: Option<f64>,
}

impl Chosen {
    /// The first, whatever it returns.
    pub fn first() -> Self {
        Self {
            sample: 0,
            by: By::First,
            groups: Vec::new(),
            share: None,
        }
    }

    /// The groups for people and programs.
    pub fn votes(&self) -> Value {
        let group = |group: &Group| match &group.result {
            Ok(returned) => {
                json!({"votes": group.samples.len(), "rows": returned.rows, "samples": group.samples})
            }
            Err(error) => {
                json!({"votes": 0, "error": error, "samples": group.samples})
            }
        };
        self.groups.iter().map(group).collect()
    }

    /// Which sample, and why.
    pub fn why(&self) -> Value {
        json!({"sample": self.sample, "by": self.by.name()})
    }
}

/// Chooses among the samples of a row, of which there is at least one.
pub fn choose(select: Select, prefer_rows: bool, samples: &[Sample]) -> Chosen {
    if select == Select::First {
        return Chosen::first();
    }
    let voted = select == Select::Vote;
    let mut groups = groups(samples);
    // Those with the least are the best.
    let rank = |group: &Group| {
        let rows = group.result.as_ref().map(|returned| returned.rows);
        let votes = if voted { group.samples.len() } else { 0 };
        (rows.is_err(), prefer_rows && rows == Ok(0), Reverse(votes))
    };
    let order = |a: &Group, b: &Group| {
        let likelier = || match voted {
            true => likely(samples, &b.samples).total_cmp(&likely(samples, &a.samples)),
            false => Ordering::Equal,
        };
        let first = || a.samples[0].cmp(&b.samples[0]);
        rank(a).cmp(&rank(b)).then_with(likelier).then_with(first)
    };
    groups.sort_by(order);
    let best = &groups[0];
    let share = Some(best.samples.len() as f64 / samples.len() as f64);
    if best.result.is_err() {
        return Chosen {
            by: By::NoneRuns,
            share: Some(0.0),
            groups,
            ..Chosen::first()
        };
    }
    if !voted {
        return Chosen {
            sample: best.samples[0],
            by: By::Executable,
            share,
            groups,
        };
    }
    let likelihood = |at: usize| likely(samples, &[at]);
    let likeliest = |a: &usize, b: &usize| likelihood(*b).total_cmp(&likelihood(*a));
    let rival = groups[1..].iter().find(|group| rank(group) == rank(best));
    Chosen {
        // Of several the first.
        sample: best.samples.iter().copied().min_by(likeliest).unwrap_or(0),
        by: match rival.map(|rival| likely(samples, &rival.samples)) {
            None => By::Vote,
            Some(rival) if rival == likely(samples, &best.samples) => By::Order,
            Some(_) => By::Logprob,
        },
        share,
        groups,
    }
}

/// The mean of some samples' mean log-probabilities; one without is the least likely.
fn likely(samples: &[Sample], places: &[usize]) -> f64 {
    let logprob = |at: &usize| samples[*at].logprob.unwrap_or(f64::NEG_INFINITY);
    places.iter().map(logprob).sum::<f64>() / places.len() as f64
}

/// Samples by their results, in the order of each group's first.
fn groups(samples: &[Sample]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, sample) in samples.iter().enumerate() {
        match groups
            .iter_mut()
            .find(|group| group.result == sample.result)
        {
            Some(group) => group.samples.push(at),
            None => groups.push(Group {
                result: sample.result.clone(),
                samples: vec![at],
            }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that returned this, or failed, with its log-probability.
    fn sample(result: Result<(&str, usize), &str>, logprob: f64) -> Sample {
        let returned = |(digest, rows): (&str, usize)| Returned {
            rows,
            digest: digest.to_owned(),
        };
        Sample {
            result: result.map(returned).map_err(str::to_owned),
            logprob: Some(logprob),
        }
    }

    fn picked(select: Select, prefer_rows: bool, samples: &[Sample]) -> (usize, &'static str) {
        let chosen = choose(select, prefer_rows, samples);
        (chosen.sample, chosen.by.name())
    }

    #[test]
    fn the_largest_group_wins_and_errors_have_no_vote() {
        let samples = [
            sample(Err("no such column: x"), -0.01),
            sample(Ok(("a", 1)), -0.2),
            sample(Err("no such column: x"), -0.01),
            sample(Ok(("b", 2)), -0.5),
            sample(Err("no such column: x"), -0.01),
            sample(Ok(("b", 2)), -0.4),
        ];
        assert_eq!(picked(Select::First, false, &samples), (0, "first"));
        assert_eq!(
            picked(Select::Executable, false, &samples),
            (1, "executable")
        );
        // Of the two the likelier.
        assert_eq!(picked(Select::Vote, false, &samples), (5, "vote"));
        let chosen = choose(Select::Vote, false, &samples);
        assert_eq!(chosen.share, Some(2.0 / 6.0));
        let ran = choose(Select::Executable, false, &samples);
        assert_eq!(ran.share, Some(1.0 / 6.0));
        assert_eq!(
            chosen.votes(),
            json!([
                {"votes": 2, "rows": 2, "samples": [3, 5]},
                {"votes": 1, "rows": 1, "samples": [1]},
                {"votes": 0, "error": "no such column: x", "samples": [0, 2, 4]},
            ])
        );
        assert_eq!(chosen.why(), json!({"sample": 5, "by": "vote"}));
    }

    #[test]
    fn ties_go_to_the_likelier_group_then_to_the_first() {
        let of = |second| [sample(Ok(("a", 1)), -0.5), sample(Ok(("b", 1)), second)];
        assert_eq!(picked(Select::Vote, false, &of(-0.4)), (1, "logprob"));
        assert_eq!(picked(Select::Vote, false, &of(-0.6)), (0, "logprob"));
        assert_eq!(picked(Select::Vote, false, &of(-0.5)), (0, "order"));
    }

    #[test]
    fn rows_come_before_none_where_that_is_wanted() {
        let samples = [
            sample(Ok(("none", 0)), -0.1),
            sample(Ok(("none", 0)), -0.1),
            sample(Ok(("a", 3)), -0.9),
        ];
        assert_eq!(
            picked(Select::Executable, false, &samples),
            (0, "executable")
        );
        assert_eq!(picked(Select::Vote, false, &samples), (0, "vote"));
        assert_eq!(
            picked(Select::Executable, true, &samples),
            (2, "executable")
        );
        assert_eq!(picked(Select::Vote, true, &samples), (2, "vote"));
        // An empty result runs, and an error does not.
        let samples = [sample(Err("e"), -0.1), sample(Ok(("none", 0)), -0.1)];
        assert_eq!(picked(Select::Vote, true, &samples), (1, "vote"));
    }

    #[test]
    fn where_none_runs_it_is_the_first() {
        let samples = [sample(Err("e"), -0.9), sample(Err("f"), -0.1)];
        for select in [Select::Executable, Select::Vote] {
            assert_eq!(picked(select, false, &samples), (0, "none_runs"));
        }
        assert_eq!(choose(Select::Vote, false, &samples).share, Some(0.0));
    }
}
