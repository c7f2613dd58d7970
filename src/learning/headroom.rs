//! What learning from a model's own samples could gain at most on some rows: drawn, judged, counted.

use super::advice::advice;
use super::kept::{self, Identity, Kept};
use super::rollouts::{Drawn, Group, Rollouts};
use super::rows::{Row, Rows};
use super::standing::Standing;
use super::verdicts::Scorer;
use crate::answering::config::Config;
use crate::answering::constraint::Constraints;
use crate::answering::fields::{CHOICE, FINISH, LOGPROB, OUT_FIELD, VOTES, WITHHELD};
use crate::answering::loaded::Loaded;
use crate::answering::rows::repeated;
use crate::answering::{identity, routing};
use crate::data::jsonl::{self, Line};
use crate::db::sqlite::Now;
use crate::eval::databases::Databases;
use crate::eval::example::{ABSTAINED, CONFIDENCE, SAMPLES};
use crate::eval::slices;
use crate::generation::engine::{Adapters, Engine};
use crate::generation::sampler::SamplerConfig;
use crate::model::place::Place;
use crate::run::files::{check_apart, check_writable, json, write_atomic};
use crate::run::observer::Observer;
use crate::run::usage::UsageError;
use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The verdict on the greedy answer of a row, and how its samples fared.
pub const VERDICT: &str = "_verdict";

/// Which rows are looked at, and how.
pub struct Job {
    /// Rows with a prompt, a reference and a database (JSONL).
    pub data: PathBuf,
    /// The rows with their samples and verdicts. Until all are there they are kept beside it.
    pub out: Option<PathBuf>,
    /// Whether to go on with an interrupted run of the same job.
    pub resume: bool,
    /// What was found, as JSON.
    pub summary_out: Option<PathBuf>,
    /// How samples are drawn, the greedy answer as the first of them.
    pub sampler: SamplerConfig,
    pub databases: Databases,
    /// The time of day that all queries see [default: that of the run that is gone on with, else the present one].
    pub now: Option<Now>,
    /// Whether rows whose reference fails are left out.
    pub keep_going: bool,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Headroom {
    pub temperature: f64,
    pub top_p: f64,
    pub seed: u64,
    /// The time of day that all queries saw.
    pub now: Now,
    pub overall: Standing,
    /// By what is asked: domain, curriculum, the rows' own slices, what the reference does.
    pub slices: BTreeMap<String, Standing>,
    /// What that means for ways to learn.
    pub advice: String,
}

impl Job {
    /// Draws and judges as `config` says, at `place`, and writes what is to be written.
    pub fn run(&self, config: &Config, place: &Place, observer: &dyn Observer) -> Result<Headroom> {
        let journal = kept::beside(self.out.as_deref(), self.resume)?;
        let outputs = || {
            [&self.out, &self.summary_out, &journal]
                .into_iter()
                .flatten()
        };
        let outputs = || outputs().map(PathBuf::as_path);
        check_apart([self.data.as_path()], outputs()).map_err(UsageError::of)?;
        outputs().try_for_each(check_writable)?;
        let now = kept::time(self.now, journal.as_deref(), self.resume)?;
        let db = self.databases.home.unnamed();
        let mut rows = Rows::read(&self.data, &config.columns, db)?;
        let mut scorer = Scorer::open(&mut rows, &self.databases, now, self.keep_going, observer)?;
        let judged = (&mut scorer, now, journal.as_deref());
        let (groups, kept) = self.draw(&rows, judged, config, place, observer)?;
        let found = self.found(&rows, &groups, now);
        if let Some(path) = &self.out {
            let lines: Vec<Line> = rows
                .rows
                .iter()
                .zip(&groups)
                .map(|(row, group)| written(row, group))
                .collect();
            write_atomic(path, &jsonl::to_bytes(&lines)?)?;
        }
        if let Some(path) = &self.summary_out {
            write_atomic(path, &json(&found)?)?;
        }
        kept.map(Kept::end).transpose()?;
        Ok(found)
    }

    /// What the groups depend on that `engine` draws of rows, and that are judged at the time of day `now`.
    fn identity(
        &self,
        engine: &Engine,
        (lines, prompts): (&[Line], &[Vec<u32>]),
        constraints: &Constraints,
        now: Now,
    ) -> Result<Identity> {
        let mut identity = identity::of(engine, lines, prompts)?;
        identity.extend(kept::judged(&self.databases, now));
        // Over weights that are not quantized another batch may draw otherwise.
        identity.insert("--batch".to_owned(), engine.batch.into());
        if let Some(constraint) = constraints.identity() {
            identity.insert("--constrain".to_owned(), constraint);
        }
        Ok(identity)
    }

