//! Routing by content, fitted from the prompts that each adapter was trained on.
//!
//! Which route: naive Bayes over the features that a prompt has, its log-odds divided by a temperature that is fitted on
//! held-out prompts, because features that come together count twice. Whether any: a prompt of a route's kind consists of
//! features that its training prompts had, and has the ones that nearly all of them had; how much of either is normal is
//! measured on held-out prompts. What is less like the training prompts than those is out of distribution, and less sure.

use super::Decision;
use super::features::features;
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Every fifth prompt is held out.
const HELD_OUT: usize = 5;
/// Least prompts of a route.
const MIN_PROMPTS: usize = 10;
/// Most features that a router knows: the most frequent.
const MAX_FEATURES: usize = 30_000;
/// Share of a route's prompts that have its core features.
const CORE: f64 = 0.9;
/// Weight of what all routes have in common, in prompts.
const PRIOR: f64 = 2.0;
/// One in so many held-out prompts may be an odd one, and says nothing of what is normal.
const ODD: usize = 100;
/// What of the least normal of the other held-out prompts is still normal.
const MARGIN: f64 = 0.9;
/// Features named in a reason.
const NAMED: usize = 3;

/// A fitted router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    routes: Vec<Route>,
    /// For each feature, how many training prompts of each route have it.
    features: BTreeMap<String, Vec<u32>>,
    /// What log-odds are divided by.
    temperature: f64,
}

/// What is known of one route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    name: String,
    /// Training prompts, the held-out ones left out.
    prompts: u32,
    /// The least share of its features that a normal prompt of this route has in common with the training prompts.
    known: f64,
    /// The least share of the core features that one has.
    core: f64,
}

/// What a router thinks of a prompt.
struct Judgement {
    /// The likeliest route.
    best: usize,
    /// See [`Content::normality`].
    normality: [f64; 2],
    /// The lesser share of what is normal for that route.
    normal: f64,
    confidence: f64,
}

/// How a fit went on the held-out prompts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fit {
    pub held_out: usize,
    /// Share of them that went to their own route.
    pub accuracy: f64,
    /// Share that was less sure than one half.
    pub unsure: f64,
}

impl Content {
    /// Fits a router from the prompts of each route.
    ///
    /// Errors where there are fewer than two routes, too few prompts, or two routes of one name.
    pub fn fit(prompts: &[(String, Vec<String>)]) -> Result<(Self, Fit)> {
        ensure!(prompts.len() >= 2, "a router needs at least two routes");
        let names: BTreeSet<&str> = prompts.iter().map(|(name, _)| name.as_str()).collect();
        ensure!(names.len() == prompts.len(), "two routes have one name");
        ensure!(!names.contains(""), "a route has no name");
        let short: Vec<_> = prompts
            .iter()
            .filter(|(_, texts)| texts.len() < MIN_PROMPTS)
            .map(|(name, _)| name.as_str())
            .collect();
        ensure!(
            short.is_empty(),
            "{}: fewer than {MIN_PROMPTS} prompts to fit from",
            short.join(", ")
        );
        let sets: Vec<Vec<BTreeSet<String>>> = prompts
            .iter()
            .map(|(_, texts)| texts.iter().map(|text| features(text)).collect())
            .collect();
        let held = |i: &usize| i % HELD_OUT == HELD_OUT - 1;
        let mut counts: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (route, sets) in sets.iter().enumerate() {
            for (_, set) in sets.iter().enumerate().filter(|(i, _)| !held(i)) {
                for feature in set {
                    counts
                        .entry(feature)
                        .or_insert_with(|| vec![0; prompts.len()])[route] += 1;
                }
            }
        }
        // What one prompt alone has says nothing of the others.
        let mut kept: Vec<_> = counts
            .into_iter()
            .filter(|(_, n)| n.iter().sum::<u32>() > 1)
            .collect();
        kept.sort_by_key(|(_, n)| std::cmp::Reverse(n.iter().sum::<u32>()));
        kept.truncate(MAX_FEATURES);
        let mut router = Self {
            routes: prompts
                .iter()
                .zip(&sets)
                .map(|((name, _), sets)| Route {
                    name: name.clone(),
                    prompts: (0..sets.len()).filter(|i| !held(i)).count() as u32,
                    known: 0.0,
                    core: 0.0,
                })
                .collect(),
            features: kept
                .into_iter()
                .map(|(feature, n)| (feature.to_owned(), n))
                .collect(),
            temperature: 1.0,
        };
        let held_out: Vec<(usize, &BTreeSet<String>)> = sets
            .iter()
            .enumerate()
            .flat_map(|(route, sets)| {
                let held_out = sets.iter().enumerate().filter(|(i, _)| held(i));
                held_out.map(move |(_, set)| (route, set))
            })
            .collect();
        for route in 0..router.routes.len() {
            let own = held_out
                .iter()
                .filter(|(r, _)| *r == route)
                .map(|(_, set)| router.normality(set, route));
            let (known, core) = own.map(|[known, core]| (known, core)).unzip();
            router.routes[route].known = lowest(known) * MARGIN;
            router.routes[route].core = lowest(core) * MARGIN;
        }
        router.temperature = router.best_temperature(&held_out);
        let fit = router.evaluate(&held_out);
        Ok((router, fit))
    }

