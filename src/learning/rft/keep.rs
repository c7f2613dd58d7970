//! Which of a row's right samples are learned.

use crate::generation::sequence::Finish;
use crate::learning::earned;
use crate::learning::rollouts::{Drawn, Group};
use std::collections::{BTreeMap, BTreeSet};

/// How many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Most answers of a row.
    pub most: usize,
    /// The same of a row whose samples are all right.
    pub most_solved: usize,
}

/// How many right samples are not learned, by reason.
pub type LeftOut = BTreeMap<String, usize>;

/// The right samples of a row that may be learned, with different queries, in the order in which they were drawn, the greedy answer first: what the
/// model says most often tends to come first, which the shortest query is not known to deserve. `gold` is the reference. The others are counted in
/// `left_out`.
pub fn kept<'g>(
    group: &'g Group,
    gold: &str,
    keep: Keep,
    left_out: &mut LeftOut,
) -> Vec<&'g Drawn> {
    let solved = group.right() == group.samples.len();
    let most = if solved { keep.most_solved } else { keep.most };
    let (mut known, mut kept) = (BTreeSet::new(), Vec::new());
    let all = [&group.greedy].into_iter().chain(&group.samples);
    for one in all.filter(|one| one.passed()) {
        let query = one.query.as_deref().unwrap_or_default();
        let reason = unearned(one, gold);
        let reason = reason.or_else(|| match known.insert(query) {
            true if kept.len() < most => None,
            true => Some("more than are kept of a row"),
            false => Some("the same query again"),
        });
        match reason {
            Some(reason) => *left_out.entry(reason.to_owned()).or_default() += 1,
            None => kept.push(one),
        }
    }
    kept
}

/// Why an answer that passed is not known to be right, or is no whole answer.
fn unearned(one: &Drawn, gold: &str) -> Option<&'static str> {
    match one.sample.finish {
        Finish::Stop | Finish::StopText => earned::unearned(one, gold),
        _ => Some("cut at the longest answer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::standing::tests::{group, one};

    const GOLD: &str = "select count(*) from t";

    fn texts(group: &Group, keep: Keep) -> (Vec<&str>, LeftOut) {
        let mut left_out = LeftOut::new();
        let kept = kept(group, GOLD, keep, &mut left_out);
        (
            kept.iter()
                .map(|one| one.sample.text.as_deref().unwrap())
                .collect(),
            left_out,
        )
    }

    fn keep(most: usize, most_solved: usize) -> Keep {
        Keep { most, most_solved }
    }

    #[test]
    fn different_right_queries_are_kept_in_drawn_order() {
        let right = |text| one(text, Some("r"), true);
        let mut cut = right("select 4 from t");
        cut.sample.finish = Finish::Length;
        let mut empty = right("select 5 from t");
        empty.judged.returned.as_mut().unwrap().rows = 0;
        let samples = [
            right("select  COUNT(*) from t"),
            one("select 9 from t", Some("w"), false),
            right("SELECT 3"),
            right("select sum(1) from t"),
            cut,
            empty,
            right("select total(1) from t"),
        ];
        let group = group(right("select count(*) from t"), &samples);
        let (kept, left_out) = texts(&group, keep(2, 0));
        assert_eq!(kept, ["select count(*) from t", "select sum(1) from t"]);
        let reasons: Vec<_> = left_out.iter().map(|(r, n)| (r.as_str(), *n)).collect();
        assert_eq!(
            reasons,
            [
                ("a constant, where the reference reads a table", 1),
                ("cut at the longest answer", 1),
                ("more than are kept of a row", 1),
                ("the same query again", 1),
                ("without rows, as any query may be that finds nothing", 1),
            ]
        );
    }

    #[test]
    fn rows_that_are_solved_may_count_less() {
        let right = |text| one(text, Some("r"), true);
        let samples = [right("select a from t"), right("select b from t")];
        let solved = group(one("x", Some("w"), false), &samples);
        assert_eq!(texts(&solved, keep(4, 1)).0, ["select a from t"]);
        assert!(texts(&solved, keep(4, 0)).0.is_empty());
        let wrong = one("x", Some("w"), false);
        let open = group(wrong.clone(), &[samples.to_vec(), vec![wrong]].concat());
        assert_eq!(texts(&open, keep(4, 0)).0.len(), 2);
    }
}