    fn draw(
        &self,
        rows: &Rows,
        (scorer, now, journal): (&mut Scorer, Now, Option<&Path>),
        config: &Config,
        place: &Place,
        observer: &dyn Observer,
    ) -> Result<(Vec<Group>, Option<Kept>)> {
        let samples = self.sampler.samples;
        let (lines, turns) = rows.asked();
        let constraints = (config.constrain).read(&self.data, &lines, &turns, observer)?;
        let loaded = Loaded::load(config, place, observer)?;
        let prompts = loaded.prompts(&self.data, &lines, &turns, observer)?;
        let adapters = match loaded.router(config)? {
            None => loaded.mixed(loaded.mixture.clone()),
            Some(router) => {
                let decided = config.routing.decide(&router, &self.data, &lines, &turns)?;
                observer.note(format_args!("{}", routing::summary(&decided)));
                let all = loaded.routed(&decided);
                let choice = repeated(&all.choice, samples);
                Some(Adapters { choice, ..all })
            }
        };
        let mut engine = loaded.engine(adapters, self.sampler.clone());
        engine.grammars = repeated(&constraints.grammars(engine.tokenizer)?, samples);
        let rollouts = Rollouts {
            rows,
            prompts: &prompts,
            engine: &engine,
            kv_memory: loaded.kv_memory,
            observer,
        };
        let opened = journal.map(|path| {
            let identity = self.identity(&engine, (&lines, &prompts), &constraints, now)?;
            Kept::open(path, &identity, self.resume, observer)
        });
        let (mut kept, done) = opened.transpose()?.unzip();
        let drawn = rollouts.run(scorer, done.unwrap_or_default(), |part| match &mut kept {
            Some(kept) => kept.add(part),
            None => Ok(()),
        });
        match (drawn, kept) {
            (Ok(groups), kept) => Ok((groups, kept)),
            (Err(error), Some(kept)) => Err(kept.stopped(error, prompts.len())),
            (Err(error), None) => Err(error),
        }
    }

    fn found(&self, rows: &Rows, groups: &[Group], now: Now) -> Headroom {
        let mut slices: BTreeMap<String, Vec<&Group>> = BTreeMap::new();
        for (row, group) in rows.rows.iter().zip(groups) {
            for name in slices::asked(&row.example) {
                slices.entry(name).or_default().push(group);
            }
        }
        let overall = Standing::of(&groups.iter().collect::<Vec<_>>());
        let slices = slices.into_iter();
        Headroom {
            temperature: self.sampler.temperature,
            top_p: self.sampler.top_p,
            seed: self.sampler.seed,
            now,
            advice: advice(&overall),
            overall,
            slices: slices
                .map(|(name, groups)| (name, Standing::of(&groups)))
                .collect(),
        }
    }
}

/// A row with its greedy answer, its samples and the verdicts on them, as `generate --samples` writes rows.
pub(super) fn written(row: &Row, group: &Group) -> Line {
    let mut line = row.line.clone();
    // What a former answer left there would be wrong.
    let former = [
        FINISH, LOGPROB, CONFIDENCE, VOTES, CHOICE, ABSTAINED, WITHHELD,
    ];
    line.replace(&former, Map::new());
    line.set(OUT_FIELD, group.greedy.sample.text.clone());
    let samples: Vec<Value> = group.samples.iter().map(sample).collect();
    line.set(SAMPLES, samples);
    let mut verdict = judged(&group.greedy);
    verdict.insert("right_samples".to_owned(), group.right().into());
    line.set(VERDICT, verdict);
    line
}

fn sample(drawn: &Drawn) -> Value {
    let Drawn { sample, .. } = drawn;
    let logprob = sample.logprob();
    let Value::Object(mut fields) = json!({
        "answer": sample.text,
        "finish": sample.finish.name(),
        // With six decimals: what stands behind them differs with the batch.
        "logprob": logprob.map(|p| (p * 1e6).round() / 1e6),
    }) else {
        unreachable!("the literal is an object");
    };
    fields.extend(judged(drawn));
    fields.into()
}

fn judged(drawn: &Drawn) -> Map<String, Value> {
    let judged = &drawn.judged;
    let mut fields = Map::new();
    fields.insert("passed".to_owned(), judged.passed().into());
    if let Some(failure) = &judged.failure {
        fields.insert("failure_type".to_owned(), failure.clone().into());
    }
    if let Some(error) = &judged.error {
        fields.insert("predicted_error".to_owned(), error.clone().into());
    }
    fields
}
