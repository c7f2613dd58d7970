//! Points of a sweep: each answers the rows of gates, and the answers are scored. The base is loaded once.

use super::config::Config;
use super::loaded::Loaded;
use super::routing;
use super::rows::named;
use crate::adapters::bank::Mixture;
use crate::data::record;
use crate::eval::gates::{Gate, pareto};
use crate::eval::sweep::{Measured, Outcome, Point, baseline};
use crate::generation::cache::Cache;
use crate::generation::constraint::Grammar;
use crate::generation::sampler::SamplerConfig;
use crate::generation::sequence::{Answer, Finish};
use crate::generation::usage::Usage;
use crate::router::Decision;
use crate::run::observer::Observer;
use anyhow::Result;
use std::path::Path;
use std::sync::Arc;

/// What points are measured with.
pub struct Sweep<'a> {
    pub config: &'a Config,
    pub loaded: &'a Loaded,
    /// The file of the gates.
    pub file: &'a Path,
    /// Rows of each gate that every point is measured on first. All rows are for those that no other point beats there.
    pub limit: Option<usize>,
    pub observer: &'a dyn Observer,
}

/// What a gate's rows are asked.
struct Set {
    /// Tokens of each row.
    prompts: Vec<Vec<u32>>,
    /// What the router says of each row; empty without one.
    decisions: Vec<Decision>,
    /// What each row's answer is held to; empty where none is held to anything.
    grammars: Vec<Option<Arc<dyn Grammar>>>,
}

/// What all points are answered over, and what it took so far.
struct Work {
    cache: Cache,
    usage: Usage,
}