    /// Errors where the parts of a router's file do not fit each other.
    pub fn check(&self) -> Result<()> {
        let n = self.routes.len();
        ensure!(n >= 2, "a router needs at least two routes");
        ensure!(
            self.features
                .values()
                .all(|counts| counts.len() == n && counts.iter().any(|count| *count > 0)),
            "a feature lacks the count of a route, or no prompt has it"
        );
        let shares = self.routes.iter().all(|r| {
            r.prompts > 0 && (0.0..=1.0).contains(&r.known) && (0.0..=1.0).contains(&r.core)
        });
        ensure!(
            self.routes.iter().all(|route| !route.name.is_empty()),
            "a route has no name"
        );
        ensure!(
            shares && self.temperature >= 1.0 && self.temperature.is_finite(),
            "a number of the router is out of range"
        );
        Ok(())
    }

    pub fn routes(&self) -> Vec<&str> {
        self.routes
            .iter()
            .map(|route| route.name.as_str())
            .collect()
    }

    /// The most likely route, the features that decided, and how sure that is.
    pub fn decide(&self, prompt: &str) -> Decision {
        let set = features(prompt);
        let Judgement {
            best,
            normality: [known, core],
            normal,
            confidence,
        } = self.judge(&set);
        let route = &self.routes[best];
        let reason = match normal < 1.0 {
            true => format!(
                "unlike the prompts of {}: {:.0}% of its features are known, {:.0}% of the usual ones there",
                route.name,
                known * 100.0,
                core * 100.0
            ),
            false => self.reason(&set, best),
        };
        Decision {
            route: Some(route.name.clone()),
            reason,
            confidence,
        }
    }

    /// The features that speak most for a route against the likeliest other.
    fn reason(&self, set: &BTreeSet<String>, route: usize) -> String {
        let mut weights: Vec<(f64, &str)> = Vec::new();
        for feature in set {
            if let Some(counts) = self.features.get(feature) {
                let other = (0..self.routes.len())
                    .filter(|r| *r != route)
                    .map(|r| self.log_share(counts, r));
                let other = other.fold(f64::NEG_INFINITY, f64::max);
                weights.push((self.log_share(counts, route) - other, feature));
            }
        }
        weights.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let named = weights
            .iter()
            .filter(|(weight, _)| *weight > 0.0)
            .take(NAMED);
        let named: Vec<_> = named
            .map(|(weight, feature)| format!("{feature:?} {weight:+.1}"))
            .collect();
        format!("like {}: {}", self.routes[route].name, named.join(", "))
    }

    /// log p(feature | route), as if `PRIOR` prompts more had it as often as prompts of all routes together have, every route
    /// counted alike: otherwise whatever is rare would speak for the route with the fewest prompts.
    fn log_share(&self, counts: &[u32], route: usize) -> f64 {
        let of_route =
            |route: usize| f64::from(counts[route]) / f64::from(self.routes[route].prompts);
        let anywhere = (0..self.routes.len()).map(of_route).sum::<f64>() / self.routes.len() as f64;
        let prompts = f64::from(self.routes[route].prompts);
        ((f64::from(counts[route]) + PRIOR * anywhere) / (prompts + PRIOR)).ln()
    }

