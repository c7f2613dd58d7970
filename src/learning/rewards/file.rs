//! The file of rewards.

use super::{Fault, Part, Verifier};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    reward: Vec<Reward>,
    #[serde(default)]
    penalty: Vec<Penalty>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reward {
    verifier: Option<Verifier>,
    /// A command and its arguments.
    command: Option<Vec<String>>,
    weight: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Penalty {
    fault: Fault,
    weight: f64,
}

/// The parts that a file's text says.
pub fn parts(text: &str) -> Result<Vec<Part>> {
    let file: File = toml::from_str(text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start);
        let line = text[..before].matches('\n').count() + 1;
        anyhow::anyhow!("line {line}: {}", error.message().replace('\n', " "))
    })?;
    ensure!(
        !file.reward.is_empty(),
        "no [[reward]]: answers would all be worth the same"
    );
    let mut parts = Vec::new();
    for (number, reward) in (1..).zip(file.reward) {
        let what = || format!("[[reward]] {number}");
        let weight = reward.weight;
        ensure!(
            weight.is_finite() && weight >= 0.0,
            "{}: weight {weight} is below 0: what is not wanted is a [[penalty]]",
            what()
        );
        parts.push(match (reward.verifier, reward.command) {
            (Some(verifier), None) => Part::Verified(verifier, weight),
            (None, Some(words)) => {
                words
                    .first()
                    .with_context(|| format!("{}: command is empty", what()))?;
                Part::Command(words, weight)
            }
            _ => bail!("{}: give verifier or command, one of them", what()),
        });
    }
    for (number, Penalty { fault, weight }) in (1..).zip(file.penalty) {
        ensure!(
            weight.is_finite() && weight <= 0.0,
            "[[penalty]] {number}: weight {weight} is above 0: it would pay for what is not wanted"
        );
        parts.push(Part::Punished(fault, weight));
    }
    Ok(parts)
}