impl Sweep<'_> {
    /// Measures `points` on `gates`; what it took, too.
    pub fn measure(&self, points: Vec<Point>, gates: &mut [Gate]) -> Result<(Outcome, Usage)> {
        let sets = self.sets(gates)?;
        // Beginnings that rows share are computed once a point.
        let all: Vec<Vec<u32>> = sets.iter().flat_map(|set| set.prompts.clone()).collect();
        let engine = self.loaded.engine(None, SamplerConfig::default());
        let which: Vec<usize> = (0..all.len()).collect();
        let mut work = Work {
            cache: self.loaded.cache(&engine, &all, &which, self.observer)?,
            usage: Usage::default(),
        };
        let subset = |gate: &Gate| -> Vec<usize> {
            let all = gate.examples.len();
            let some = self.limit.map_or(all, |limit| all.min(limit));
            (0..some).map(|i| i * all / some).collect()
        };
        let proxy: Vec<Vec<usize>> = gates.iter().map(subset).collect();
        let mut measured = Vec::new();
        for point in &points {
            let mut found = Measured::new(gates.len());
            self.answer(point, &proxy, &sets, gates, &mut found, &mut work)?;
            measured.push(found);
        }
        let rest = |gate: usize| {
            let all = 0..gates[gate].examples.len();
            all.filter(|row| proxy[gate].binary_search(row).is_err())
                .collect()
        };
        let rest: Vec<Vec<usize>> = (0..gates.len()).map(rest).collect();
        if rest.iter().any(|rows| !rows.is_empty()) {
            let values: Vec<_> = measured.iter().map(|found| found.values(gates)).collect();
            let mut front = pareto(&values);
            if gates.iter().any(|gate| gate.spec.needs_baseline()) {
                // Gates compare the others with it.
                baseline(&points)
                    .into_iter()
                    .for_each(|base| front[base] = true);
            }
            self.observer.note(format_args!(
                "{} of {} points go on to all rows",
                front.iter().filter(|on| **on).count(),
                points.len()
            ));
            for ((point, found), _) in points
                .iter()
                .zip(&mut measured)
                .zip(front)
                .filter(|(_, on)| *on)
            {
                self.answer(point, &rest, &sets, gates, found, &mut work)?;
            }
        }
        Ok((Outcome::of(points, measured, gates)?, work.usage))
    }

    fn sets(&self, gates: &[Gate]) -> Result<Vec<Set>> {
        let (config, loaded) = (self.config, self.loaded);
        let router = loaded.router(config)?;
        let mut wanted = config.columns.wanted();
        let mut sets = Vec::new();
        for gate in gates {
            let lines = gate.lines();
            lines.iter().for_each(|line| wanted.look(line));
            let turns = record::prompts(&gate.data, &lines, &config.columns)?;
            let decisions = match &router {
                Some(router) => config.routing.decide(router, &gate.data, &lines, &turns)?,
                None => Vec::new(),
            };
            if router.is_some() {
                self.observer.note(format_args!(
                    "{}: {}",
                    gate.spec.name,
                    routing::summary(&decisions)
                ));
            }
            let constraints = (config.constrain).read(&gate.data, &lines, &turns, self.observer)?;
            sets.push(Set {
                grammars: constraints.grammars(&loaded.base.tokenizer)?,
                prompts: loaded.prompts(&gate.data, &lines, &turns, self.observer)?,
                decisions,
            });
        }
        wanted.refuse(self.file)?;
        Ok(sets)
    }

    /// Answers some rows of every gate in one pass, and scores them.
    fn answer(
        &self,
        point: &Point,
        rows: &[Vec<usize>],
        sets: &[Set],
        gates: &mut [Gate],
        found: &mut Measured,
        work: &mut Work,
    ) -> Result<()> {
        let loaded = self.loaded;
        let (mut prompts, mut decisions, mut grammars) = (Vec::new(), Vec::new(), Vec::new());
        for (set, rows) in sets.iter().zip(rows) {
            prompts.extend(rows.iter().map(|&row| set.prompts[row].clone()));
            if !set.grammars.is_empty() {
                grammars.extend(rows.iter().map(|&row| set.grammars[row].clone()));
            }
            if point.weights.is_none() {
                decisions.extend(rows.iter().map(|&row| set.decisions[row].clone()));
            }
        }
        if prompts.is_empty() {
            return Ok(());
        }
        let adapters = match &point.weights {
            None => Some(loaded.routed(&decisions)),
            Some(weights) => {
                let own = loaded.mixture.0.iter().zip(weights);
                let parts = own.map(|(&(member, own), weight)| (member, own * weight));
                loaded.mixed(Mixture(parts.collect()))
            }
        };
        let mut engine = loaded.engine(adapters, SamplerConfig::default());
        engine.grammars = grammars;
        let (answers, usage) = engine.generate_over(&mut work.cache, &prompts)?;
        work.usage += usage;
        let freed = answers.iter().filter(|answer| answer.freed).count();
        if freed > 0 {
            self.observer.note(format_args!(
                "{}: constraint: {freed} rows left without it",
                point.name
            ));
        }
        let mut answers = answers.into_iter();
        for (at, (gate, rows)) in gates.iter_mut().zip(rows).enumerate() {
            let answers: Vec<_> = rows.iter().copied().zip(answers.by_ref()).collect();
            let broken = answers
                .iter()
                .filter(|(_, answer)| answer.finish == Finish::Error);
            let broken: Vec<String> = broken
                .map(|(row, _)| gate.examples[*row].place(&gate.data))
                .collect();
            if !broken.is_empty() {
                self.observer.note(format_args!(
                "warning: {}: {}: no answer, and so not right, for logits that are no numbers: {}",
                point.name,
                gate.spec.name,
                named(&broken)
            ));
            }
            // Without an answer a row is not right.
            let text = |(row, answer): (usize, Answer)| (row, answer.text.unwrap_or_default());
            found.add(
                at,
                gate.score(&answers.into_iter().map(text).collect::<Vec<_>>())?,
            );
        }
        self.observer
            .note(format_args!("{}: {}", point.name, found.line(gates)));
        Ok(())
    }
}
