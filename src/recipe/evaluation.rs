//! `eval-baseline.json` and `eval-candidate.json`: one side of the primary gate, with what its stages measured beside the score.

use super::done::Done;
use super::process::quoted;
use super::records::Evaluation;
use crate::eval::judge::{Measured, Verdict};
use regex::Regex;

/// What a side is.
pub struct Side<'a> {
    pub model_id: String,
    pub scored: &'a Done,
    pub answers: Option<&'a Done>,
    pub found: Measured,
    pub passed: Option<bool>,
    /// What else is to be said.
    pub note: Option<&'a str>,
}

/// The record of a side of the gate with this verdict.
pub fn of(side: &Side, verdict: &Verdict) -> Evaluation {
    let mut notes: Vec<String> = side.note.map(str::to_owned).into_iter().collect();
    let mut noted = |value: Option<f64>, what: &str, state: &str, else_state: &str| {
        let state = if value.is_some() { state } else { else_state };
        notes.push(format!("{what}: {state}"));
        value
    };
    let rates = side.answers.and_then(Done::log).and_then(|log| rates(&log));
    let tokens_per_second = noted(
        rates.map(|(_, tokens)| tokens),
        "tokens_per_second",
        "measured while the answers were generated",
        "missing, no stage of this run generated the answers",
    );
    let latency_ms = noted(
        rates
            .filter(|(rows, _)| *rows > 0.0)
            .map(|(rows, _)| (1e6 / rows).round() / 1e3),
        "latency_ms",
        "derived from the rows a second of answering in batches",
        "missing, no stage of this run generated the answers",
    );
    let peak_rss_mb = noted(
        side.answers.and_then(|answers| answers.peak_rss_mb),
        "peak_rss_mb",
        "measured, of the process that generated the answers",
        "missing, it was not measured",
    );
    Evaluation {
        model_id: side.model_id.clone(),
        command: Some(command(side.answers, side.scored)),
        suite: suite(verdict),
        score: Some(side.found.value),
        passed: side.passed,
        date: Some(side.scored.finished.clone()),
        latency_ms,
        peak_rss_mb,
        tokens_per_second,
        notes: notes.join("; "),
        n: Some(side.found.n),
        interval: Some(side.found.interval),
    }
}

/// The record of a side that is not there.
pub fn missing(verdict: &Verdict) -> Evaluation {
    Evaluation {
        model_id: "none".to_owned(),
        command: None,
        suite: suite(verdict),
        score: None,
        passed: None,
        date: None,
        latency_ms: None,
        peak_rss_mb: None,
        tokens_per_second: None,
        notes: format!("missing: gate {} has no baseline", verdict.name),
        n: None,
        interval: None,
    }
}

/// `expanded: factory execution_accuracy`
fn suite(verdict: &Verdict) -> String {
    format!("{}: {} {}", verdict.name, verdict.mode, verdict.metric)
}

/// The commands that give a score, as one line of a shell.
pub fn command(answers: Option<&Done>, scored: &Done) -> String {
    let both = answers
        .into_iter()
        .chain([scored])
        .map(|done| quoted(&done.command));
    both.collect::<Vec<_>>().join(" && ")
}

/// Rows and tokens a second, as `generate` says them at its end.
fn rates(log: &str) -> Option<(f64, f64)> {
    let line = Regex::new(r"([0-9.]+) rows/s, ([0-9.]+) tokens/s; ").ok()?;
    let found = line.captures_iter(log).last()?;
    Some((found[1].parse().ok()?, found[2].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_that_generate_says_last() {
        let log = "8 rows (8 stop), 64 tokens, 2.5 rows/s, 20 tokens/s; 0 rows had a tie\ngoing on\n\
                   16 rows (16 stop), 130 tokens, 4.0 rows/s, 31 tokens/s; 1 rows had a tie (two best logits within 0.001)\n";
        assert_eq!(rates(log), Some((4.0, 31.0)));
        assert_eq!(rates("31 tokens/s"), None);
    }
}
