//! Every gate of a run on its rows, scored again.

use crate::db::sqlite::Now;
use crate::eval::judge::{Verdict, judge, metric};
use crate::eval::score::ScoredRow;
use crate::eval::worker::Setup;
use crate::recipe::done::Done;
use crate::recipe::evidence::{Evidence, GateEvidence};
use crate::recipe::records::{self, Choice, Evaluation, Slice};
use crate::recipe::validate::Records;
use crate::recipe::{rescore, rows};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Most rows of a file that are named.
const NAMED: usize = 5;
/// Two ways to write one number.
const SAME: f64 = 1e-9;

/// How a scoring scored.
pub type SetupOf<'a> = dyn Fn(&Done, usize, Option<Now>) -> Result<Setup> + 'a;

/// How to check.
pub struct Check<'a> {
    /// Whether it is fine that there is no artifact.
    pub report_only: bool,
    /// How a scoring scored: its stage, how many rows, and the time of day that its queries saw, where that is known.
    pub setup: &'a SetupOf<'a>,
    /// What starts a scoring process.
    pub worker: &'a [PathBuf],
}

/// What is wrong with the verdicts and what repeats them.
pub fn scores(
    folder: &Path,
    records: &Records,
    evidence: &Evidence,
    check: &Check,
    faults: &mut Vec<String>,
) {
    let Some(verdicts) = &records.verdicts else {
        return;
    };
    let ships = records
        .decision
        .as_ref()
        .is_some_and(|decision| decision.decision == Choice::Ship);
    let names = |names: Vec<&String>| names.into_iter().cloned().collect::<BTreeSet<String>>();
    let asked = names(evidence.gates.iter().map(|gate| &gate.gate.name).collect());
    if asked != names(verdicts.iter().map(|verdict| &verdict.name).collect()) {
        faults.push("gates.json: it has other gates than evidence.json".to_owned());
    }
    for gate in &evidence.gates {
        let name = &gate.gate.name;
        let verdict = match judge_again(folder, gate, check, faults) {
            Ok(verdict) => verdict,
            Err(error) => {
                faults.push(format!("gate {name} cannot be judged again: {error:#}"));
                continue;
            }
        };
        if ships && !verdict.passed {
            faults.push(format!(
                "ship needs every gate green, and gate {name} fails on the rows of the run"
            ));
        }
        if let Some(said) = verdicts.iter().find(|said| said.name == *name) {
            faults.extend(
                other(said, &verdict).map(|what| format!("gates.json: gate {name}: {what}")),
            );
        }
        let primary = evidence
            .primary()
            .is_ok_and(|primary| primary.gate.name == *name);
        if primary {
            against(records, gate, &verdict, faults);
        }
    }
}

fn judge_again(
    folder: &Path,
    gate: &GateEvidence,
    check: &Check,
    faults: &mut Vec<String>,
) -> Result<Verdict> {
    let name = &gate.gate.name;
    let mut side = |side: &str, done: &Done| -> Result<Vec<ScoredRow>> {
        let file = rows::file(name, side);
        let rows = rows::of_run(folder, name, side)?
            .with_context(|| format!("{} is missing", file.display()))?;
        let setup = (check.setup)(done, rows.len(), rows::scored_at(folder, name, side))?;
        let again = rescore::again(&rows, &setup, check.worker)?;
        let differences = rescore::differences(&rows, &again);
        let more = differences.len().saturating_sub(NAMED);
        for difference in differences.iter().take(NAMED) {
            faults.push(format!("{}: {difference}", file.display()));
        }
        if more > 0 {
            faults.push(format!(
                "{}: {more} more rows score otherwise",
                file.display()
            ));
        }
        Ok(again)
    };
    let candidate = side("candidate", &gate.candidate)?;
    let baseline = gate
        .baseline
        .as_ref()
        .map(|done| side("baseline", done))
        .transpose()?;
    judge(&gate.gate, &candidate, baseline.as_deref())
}

/// What a verdict says otherwise than the one on the rows.
fn other(said: &Verdict, found: &Verdict) -> Option<String> {
    if said == found {
        return None;
    }
    let number = |what: &str, said: f64, found: f64| {
        let differs = (said - found).abs() > SAME;
        differs.then(|| format!("{what} is {said}, and {found} on the rows of the run"))
    };
    let counts = [
        ("passed_rows", said.passed_rows, found.passed_rows),
        ("n", said.n, found.n),
    ];
    let counts = counts
        .into_iter()
        .find_map(|(what, said, found)| number(what, said as f64, found as f64));
    let passed = (said.passed != found.passed).then(|| {
        format!(
            "passed is {}, and {} on the rows of the run",
            said.passed, found.passed
        )
    });
    let rest = || Some("it says something else than the rows of the run".to_owned());
    number("value", said.value, found.value)
        .or(counts)
        .or(passed)
        .or_else(rest)
}

/// The records that repeat the primary gate's numbers.
fn against(records: &Records, gate: &GateEvidence, verdict: &Verdict, faults: &mut Vec<String>) {
    let mut score = |file: &str, evaluation: &Option<Evaluation>, value: Option<f64>| {
        let said = evaluation.as_ref().and_then(|evaluation| evaluation.score);
        if let (Some(said), Some(value)) = (said, value)
            && (said - value).abs() > SAME
        {
            faults.push(format!(
                "{file}: score is {said}, and {value} on the rows of the run"
            ));
        }
    };
    score(records::CANDIDATE, &records.candidate, Some(verdict.value));
    score(
        records::BASELINE,
        &records.baseline,
        verdict.baseline.map(|baseline| baseline.value),
    );
    if let Some(candidate) = &records.candidate
        && candidate.passed != Some(verdict.passed)
    {
        faults.push(format!(
            "eval-candidate.json: passed is not {}",
            verdict.passed
        ));
    }
    let overall: Option<&Slice> = records.slices.as_ref().map(|slices| &slices.overall);
    let mean = metric(&gate.gate.mode, &gate.gate.metric).map(|metric| metric.mean);
    if let (Some(overall), Ok(mean)) = (overall, mean) {
        let said = overall.metrics.get(mean);
        // Four decimals are written.
        if said.is_none_or(|said| (said - verdict.value).abs() > 5e-5 + SAME) {
            faults.push(format!(
                "slice-metrics.json: overall.{mean} is not the {} of the rows of the run",
                verdict.value
            ));
        }
        if overall.rows != verdict.n {
            faults.push(format!(
                "slice-metrics.json: overall.rows is {}, and the gate has {}",
                overall.rows, verdict.n
            ));
        }
    }
}