    fn log_odds(&self, set: &BTreeSet<String>) -> Vec<f64> {
        let mut sums = vec![0.0; self.routes.len()];
        for counts in set.iter().filter_map(|feature| self.features.get(feature)) {
            for (route, sum) in sums.iter_mut().enumerate() {
                *sum += self.log_share(counts, route);
            }
        }
        sums
    }

    fn judge(&self, set: &BTreeSet<String>) -> Judgement {
        let (best, probability) = largest(&softmax(&self.log_odds(set), self.temperature));
        let normality = self.normality(set, best);
        let route = &self.routes[best];
        let normal = share(normality[0], route.known).min(share(normality[1], route.core));
        Judgement {
            best,
            normality,
            normal,
            confidence: probability * normal * normal,
        }
    }

    /// The shares of a prompt's features that the route knows, and of the route's core features that the prompt has.
    fn normality(&self, set: &BTreeSet<String>, route: usize) -> [f64; 2] {
        let least = CORE * f64::from(self.routes[route].prompts);
        let is_core = |counts: &[u32]| f64::from(counts[route]) >= least;
        let all = self
            .features
            .values()
            .filter(|counts| is_core(counts))
            .count();
        let (mut known, mut there) = (0usize, 0usize);
        for counts in set.iter().filter_map(|feature| self.features.get(feature)) {
            known += usize::from(counts[route] > 0);
            there += usize::from(is_core(counts));
        }
        let of = |part: usize, all: usize| part as f64 / all.max(1) as f64;
        [
            of(known, set.len()),
            if all == 0 { 1.0 } else { of(there, all) },
        ]
    }

    /// The temperature under which the held-out prompts are likeliest, from 1 up.
    fn best_temperature(&self, held_out: &[(usize, &BTreeSet<String>)]) -> f64 {
        let odds: Vec<(usize, Vec<f64>)> = held_out
            .iter()
            .map(|(route, set)| (*route, self.log_odds(set)))
            .collect();
        let loss = |temperature: f64| -> f64 {
            odds.iter()
                .map(|(route, odds)| -softmax(odds, temperature)[*route].max(1e-12).ln())
                .sum()
        };
        let candidates = (0..=40).map(|i| 1.15f64.powi(i));
        candidates
            .min_by(|a, b| loss(*a).total_cmp(&loss(*b)))
            .unwrap_or(1.0)
    }

    fn evaluate(&self, held_out: &[(usize, &BTreeSet<String>)]) -> Fit {
        let mut right = 0;
        let mut unsure = 0;
        for (route, set) in held_out {
            let judgement = self.judge(set);
            right += usize::from(judgement.best == *route);
            unsure += usize::from(judgement.confidence < 0.5);
        }
        let n = held_out.len().max(1) as f64;
        Fit {
            held_out: held_out.len(),
            accuracy: right as f64 / n,
            unsure: unsure as f64 / n,
        }
    }
}

/// The least value but for the odd ones, of which there is one at least.
fn lowest(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let odd = values.len().div_ceil(ODD);
    values.get(odd).or(values.last()).copied().unwrap_or(0.0)
}

/// How much of what is normal was found, at most all of it; none where nothing was found.
fn share(found: f64, normal: f64) -> f64 {
    match found > 0.0 {
        true => (found / normal).min(1.0),
        false => 0.0,
    }
}

fn largest(values: &[f64]) -> (usize, f64) {
    let pairs = values.iter().copied().enumerate();
    pairs.fold((0, f64::NEG_INFINITY), |best, (i, value)| {
        if value > best.1 { (i, value) } else { best }
    })
}

