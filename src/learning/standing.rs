//! Where a model stands with its samples, in numbers: what it answers, what it could, and between them what can be learned.

use super::rollouts::{Drawn, Group, distinct};
use crate::answering::choice::{Sample, Select, choose};
use crate::eval::stats::{Mean, Share, mean, pass_at, share};
use crate::generation::sequence::Finish;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Shares of rows, by execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    pub rows: usize,
    /// Samples a row, the greedy answer not among them.
    pub samples: usize,
    /// Of rows whose greedy answer is right.
    pub greedy: Share,
    /// By k: how likely any of k samples is right, which for k = 1 is the mean share of right samples.
    pub pass_at: BTreeMap<usize, Mean>,
    /// Of rows where the sample is right that a vote among all chooses, by what they return.
    pub vote: Share,
    /// Of rows whose samples are all right.
    pub all_right: Share,
    /// Of rows with right samples and wrong ones.
    pub mixed: Share,
    /// Of rows without a right sample.
    pub all_wrong: Share,
    /// Of rows whose greedy answer is wrong and that have a right sample: what a better choice among what is drawn already could gain.
    pub within_reach: Share,
    /// Of rows where nothing is right, the greedy answer included.
    pub out_of_reach: Share,
    /// Different queries among a row's samples, on average.
    pub distinct_queries: f64,
    /// Of samples whose query runs.
    pub running: Share,
    /// Of samples that ended by themselves.
    pub ended: Share,
}

impl Standing {
    /// Of some groups, of as many samples each.
    pub fn of(groups: &[&Group]) -> Self {
        let rows = groups.len();
        let samples = groups.first().map_or(0, |group| group.samples.len());
        let count = |is: &dyn Fn(&Group) -> bool| {
            let those = groups.iter().filter(|group| is(group));
            share(those.count(), rows)
        };
        let pass = |k: usize| {
            let each = groups.iter();
            mean(each.map(|group| pass_at(k, group.right(), samples)))
        };
        let all = || groups.iter().flat_map(|group| &group.samples);
        let of_all = |is: &dyn Fn(&Drawn) -> bool| {
            let those = all().filter(|one| is(one));
            share(those.count(), rows * samples)
        };
        let distinct: usize = groups
            .iter()
            .map(|group| distinct(group.samples.iter()))
            .sum();
        Self {
            rows,
            samples,
            greedy: count(&|group| group.greedy.passed()),
            pass_at: counts(samples).map(|k| (k, pass(k))).collect(),
            vote: count(&|group| voted(group)),
            all_right: count(&|group| group.right() == samples),
            mixed: count(&|group| (1..samples).contains(&group.right())),
            all_wrong: count(&|group| group.right() == 0),
            within_reach: count(&|group| !group.greedy.passed() && group.right() > 0),
            out_of_reach: count(&|group| !group.greedy.passed() && group.right() == 0),
            distinct_queries: distinct as f64 / rows.max(1) as f64,
            running: of_all(&|one| one.judged.returned.is_some()),
            ended: of_all(&|one| one.sample.finish == Finish::Stop),
        }
    }

    /// How likely any of all samples is right.
    pub fn pass(&self) -> f64 {
        self.pass_at.get(&self.samples).map_or(0.0, |all| all.value)
    }

    /// How likely a sample is right.
    pub fn pass_1(&self) -> f64 {
        self.pass_at.get(&1).map_or(0.0, |one| one.value)
    }
}

/// 1, 2, 4 and so on, and `samples` itself.
fn counts(samples: usize) -> impl Iterator<Item = usize> {
    let doubled = std::iter::successors(Some(1), |k| Some(2 * k));
    doubled.take_while(move |k| *k < samples).chain([samples])
}

/// Whether the sample that a vote chooses is right.
fn voted(group: &Group) -> bool {
    let sample = |one: &Drawn| Sample {
        result: match &one.judged.returned {
            Some(returned) => Ok(returned.clone()),
            None => Err(one.judged.error.clone().unwrap_or_default()),
        },
        logprob: one.sample.logprob(),
    };
    let samples: Vec<Sample> = group.samples.iter().map(sample).collect();
    let chosen = choose(Select::Vote, false, &samples);
    group.samples[chosen.sample].passed()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::eval::judged::Judged;
    use crate::eval::returned::Returned;
    use crate::sql::normalize::canonical;

    /// A sample that says this and returns that, right or not.
    pub fn one(text: &str, result: Option<&str>, right: bool) -> Drawn {
        Drawn {
            sample: crate::learning::draw::Sample {
                text: Some(text.to_owned()),
                finish: Finish::Stop,
                tokens: vec![1],
                logprobs: vec![-0.5],
            },
            judged: Judged {
                failure: (!right).then(|| "sql_wrong_result".to_owned()),
                error: result.is_none().then(|| "no such column".to_owned()),
                returned: result.map(|digest| Returned {
                    rows: 1,
                    digest: digest.to_owned(),
                }),
                columns: true,
                soft_f1: f64::from(u8::from(right)),
            },
            query: Some(canonical(text)),
        }
    }

    pub fn group(greedy: Drawn, samples: &[Drawn]) -> Group {
        let samples = samples.to_vec();
        Group { greedy, samples }
    }

    #[test]
    fn rows_are_counted_by_what_is_right_of_them() {
        let right = |text| one(text, Some("r"), true);
        let wrong = |text| one(text, Some("w"), false);
        let fails = || one("select nope", None, false);
        let groups = [
            group(
                right("a"),
                &[
                    right("select a"),
                    right("select  A"),
                    right("select b"),
                    right("select c"),
                ],
            ),
            group(
                wrong("b"),
                &[
                    wrong("select a"),
                    right("select b"),
                    right("select b"),
                    fails(),
                ],
            ),
            group(
                right("c"),
                &[
                    wrong("select a"),
                    wrong("select a"),
                    wrong("select a"),
                    right("select b"),
                ],
            ),
            group(wrong("d"), &[fails(), fails(), fails(), fails()]),
            group(right("e"), &[fails(), fails(), fails(), wrong("select b")]),
        ];
        let groups: Vec<&Group> = groups.iter().collect();
        let found = Standing::of(&groups);
        let passed = |share: Share| (share.passed, share.n);
        assert_eq!(passed(found.greedy), (3, 5));
        assert_eq!(passed(found.vote), (2, 5));
        assert_eq!(passed(found.all_right), (1, 5));
        assert_eq!(passed(found.mixed), (2, 5));
        assert_eq!(passed(found.all_wrong), (2, 5));
        assert_eq!(passed(found.within_reach), (1, 5));
        assert_eq!(passed(found.out_of_reach), (1, 5));
        assert_eq!(passed(found.running), (12, 20));
        assert_eq!(passed(found.ended), (20, 20));
        assert_eq!(found.pass_at.keys().copied().collect::<Vec<_>>(), [1, 2, 4]);
        assert!((found.pass_1() - 7.0 / 20.0).abs() < 1e-9);
        assert!((found.pass_at[&2].value - (1.0 + 5.0 / 6.0 + 0.5) / 5.0).abs() < 1e-9);
        assert!((found.pass() - 3.0 / 5.0).abs() < 1e-9);
        assert!((found.distinct_queries - (3.0 + 3.0 + 2.0 + 1.0 + 2.0) / 5.0).abs() < 1e-9);
    }

    #[test]
    fn pass_is_asked_at_doublings_and_at_all() {
        let of = |samples| counts(samples).collect::<Vec<_>>();
        assert_eq!(of(1), [1]);
        assert_eq!(of(6), [1, 2, 4, 6]);
        assert_eq!(of(8), [1, 2, 4, 8]);
    }
}
