//! The steps of a run: which rows are drawn, which groups are learned from, and what is told of them.

use super::collect::Collector;
use super::config::{ALIKE, Config};
use super::group::Group;
use super::kept::{Answer, Kept, Line, One, Played};
use super::told::told;
use crate::adapters::lora::Adapter;
use crate::learning::draw;
use crate::model::load::Base;
use crate::training::batching::steps;
use crate::training::lessons::{Lessons, Metrics, Nothing};
use crate::training::objective::Objective;
use crate::training::objective::policy::{Policy, Rollout};
use crate::training::sft::Example;
use crate::training::trainer::log_probabilities;
use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::time::Instant;

/// The run's lessons.
pub struct Practice<'a> {
    config: &'a Config,
    base: &'a Base,
    /// The adapter whose divergence counts.
    reference: Option<Adapter>,
    collector: Collector<'a>,
    kept: Kept,
    /// The rows of each turn.
    turns: Vec<Vec<usize>>,
    steps: usize,
    /// The answers of the turn that are learned from, group by group.
    examples: Vec<Example>,
    /// Rows of a pass.
    passes: Vec<Vec<usize>>,
    /// Which turn they are of.
    turn: Option<usize>,
    objective: Policy,
    metrics: Metrics,
    /// When the step's updates began.
    updating: Instant,
    /// Turns in a row without anything to learn.
    alike: usize,
}

impl<'a> Practice<'a> {
    pub fn new(
        config: &'a Config,
        base: &'a Base,
        heads: &[Example],
        reference: Option<Adapter>,
        collector: Collector<'a>,
        kept: Kept,
    ) -> Result<Self> {
        let train = &config.sft.train;
        let heads: Vec<&Example> = heads.iter().collect();
        let turns: Vec<Vec<usize>> = steps(&heads, train).collect();
        Ok(Self {
            steps: turns.len() * config.iterations,
            turns,
            objective: Policy::new(config.loss.clone()),
            config,
            base,
            reference,
            collector,
            kept,
            examples: Vec::new(),
            passes: Vec::new(),
            turn: None,
            metrics: Metrics::new(),
            updating: Instant::now(),
            alike: 0,
        })
    }

    /// Whether any step had something to learn.
    pub fn taught(&self) -> Result<bool> {
        self.kept.taught()
    }

    /// Draws the answers of `turn`, and keeps them.
    fn draw(&mut self, turn: usize, adapter: &Adapter) -> Result<Vec<Line>> {
        let rows = self.turns[turn].clone();
        let attempts = self.config.resample as u64 + 1;
        let first = turn as u64 * attempts;
        let (mut groups, mut seconds) = self.collector.groups(adapter, &rows, first)?;
        // Others take the place of rows whose answers are all worth the same.
        let mut more = self.others(&rows, turn).into_iter();
        for attempt in 1..attempts {
            let lacking = groups.iter().filter(|group| group.has_spread()).count();
            let lacking = rows.len().saturating_sub(lacking);
            let others: Vec<usize> = more.by_ref().take(lacking).collect();
            if others.is_empty() {
                break;
            }
            let (found, took) = self.collector.groups(adapter, &others, first + attempt)?;
            seconds.generation += took.generation;
            seconds.scoring += took.scoring;
            groups.extend(found);
        }
        self.metrics = told(&groups, seconds);
        let mut room = rows.len();
        let mut lines = Vec::new();
        for group in groups {
            let learned = group.has_spread() && room > 0;
            room -= usize::from(learned);
            lines.extend(self.lines(turn, group, learned)?);
        }
        Ok(lines)
    }

    /// Rows that are not among `rows`, in an order of the turn's own.
    fn others(&self, rows: &[usize], turn: usize) -> Vec<usize> {
        let all = 0..self.collector.prompts.len();
        let mut others: Vec<usize> = all.filter(|row| !rows.contains(row)).collect();
        let seed = draw::seed(self.config.sampler.seed ^ 0x0074_6865_7273, turn as u64);
        others.shuffle(&mut StdRng::seed_from_u64(seed));
        others
    }

    fn lines(&self, turn: usize, group: Group, learned: bool) -> Result<Vec<Line>> {
        let row = group.row;
        let place = self.collector.rows.place(row);
        let mut played = group.played.into_iter();
        let each = group.drawn.into_iter().zip(group.advantages).enumerate();
        each.zip(group.rewards)
            .map(|((sample, (one, advantages)), reward)| {
                Ok(Line {
                    turn,
                    row,
                    // One that is nothing teaches nothing.
                    learned: learned && !one.sample.tokens.is_empty(),
                    reward,
                    drawn: match (&self.collector.stage, played.next()) {
                        (Some(stage), Some((episode, step_rewards))) => {
                            One::Episode(Box::new(Played {
                                step_rewards,
                                advantages,
                                line: stage.line(row, sample, episode, Some(&one.judged))?,
                            }))
                        }
                        _ => One::Answer(Answer {
                            place: place.clone(),
                            passed: one.passed(),
                            failure: one.judged.failure,
                            advantage: advantages.first().copied().unwrap_or_default(),
                            sample: one.sample,
                        }),
                    },
                    old: None,
                })
            })
            .collect()
    }

