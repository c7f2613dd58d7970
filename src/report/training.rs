//! How the training went: its losses as a picture in the page's colours, and in a few numbers.

use super::curve;
use super::fact::{Fact, State};
use super::folder::Folder;
use super::say;
use serde::{Deserialize, Serialize};

const METRICS: &str = "metrics.jsonl";

/// How the training went.
#[derive(Debug, Serialize)]
pub struct Training {
    /// The losses, as SVG.
    pub picture: Option<String>,
    pub facts: Vec<(&'static str, Fact)>,
    /// Why there is no picture.
    pub none: Option<Fact>,
}

#[derive(Deserialize)]
struct Step {
    step: usize,
    loss: f64,
    val_loss: Option<f64>,
    tokens_per_s: Option<f64>,
}

/// By metrics.jsonl. `trained` tells whether the run has a training at all.
pub fn training(folder: &mut Folder, trained: bool) -> Training {
    let none = |fact| Training {
        picture: None,
        facts: Vec::new(),
        none: Some(fact),
    };
    if !trained && !folder.has(METRICS) {
        return none(Fact::none(
            State::NotApplicable,
            "nothing was trained in this run",
        ));
    }
    let lines = folder.lines(METRICS);
    let steps: Vec<Step> = lines
        .into_iter()
        .filter_map(|line| serde_json::from_value(line).ok())
        .collect();
    let Some(last) = steps.last() else {
        return none(Fact::none(State::Missing, "metrics.jsonl has no losses"));
    };
    let tail = &steps[steps.len() - steps.len().div_ceil(10)..];
    let mean =
        |steps: &[Step]| steps.iter().map(|step| step.loss).sum::<f64>() / steps.len() as f64;
    let best = steps
        .iter()
        .filter_map(|step| Some((step.val_loss?, step.step)));
    let best = best.min_by(|a, b| a.0.total_cmp(&b.0));
    let mut rates: Vec<f64> = steps.iter().filter_map(|step| step.tokens_per_s).collect();
    rates.sort_by(f64::total_cmp);
    let mut facts = vec![
        ("steps", Fact::measured(last.step.to_string())),
        (
            "loss of the first step",
            Fact::measured(say::value(steps[0].loss)),
        ),
        (
            "loss, mean of the last tenth",
            Fact::derived(say::value(mean(tail))),
        ),
    ];
    facts.extend(best.map(|(loss, step)| {
        (
            "least validation loss",
            Fact::measured(format!("{} after step {step}", say::value(loss))),
        )
    }));
    facts.extend(rates.get(rates.len() / 2).map(|rate| {
        (
            "tokens a second, median",
            Fact::derived(format!("{rate:.0}")),
        )
    }));
    match curve::svg(&folder.at(METRICS)) {
        Ok(picture) => Training {
            picture: Some(themed(&picture)),
            facts,
            none: None,
        },
        Err(error) => Training {
            facts,
            ..none(Fact::none(State::Missing, &format!("{error:#}")))
        },
    }
}

/// A picture of plotters in the page's colours: white is nothing, black is the text's.
fn themed(svg: &str) -> String {
    svg.replace("\"#FFFFFF\"", "\"none\"")
        .replace("\"#000000\"", "\"currentColor\"")
        .replace("\"#0000FF\"", "\"var(--accent)\"")
        .replace("\"#FF0000\"", "\"var(--bad)\"")
}
