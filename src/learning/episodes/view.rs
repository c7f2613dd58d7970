//! An episode as people look at it.

use super::call::{Call, DEFINITIONS, FILTER_TABLES, Outcome};
use super::summary::Line;
use serde::Serialize;

/// An episode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    /// Which it is, and on what.
    pub title: String,
    /// Whether its answer is right.
    pub verdict: &'static str,
    /// `good`, `bad` or `open`, as pages colour it.
    pub tone: &'static str,
    /// How it ended, and what is wrong with its answer.
    pub ended: String,
    pub prompt: String,
    pub turns: Vec<Shown>,
    /// Tokens in all, and those that the model drew.
    pub tokens: usize,
    pub drawn: usize,
}

/// A turn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    pub number: usize,
    /// What was called.
    pub tool: String,
    /// What of, or all that was said where nothing was called.
    pub asked: String,
    /// What was said around a call.
    pub said: String,
    pub outcome: String,
    pub fine: bool,
    pub observed: Option<String>,
}

impl View {
    /// Of episode `number` of `all`.
    pub fn of(line: &Line, number: usize, all: usize) -> Self {
        let id = line.id.as_deref().unwrap_or(&line.place);
        let episode = &line.episode;
        let (verdict, tone) = match line.passed {
            Some(true) => ("right", "good"),
            Some(false) => ("wrong", "bad"),
            None => ("not judged", "open"),
        };
        let why = [&line.failure, &line.error].into_iter().flatten();
        let ended = [episode.end.name().to_owned()];
        let ended: Vec<String> = ended.into_iter().chain(why.cloned()).collect();
        let turns = episode.turns.iter().enumerate().map(|(at, turn)| {
            let repeated = if turn.repeated { ", repeated" } else { "" };
            let fine = turn.outcome == Outcome::Ok;
            Shown {
                number: at + 1,
                tool: turn
                    .call
                    .as_ref()
                    .map_or("no call".to_owned(), |call| call.tool.clone()),
                asked: turn.call.as_ref().map_or(turn.said.clone(), asked),
                said: turn.said.clone(),
                outcome: format!("{}{repeated}", turn.outcome.name()),
                fine: fine && !turn.repeated,
                observed: turn.observed.clone(),
            }
        });
        Self {
            title: format!("Episode {number} of {all}: {id}, database {}", line.db),
            verdict,
            tone,
            ended: ended.join(": "),
            prompt: line.opening.clone(),
            turns: turns.collect(),
            tokens: episode.tokens.len(),
            drawn: episode.written.iter().map(ExactSizeIterator::len).sum(),
        }
    }
}

/// What a call asks for.
fn asked(call: &Call) -> String {
    let text = |name: &str| call.arguments.0.get(name).and_then(|text| text.as_str());
    let known = match call.tool.as_str() {
        DEFINITIONS => Some(call.tables().join(", ")),
        FILTER_TABLES => text("q").map(str::to_owned),
        _ => call.answered().or(call.query()).map(str::to_owned),
    };
    let params = call.arguments.0.get("params").map(ToString::to_string);
    match (known, params) {
        (Some(known), None) => known,
        (Some(known), Some(params)) => format!("{known}\n{params}"),
        (None, _) if call.arguments.0.is_empty() => String::new(),
        (None, _) => serde_json::Value::Object(call.arguments.0.clone()).to_string(),
    }
}