fn softmax(values: &[f64], temperature: f64) -> Vec<f64> {
    let (_, most) = largest(values);
    let exp: Vec<f64> = values
        .iter()
        .map(|value| ((value - most) / temperature).exp())
        .collect();
    let sum: f64 = exp.iter().sum();
    exp.into_iter().map(|value| value / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 8] = [
        "pens", "rooks", "ships", "roads", "songs", "lamps", "coins", "trees",
    ];

    fn compact(i: usize) -> String {
        let (a, b) = (NAMES[i % 8], NAMES[i / 8 % 8]);
        format!(
            "Write one SQLite query that answers the question.\nSchema: {a}(id, name, cost); {b}(id, size)\nQuestion: How many {a} cost more than {i}?"
        )
    }

    fn public(i: usize) -> String {
        let (a, b) = (NAMES[i % 8], NAMES[i / 8 % 8]);
        format!(
            "CREATE TABLE {a} (name VARCHAR, {b} INTEGER)\n\nWhat is the name when {b} is larger than {i}?"
        )
    }

    fn fitted() -> (Content, Fit) {
        let texts = |of: fn(usize) -> String| (0..80).map(of).collect();
        Content::fit(&[
            ("compact".to_owned(), texts(compact)),
            ("public".to_owned(), texts(public)),
        ])
        .unwrap()
    }

    #[test]
    fn prompts_of_either_kind_go_to_their_route_with_a_reason() {
        let (router, fit) = fitted();
        assert_eq!((fit.held_out, fit.accuracy, fit.unsure), (32, 1.0, 0.0));
        for i in [81, 200] {
            let decision = router.decide(&compact(i));
            assert_eq!(decision.route.as_deref(), Some("compact"));
            assert!(decision.confidence > 0.9, "{decision:?}");
            assert!(
                decision.reason.starts_with("like compact: \""),
                "{decision:?}"
            );
            assert_eq!(router.decide(&public(i)).route.as_deref(), Some("public"));
        }
    }

    #[test]
    fn prompts_of_neither_kind_are_not_sure() {
        let (router, _) = fitted();
        for text in [
            "Hi, how are you today?",
            "def total(values):\n    return sum(values)",
            "Write a poem about ships.",
            "| column | type |\n|---|---|\n| id | integer |\n\nHow many pens cost more than 3?",
            "SELECT name FROM pens WHERE cost > 3",
            "table pens has columns id, name and cost. How many pens cost more than 3?",
            "",
        ] {
            let decision = router.decide(text);
            assert!(decision.confidence < 0.5, "{text:?}: {decision:?}");
            assert!(
                decision.reason.starts_with("unlike the prompts of "),
                "{decision:?}"
            );
        }
    }

    #[test]
    fn an_odd_training_prompt_makes_nothing_else_normal() {
        let mut texts: Vec<String> = (0..80).map(compact).collect();
        texts[4] = "Bonjour".to_owned();
        let public = (0..80).map(public).collect();
        let fitted = Content::fit(&[("compact".into(), texts), ("public".into(), public)]);
        let (router, _) = fitted.unwrap();
        for text in [
            "Hi, how are you today?",
            "Write a poem about ships.",
            "xyzzy",
        ] {
            let decision = router.decide(text);
            assert!(decision.confidence < 0.5, "{text:?}: {decision:?}");
        }
        assert!(router.decide(&compact(81)).confidence > 0.9);
    }

    #[test]
    fn a_router_comes_back_from_its_file() {
        let (router, _) = fitted();
        let text = serde_json::to_string(&router).unwrap();
        let again: Content = serde_json::from_str(&text).unwrap();
        again.check().unwrap();
        assert_eq!(again, router);
        assert_eq!(
            serde_json::to_string(&fitted().0).unwrap(),
            text,
            "the same fit, the same bytes"
        );
    }

    #[test]
    fn a_file_that_no_fit_wrote_is_refused() {
        let (router, _) = fitted();
        for counts in [vec![], vec![1], vec![0, 0]] {
            let mut router = router.clone();
            router.features.insert("pens".to_owned(), counts);
            assert!(router.check().is_err());
        }
    }

    #[test]
    fn too_little_to_fit_from_is_named() {
        let few = |name: &str, n| (name.to_owned(), vec!["x y".to_owned(); n]);
        let error =
            |prompts: &[(String, Vec<String>)]| Content::fit(prompts).unwrap_err().to_string();
        assert!(error(&[few("a", 20)]).contains("at least two routes"));
        assert!(
            error(&[few("a", 3), few("b", 20), few("c", 9)])
                .contains("a, c: fewer than 10 prompts")
        );
        assert!(error(&[few("a", 20), few("a", 20)]).contains("two routes have one name"));
    }
}
