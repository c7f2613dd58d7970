//! The file of rewards.

use super::steps::{self, Distribution, Steps};
use super::{Config, Fault, Part, Verifier};
use anyhow::{Context, Result, bail, ensure};
use serde::de::value::Error;
use serde::de::{self, DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Deserializer};

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    distribution: Option<Distribution>,
    #[serde(default)]
    reward: Vec<Reward>,
    #[serde(default)]
    penalty: Vec<Penalty>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reward {
    verifier: Option<Of<Verifier, steps::Verifier>>,
    /// A command and its arguments.
    command: Option<Vec<String>>,
    weight: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Penalty {
    fault: Of<Fault, steps::Fault>,
    weight: f64,
}

/// What is said of an answer, or of a turn of an episode.
enum Of<A, T> {
    Answer(A),
    Turn(T),
}

impl<'de, A: DeserializeOwned, T: DeserializeOwned> Deserialize<'de> for Of<A, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let name = || name.as_str().into_deserializer();
        A::deserialize(name())
            .map(Self::Answer)
            .or_else(|answer: Error| {
                let turn = T::deserialize(name()).map(Self::Turn);
                turn.map_err(|turn: Error| {
                    de::Error::custom(format!("{answer}; of a turn: {turn}"))
                })
            })
    }
}

/// What a file's text says.
pub fn read(text: &str) -> Result<Config> {
    let file: File = toml::from_str(text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start);
        let line = text[..before].matches('\n').count() + 1;
        anyhow::anyhow!("line {line}: {}", error.message().replace('\n', " "))
    })?;
    ensure!(
        !file.reward.is_empty(),
        "no [[reward]]: answers would all be worth the same"
    );
    let (mut parts, mut of_turns) = (Vec::new(), Vec::new());
    for (number, reward) in (1..).zip(file.reward) {
        let what = || format!("[[reward]] {number}");
        let weight = reward.weight;
        ensure!(
            weight.is_finite(),
            "{}: weight {weight} is no number",
            what()
        );
        ensure!(
            weight >= 0.0,
            "{}: weight {weight} is below 0: what is not wanted is a [[penalty]]",
            what()
        );
        match (reward.verifier, reward.command) {
            (Some(Of::Answer(verifier)), None) => parts.push(Part::Verified(verifier, weight)),
            (Some(Of::Turn(verifier)), None) => {
                of_turns.push(steps::Part::Verified(verifier, weight));
            }
            (None, Some(words)) => {
                words
                    .first()
                    .with_context(|| format!("{}: command is empty", what()))?;
                parts.push(Part::Command(words, weight));
            }
            _ => bail!("{}: give verifier or command, one of them", what()),
        }
    }
    for (number, Penalty { fault, weight }) in (1..).zip(file.penalty) {
        ensure!(
            weight.is_finite(),
            "[[penalty]] {number}: weight {weight} is no number"
        );
        ensure!(
            weight <= 0.0,
            "[[penalty]] {number}: weight {weight} is above 0: it would pay for what is not wanted"
        );
        match fault {
            Of::Answer(fault) => parts.push(Part::Punished(fault, weight)),
            Of::Turn(fault) => of_turns.push(steps::Part::Punished(fault, weight)),
        }
    }
    ensure!(
        !of_turns.is_empty() || file.distribution.is_none(),
        "distribution says whom the rewards of turns concern, and there are none"
    );
    Ok(Config {
        parts,
        steps: Steps {
            parts: of_turns,
            distribution: file.distribution.unwrap_or_default(),
        },
        path: None,
    })
}
