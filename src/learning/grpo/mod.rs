//! Learning from rewards: answers are drawn in groups, judged, and the better ones of a group made likelier than the others.

mod collect;
pub mod config;
mod episodes;
mod group;
mod kept;
mod lengths;
mod practice;
mod told;

use super::episodes::protocol::Protocol;
use super::episodes::tasks::Question;
use super::rewards::Rewards;
use super::rows::Rows;
use super::verdicts::Scorer;
use crate::adapters::ngrams::Ngrams;
use crate::answering::trained;
use crate::answering::trial;
use crate::data::asking::Asking;
use crate::data::template::Renderer;
use crate::generation::stop::StopConfig;
use crate::model::place::Place;
use crate::run::observer::Observer;
use crate::session::compared::{Begun, Opened};
use crate::session::config::Config as RunConfig;
use crate::session::recompute;
use crate::session::run::{Draw, Session};
use crate::session::selection::Asking as Asked;
use crate::training::config::TrainConfig;
use crate::training::lessons::Lessons;
use crate::training::sft::Example;
use anyhow::Result;
use collect::Collector;
use config::Config;
use episodes::Player;
use kept::Kept;
use practice::Practice;

/// Trains an adapter at `place` and writes its folder.
pub fn train(
    config: &Config,
    run: &RunConfig,
    place: &Place,
    observer: &dyn Observer,
    draw: Draw,
) -> Result<()> {
    config.check()?;
    let sft = &config.sft;
    let opened = Opened::new(sft, run)?;
    let template = opened.template;
    let mut rows = Rows::read(&sft.data, &sft.columns, config.databases.home.unnamed())?;
    let mut scorer = Scorer::open(
        &mut rows,
        &config.databases,
        config.now,
        config.keep_going,
        observer,
    )?;
    let rewards = Rewards::open(&config.rewards)?;
    let tools = config.tools.as_ref();
    let tools = tools.map(|setup| anyhow::Ok((setup, Protocol::of(template)?)));
    // Before the base is loaded.
    let tools = tools.transpose()?;
    tools.map(|(setup, _)| setup.knowledge()).transpose()?;
    let asking = match tools {
        // Nothing is asked as the rows are.
        Some(_) => None,
        None => Asking::of_file(&sft.data, &sft.columns)?,
    };
    let begun = opened.begin(sft, run, place, observer)?;
    let settings = begun.settings(sft, run, template, &config.settings(run.guards))?;
    let Begun {
        mut folder,
        mut base,
        mut adapter,
        start,
    } = begun;
    // As answers are drawn.
    base.decoder.temperature = config.sampler.temperature;
    let renderer = Renderer::new(template, &base.tokenizer)?;
    trained::remark(&renderer, observer);
    let stop = StopConfig {
        max_tokens: config.max_tokens,
        ..StopConfig::default()
    };
    let (lines, _) = rows.asked();
    let home = (&config.databases.home, config.databases.rules.follow_links);
    let stage = tools.map(|(setup, protocol)| {
        let questions = Question::of_rows(&rows)?;
        setup.stage(questions, home, protocol, &renderer, observer)
    });
    let stage = stage.transpose()?;
    let prompts = match &stage {
        Some(stage) => stage.prompts(),
        None => trial::rendered(&renderer, &sft.data, &lines, &sft.columns)?,
    };
    let prompts = lengths::held(&prompts, config, (&mut rows, &mut scorer), observer)?;
    trial::check(&base, &sft.data, &rows.asked().0, &prompts, &stop)?;
    let heads: Vec<Example> = prompts
        .iter()
        .map(|prompt| Example::new(prompt, &[]))
        .collect();
    // A pass holds the longest groups at worst.
    let most = base.decoder.config.max_position_embeddings;
    let longest = prompts.iter().map(|prompt| {
        let answer = match tools {
            Some((setup, _)) => setup
                .play
                .longest(prompt.len(), most)
                .saturating_sub(prompt.len()),
            None => config.max_tokens,
        };
        Example::new(prompt, &vec![0; answer])
    });
    let longest: Vec<Example> = longest.collect();
    let passes = TrainConfig {
        batch: sft.train.batch * config.sampler.samples,
        ..sft.train.clone()
    };
    base.decoder.recompute =
        recompute::decide(&base.decoder, &adapter.config, &longest, &passes, observer);
    let ngrams = match &sft.init {
        Some(init) if run.ngrams => Ngrams::read(init, &adapter, &base.decoder)?,
        _ => None,
    };
    let mut practice = Practice::new(
        config,
        &base,
        &heads,
        (config.loss.beta > 0.0).then(|| adapter.clone()),
        Collector {
            config,
            base: &base,
            rows: &rows,
            prompts: &prompts,
            ngrams: ngrams.as_ref(),
            stop,
            stage,
            scorer,
            rewards,
            observer,
        },
        Kept::new(folder.path()),
    )?;
    let places: Vec<String> = (0..rows.rows.len()).map(|row| rows.place(row)).collect();
    observer.note(format_args!(
        "{} rows, {} of them a step with {} answers each, {} steps",
        heads.len(),
        sft.train.rows_per_step().min(heads.len()),
        config.sampler.samples,
        practice.steps(),
    ));
    let player = tools.map(|(setup, protocol)| Player {
        setup,
        base: &base,
        protocol,
        renderer: &renderer,
        observer,
    });
    let asked = player.map(|player| move |config: &_, gate: &_| player.answers(config, gate));
    let session = Session {
        command: "grpo",
        config: run,
        base: &base,
        renderer: &renderer,
        examples: &heads,
        places: &places,
        validation: None,
        train: &sft.train,
        settings,
        // What it diverges from, and what answers are worth.
        rests_on: vec![
            start,
            rows.sha256.clone(),
            serde_json::to_string(&config.rewards)?,
        ],
        repair_rows: 0,
        ngrams: ngrams.clone(),
        asking,
        answers: asked.as_ref().map(|asked| asked as Asked),
        observer,
        draw,
    };
    session.run(&mut adapter, &mut practice, &mut folder)?;
    if !practice.taught()? {
        observer.note(format_args!(
            "nothing was learned: in no step had a row answers of different rewards (factory headroom says whether all are right or all wrong)"
        ));
    }
    folder.finish()
}
