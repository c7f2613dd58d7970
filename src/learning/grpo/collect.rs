//! Groups of answers under the adapter as it is, judged while others are still drawn.

use super::config::Config;
use super::episodes::{Play, in_any_memory};
use super::group::{Group, Seconds};
use crate::adapters::lora::Adapter;
use crate::adapters::ngrams::Ngrams;
use crate::answering::policy::Policy;
use crate::generation::sampler::SamplerConfig;
use crate::generation::stop::StopConfig;
use crate::learning::draw::{self, Sample};
use crate::learning::episodes::stage::Stage;
use crate::learning::rewards::Rewards;
use crate::learning::rollouts;
use crate::learning::rows::Rows;
use crate::learning::verdicts::Scorer;
use crate::model::load::Base;
use crate::run::observer::Observer;
use crate::training::objective::policy::Kind;
use anyhow::{Context, Result, anyhow};
use std::fmt::Arguments;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What draws and judges.
pub struct Collector<'a> {
    pub config: &'a Config,
    pub base: &'a Base,
    pub rows: &'a Rows,
    /// Token ids, one prompt a row.
    pub prompts: &'a [Vec<u32>],
    pub ngrams: Option<&'a Ngrams>,
    pub stop: StopConfig,
    /// Where the answers are those of episodes.
    pub stage: Option<Stage<'a>>,
    pub scorer: Scorer,
    pub rewards: Rewards,
    pub observer: &'a dyn Observer,
}

/// How often who waits for the judge looks whether the work shall stop.
const LOOK: Duration = Duration::from_millis(5);

/// A judge hears no remark. It is stopped by there being nothing more, and where this says so.
struct Judging<'a>(&'a AtomicBool);

impl Observer for Judging<'_> {
    fn note(&self, _: Arguments) {}

    fn stops(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Collector<'_> {
    /// The groups of `which` rows under `adapter`, in their order. What is drawn follows from `turn`, the row and the run's seed alone.
    pub fn groups(
        &mut self,
        adapter: &Adapter,
        which: &[usize],
        turn: u64,
    ) -> Result<(Vec<Group>, Seconds)> {
        let policy = Policy::new(self.base, adapter, self.ngrams)?;
        let sampler = &self.config.sampler;
        let sampler = SamplerConfig {
            seed: draw::seed(sampler.seed, turn),
            ..sampler.clone()
        };
        let engine = |sampler, stop| in_any_memory(policy.engine(sampler, stop));
        let loss = self.config.loss.loss;
        if let Some(stage) = &self.stage {
            let mut play = Play {
                stage,
                rows: self.rows,
                scorer: &mut self.scorer,
                rewards: &mut self.rewards,
                loss,
                observer: self.observer,
            };
            return play.groups(&engine, which, &sampler);
        }
        let engine = engine(sampler, self.stop.clone());
        let places = draw::places(which, self.config.sampler.samples);
        let asked = draw::repeated(self.prompts, which, self.config.sampler.samples);
        let mut cache = engine.cache(&asked, &places, None)?;
        let (prompts, observer, rows) = (self.prompts, self.observer, self.rows);
        let (scorer, rewards) = (&mut self.scorer, &mut self.rewards);
        let begun = Instant::now();
        let stopped = AtomicBool::new(false);
        let (to_judge, drawn) = channel();
        let (generation, judged) = thread::scope(|scope| {
            let judging =
                scope.spawn(|| judge((scorer, rewards), rows, loss, drawn, &Judging(&stopped)));
            let generated =
                draw::each(&engine, &mut cache, prompts, which, observer, |row, own| {
                    to_judge
                        .send((row, own))
                        .map_err(|_| anyhow!("answers could not be judged"))
                });
            drop(to_judge);
            let generation = begun.elapsed().as_secs_f64();
            while !judging.is_finished() {
                stopped.fetch_or(observer.stops(), Ordering::Relaxed);
                thread::sleep(LOOK);
            }
            let judged = judging.join().map_err(|_| anyhow!("the judge panicked"));
            // Why answers cannot be judged says more than that they could not.
            let judged = judged.and_then(|judged| judged);
            match (generated, judged) {
                (_, Err(error)) => Err(error),
                (Err(error), _) => Err(error),
                (Ok(_), Ok(judged)) => Ok((generation, judged)),
            }
        })?;
        let (mut groups, scoring) = judged;
        groups.sort_by_key(|group| which.iter().position(|row| *row == group.row));
        Ok((
            groups,
            Seconds {
                generation,
                scoring,
            },
        ))
    }
}

/// Judges what comes, row by row; the groups and the seconds that it took.
fn judge(
    (scorer, rewards): (&mut Scorer, &mut Rewards),
    rows: &Rows,
    loss: Kind,
    samples: Receiver<(usize, Vec<Sample>)>,
    observer: &Judging,
) -> Result<(Vec<Group>, f64)> {
    let (mut groups, mut seconds) = (Vec::new(), 0.0);
    for (row, samples) in samples {
        let begun = Instant::now();
        let samples = samples.into_iter().map(|sample| (row, sample));
        let drawn = rollouts::drawn(scorer, samples.collect(), observer)?;
        let own = rows.rows.get(row).context("a row that is not there")?;
        let worth = rewards.of(own, &drawn, &[], observer)?;
        groups.push(Group::of_answers(row, drawn, worth, loss));
        seconds += begun.elapsed().as_secs_f64();
    }
    Ok((groups, seconds))
}