    /// Makes examples, and the passes that they go through the base in, of what was drawn.
    fn take(&mut self, turn: usize, lines: &[Line]) {
        let prompts = self.collector.prompts;
        let learned = || lines.iter().filter(|line| line.learned);
        let example = |line: &Line| line.drawn.example(&prompts[line.row]);
        self.examples = learned().map(example).collect();
        // A group stays whole in a pass, so that its prompt is computed once.
        self.passes = Vec::new();
        let mut groups = Vec::new();
        for (at, line) in learned().enumerate() {
            if groups.last() != Some(&line.row) {
                if groups.len().is_multiple_of(self.config.sft.train.batch) {
                    self.passes.push(Vec::new());
                }
                groups.push(line.row);
            }
            if let Some(pass) = self.passes.last_mut() {
                pass.push(at);
            }
        }
        self.turn = Some(turn);
    }

    /// log p of the turn's examples under `adapter`.
    fn log_p(&self, adapter: &Adapter) -> Result<impl Iterator<Item = Vec<f32>> + use<>> {
        let batch = self.config.sft.train.batch * self.config.sampler.samples;
        let decoder = &self.base.decoder;
        let found = log_probabilities(decoder, adapter, &self.examples, batch, |_| Ok(()))?;
        Ok(found.into_iter().map(|answer| answer.log_p))
    }

    /// The rollouts of the turn's examples.
    fn rollouts(&self, lines: Vec<Line>) -> Result<Vec<Rollout>> {
        let reference = self.reference.as_ref();
        let mut reference = reference.map(|adapter| self.log_p(adapter)).transpose()?;
        let learned = lines.into_iter().filter(|line| line.learned);
        let rollouts = learned.map(|line| Rollout {
            advantage: line.drawn.advantage(),
            reference: reference.as_mut().and_then(Iterator::next),
            sampled: Some(line.drawn.logprobs().to_vec()),
            old: line.old,
        });
        Ok(rollouts.collect())
    }

    /// Takes up `turn`: draws its answers, or has them from the file where a run goes on between two steps on them.
    fn take_up(&mut self, turn: usize, again: bool, adapter: &Adapter) -> Result<()> {
        let lines = match again {
            true => {
                let lines = self.kept.back_to(turn)?;
                // Without this one, which is counted below.
                self.alike = self.kept.alike()?.saturating_sub(1);
                self.take(turn, &lines);
                lines
            }
            false => {
                // Of a run that goes on there may be more than its state knows of.
                if let (None, 1..) = (self.turn, turn) {
                    self.kept.back_to(turn - 1)?;
                    self.alike = self.kept.alike()?;
                }
                let mut lines = self.draw(turn, adapter)?;
                self.take(turn, &lines);
                if self.config.iterations > 1 {
                    let learned = lines.iter_mut().filter(|line| line.learned);
                    for (line, log_p) in learned.zip(self.log_p(adapter)?) {
                        line.old = Some(log_p);
                    }
                }
                self.kept.add(&lines)?;
                lines
            }
        };
        let rollouts = self.rollouts(lines)?;
        self.objective.take(rollouts);
        self.alike = match self.passes.is_empty() {
            true => self.alike + 1,
            false => 0,
        };
        Ok(())
    }

    /// Whether the run ends here. Errors where it has learned nothing.
    fn is_exhausted(&self) -> Result<bool> {
        if self.alike < ALIKE {
            return Ok(false);
        }
        let why = format!(
            "in {ALIKE} steps one after the other no row had answers of different rewards, so there is nothing to learn: \
             all are right or all are wrong (factory headroom says which), or --temperature is too low"
        );
        if !self.taught()? {
            return Err(Nothing(why).into());
        }
        let observer = self.collector.observer;
        observer.note(format_args!("warning: ended before its last step: {why}"));
        Ok(true)
    }
}

impl Lessons for Practice<'_> {
    fn steps(&self) -> usize {
        self.steps
    }

    fn begin(&mut self, step: usize, adapter: &Adapter) -> Result<Option<Vec<Vec<usize>>>> {
        let turn = step / self.config.iterations;
        self.metrics = Metrics::new();
        if self.turn != Some(turn) {
            let again = !step.is_multiple_of(self.config.iterations);
            self.take_up(turn, again, adapter)?;
            if self.is_exhausted()? {
                return Ok(None);
            }
        }
        // The step's size is that of all rows wanted, so that few groups with a spread do not count for more.
        let answers = self.config.sampler.samples * self.turns[turn].len();
        let labels = self.examples.iter().map(Example::labels).sum();
        self.objective.begin(answers, labels);
        self.updating = Instant::now();
        Ok(Some(self.passes.clone()))
    }

    fn example(&self, row: usize) -> &Example {
        &self.examples[row]
    }

    fn objective(&mut self) -> &mut dyn Objective {
        &mut self.objective
    }

    fn metrics(&mut self) -> Metrics {
        let mut all = std::mem::take(&mut self.metrics);
        all.extend(self.objective.metrics());
        all.insert("seconds/update", self.updating.elapsed().as_secs_f64());
        all
    }
}
