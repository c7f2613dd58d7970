//! What to do with a candidate: proposed from the verdicts on its gates by the rules below, or decided by a person.

use super::clock::now;
use super::evidence::Evidence;
use super::records::{self, Artifact, Choice, Confidence, Decision, Overruled};
use super::rows;
use crate::eval::judge::{Role, Verdict};
use crate::eval::summary::failures;
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Fewer rows than that decide nothing.
const LEAST_ROWS: usize = 20;
/// A difference with a smaller p is no chance.
const SURE: f64 = 0.05;
/// The recipe that a run leaves for the next one.
pub const NEXT: &str = "next/next.toml";

/// What is known of a run beside the verdicts.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Where what would be shipped is.
    pub package: Option<String>,
    /// Whether only a base was measured.
    pub baseline_only: bool,
    /// Rows of the primary gate whose reference query fails.
    pub broken_references: usize,
    /// Failures of the primary gate by kind, the most frequent first.
    pub failures: Vec<(String, usize)>,
    /// The recipe to go on with.
    pub next: Option<String>,
}

/// Proposes by the first rule that fits; the first gate of the primary role, else the first, is the primary one.
///
/// 1. Every gate passes and there is something to ship: ship.
/// 2. Only a base was measured, or every gate passes and nothing is there to ship: park.
/// 3. Reference queries fail, or the primary gate has fewer than 20 rows: retry-eval.
/// 4. The primary gate passes and another does not: retry-data, for what was unlearned.
/// 5. The candidate passes fewer rows than the baseline: reject.
/// 6. It is surely better than the baseline, or there is none: retry-data, for the failures that are left.
/// 7. Its difference may be chance: retry-training.
pub fn propose(verdicts: &[Verdict], facts: &Facts) -> Decision {
    let red: Vec<&Verdict> = verdicts.iter().filter(|verdict| !verdict.passed).collect();
    let primary = verdicts
        .iter()
        .find(|verdict| verdict.role == Role::Primary)
        .or(verdicts.first());
    let mut decision = Decision {
        decision: Choice::Park,
        reason: String::new(),
        failure_reason: None,
        failure_reason_confidence: Confidence::NotApplicable,
        lesson: None,
        next_action: String::new(),
        evidence_sources: evidence_sources(verdicts),
        blocked_by: red.iter().map(|verdict| blocker(verdict)).collect(),
        overruled: None,
    };
    let mut say = |choice, reason: String, confidence, next: String| {
        decision.decision = choice;
        decision.reason = reason;
        decision.failure_reason_confidence = confidence;
        decision.next_action = next;
    };
    let passes = || verdicts.iter().map(shown).collect::<Vec<_>>().join("; ");
    let data = || match (&facts.next, facts.failures.first()) {
        (Some(next), _) => format!("look through the rows in next/, then factory run {next}"),
        (None, Some((kind, _))) => format!("add training rows for what fails most often, {kind}"),
        (None, None) => "add training rows".to_owned(),
    };
    let Some(primary) = primary else {
        say(
            Choice::RetryEval,
            "no gate was judged".to_owned(),
            Confidence::MissingEvidence,
            "give the run a gate".to_owned(),
        );
        decision.failure_reason = Some(decision.reason.clone());
        decision.lesson = Some("without a gate nothing is known".to_owned());
        return decision;
    };
    let worse = primary
        .baseline
        .is_some_and(|baseline| primary.value < baseline.value);
    let sure = primary.paired.as_ref().is_none_or(|paired| paired.p < SURE);
    let failed = || {
        red.iter()
            .map(|verdict| blocker(verdict))
            .collect::<Vec<_>>()
            .join("; ")
    };
    match (&facts.package, red.is_empty()) {
        (Some(package), true) if !facts.baseline_only => {
            say(
                Choice::Ship,
                format!("every gate passes: {}", passes()),
                Confidence::NotApplicable,
                format!("serve {package}"),
            );
            return decision;
        }
        _ if facts.baseline_only => say(
            Choice::Park,
            format!("a base alone was measured: {}", passes()),
            Confidence::Exact,
            "train a candidate and hold it against this run".to_owned(),
        ),
        (_, true) => say(
            Choice::Park,
            format!(
                "every gate passes and there is nothing to ship: {}",
                passes()
            ),
            Confidence::Exact,
            "name the stage with the artifact in the recipe's run".to_owned(),
        ),
        _ if facts.broken_references > 0 => say(
            Choice::RetryEval,
            format!(
                "{} reference queries fail, and {}",
                facts.broken_references,
                failed()
            ),
            Confidence::Exact,
            "mend the references: factory eval-sql --audit-gold names them".to_owned(),
        ),
        _ if primary.n < LEAST_ROWS => say(
            Choice::RetryEval,
            format!("{} rows are too few to decide: {}", primary.n, failed()),
            Confidence::MissingEvidence,
            format!("give gate {} at least {LEAST_ROWS} rows", primary.name),
        ),
        _ if primary.passed => say(
            Choice::RetryData,
            format!("gate {} passes, and {}", primary.name, failed()),
            Confidence::Inferred,
            "train on both kinds of rows, or give each its adapter and route between them"
                .to_owned(),
        ),
        _ if worse => say(
            Choice::Reject,
            format!("it is worse than the baseline: {}", failed()),
            Confidence::Inferred,
            "go on from the baseline with other data".to_owned(),
        ),
        _ if sure => say(
            Choice::RetryData,
            format!("it is better, and not enough: {}", failed()),
            match primary.baseline {
                Some(_) => Confidence::Inferred,
                None => Confidence::MissingEvidence,
            },
            data(),
        ),
        _ => say(
            Choice::RetryTraining,
            format!("it is no better than chance would make it: {}", failed()),
            Confidence::Inferred,
            "train longer, at another rate, or with more rank".to_owned(),
        ),
    }
    decision.failure_reason = Some(match red.is_empty() {
        true => "there is nothing to ship".to_owned(),
        false => failed(),
    });
    decision.lesson = Some(lesson(primary, facts));
    decision
}

/// `gate own: execution_accuracy 0.640, wanted min 0.86 and baseline + 3 points (0.700)`
fn blocker(verdict: &Verdict) -> String {
    let missed = verdict
        .conditions
        .iter()
        .filter(|condition| !condition.passed);
    let missed = missed.map(|condition| match condition.wanted {
        // A minimum names its number itself.
        Some(wanted) if condition.what.starts_with("baseline") => {
            format!("{} ({wanted:.3})", condition.what)
        }
        _ => condition.what.clone(),
    });
    let missed: Vec<_> = missed.collect();
    let (name, metric, value) = (&verdict.name, &verdict.metric, verdict.value);
    format!(
        "gate {name}: {metric} {value:.3}, wanted {}",
        missed.join(" and ")
    )
}

fn shown(verdict: &Verdict) -> String {
    let [low, high] = verdict.interval;
    format!(
        "{} {} {:.3} [{low:.3}, {high:.3}] (n={})",
        verdict.name, verdict.metric, verdict.value, verdict.n
    )
}

fn lesson(primary: &Verdict, facts: &Facts) -> String {
    let all: usize = facts.failures.iter().map(|(_, count)| count).sum();
    match facts.failures.first() {
        Some((kind, count)) => format!(
            "{count} of {all} failures of gate {} are {kind}",
            primary.name
        ),
        None => format!("gate {} has no failed row", primary.name),
    }
}

fn evidence_sources(verdicts: &[Verdict]) -> Vec<String> {
    let records = [
        records::GATES,
        records::CANDIDATE,
        records::BASELINE,
        records::SLICES,
        records::REVIEW,
    ];
    let rows = verdicts
        .iter()
        .map(|verdict| rows::file(&verdict.name, "candidate").display().to_string());
    records.map(str::to_owned).into_iter().chain(rows).collect()
}

/// Proposes a decision on the run in `folder`, which [`super::assemble::assemble`] has filled, and writes it: `artifact.json`
/// with whether it is shipped, then `decision.json`.
pub fn decide(folder: &Path) -> Result<Decision> {
    let evidence: Evidence = records::read(folder, records::EVIDENCE)?;
    let verdicts: Vec<Verdict> = records::read(folder, records::GATES)?;
    let primary = &evidence.primary()?.gate.name;
    let scored = rows::of_run(folder, primary, "candidate")?;
    let scored = scored.with_context(|| format!("gate {primary}: its rows are missing"))?;
    let counts = failures(&scored).into_iter();
    let facts = Facts {
        package: artifact(folder)?.map(|artifact| artifact.path.display().to_string()),
        baseline_only: evidence.is_baseline(),
        broken_references: scored
            .iter()
            .filter(|row| row.scores.gold_error.is_some())
            .count(),
        failures: counts
            .map(|(kind, count)| (kind.to_owned(), count))
            .collect(),
        next: folder
            .join(NEXT)
            .exists()
            .then(|| folder.join(NEXT).display().to_string()),
    };
    let decision = propose(&verdicts, &facts);
    write(folder, &decision)?;
    Ok(decision)
}

/// What a person says against a decision.
pub struct Overruling<'a> {
    pub decision: Choice,
    pub reason: &'a str,
    pub by: &'a str,
    /// What was learned; needed where nothing is shipped and nothing was said yet.
    pub lesson: Option<&'a str>,
    pub next_action: Option<&'a str>,
}

/// Writes a person's decision over that of the run, and what was proposed. Blockers stay: `publish-check` does not pass a
/// `ship` over a gate that fails, whoever wants it.
pub fn overrule(folder: &Path, says: &Overruling) -> Result<Decision> {
    let before: Decision = records::read(folder, records::DECISION)?;
    let ships = says.decision == Choice::Ship;
    ensure!(
        !ships || artifact(folder)?.is_some(),
        "{}: there is nothing to ship",
        folder.display()
    );
    let some = |text: &str| Some(text.to_owned());
    let lesson = says.lesson.map(str::to_owned).or(before.lesson);
    ensure!(
        ships || lesson.is_some(),
        "{}: say what was learned (--lesson), since nothing is shipped",
        folder.display()
    );
    let confidence = match (ships, before.failure_reason_confidence) {
        (true, _) => Confidence::NotApplicable,
        // A person's word is no measurement.
        (false, Confidence::NotApplicable) => Confidence::Inferred,
        (false, known) => known,
    };
    let proposed = before
        .overruled
        .map(|overruled| (overruled.proposed, overruled.proposed_reason));
    let (proposed, proposed_reason) = proposed.unwrap_or((before.decision, before.reason));
    let decision = Decision {
        decision: says.decision,
        reason: says.reason.to_owned(),
        failure_reason: if ships {
            None
        } else {
            before.failure_reason.or(some(says.reason))
        },
        failure_reason_confidence: confidence,
        lesson: lesson.filter(|_| !ships),
        next_action: says.next_action.map_or(before.next_action, str::to_owned),
        evidence_sources: before.evidence_sources,
        blocked_by: before.blocked_by,
        overruled: Some(Overruled {
            by: says.by.to_owned(),
            date: now(),
            proposed,
            proposed_reason,
        }),
    };
    write(folder, &decision)?;
    Ok(decision)
}

fn write(folder: &Path, decision: &Decision) -> Result<()> {
    if let Some(mut artifact) = artifact(folder)? {
        artifact.shipped = decision.decision == Choice::Ship;
        records::write(folder, records::ARTIFACT, &artifact)?;
    }
    records::write(folder, records::DECISION, decision)
}

fn artifact(folder: &Path) -> Result<Option<Artifact>> {
    match folder.join(records::ARTIFACT).exists() {
        true => records::read(folder, records::ARTIFACT).map(Some),
        false => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::judge::{Condition, Flips, Measured};

    fn verdict(role: Role, passed: usize, baseline: Option<usize>, passes: bool) -> Verdict {
        let n = 40;
        let measured = |passed| Measured {
            value: passed as f64 / n as f64,
            passed_rows: passed,
            n,
            interval: [0.0, 1.0],
        };
        let flips = |base: usize| Flips {
            difference: 0.0,
            p: crate::eval::stats::mcnemar_exact(
                passed.saturating_sub(base),
                base.saturating_sub(passed),
            ),
            gained: passed.saturating_sub(base),
            lost: base.saturating_sub(passed),
        };
        Verdict {
            name: if role == Role::Primary { "own" } else { "old" }.to_owned(),
            role,
            mode: "factory".to_owned(),
            metric: "execution_accuracy".to_owned(),
            conditions: vec![Condition {
                what: "min 0.5".to_owned(),
                wanted: Some(0.5),
                passed: passes,
            }],
            value: measured(passed).value,
            passed_rows: passed,
            n,
            interval: [0.0, 1.0],
            baseline: baseline.map(measured),
            paired: baseline.map(flips),
            passed: passes,
        }
    }

    fn facts() -> Facts {
        Facts {
            package: Some("adapter".to_owned()),
            failures: vec![
                ("sql_wrong_filter".to_owned(), 7),
                ("sql_no_select".to_owned(), 2),
            ],
            ..Facts::default()
        }
    }

    #[test]
    fn each_rule_has_its_case() {
        use Choice::*;
        let own = |passed, baseline, passes| vec![verdict(Role::Primary, passed, baseline, passes)];
        let mut both = own(30, Some(1), true);
        both.push(verdict(Role::Regression, 3, Some(20), false));
        let mut few = own(3, Some(1), false);
        few[0].n = 19;
        let broken = Facts {
            broken_references: 1,
            ..facts()
        };
        let nothing = Facts {
            package: None,
            ..facts()
        };
        let base = Facts {
            baseline_only: true,
            ..facts()
        };
        for (verdicts, facts, expected) in [
            (own(30, Some(1), true), facts(), Ship),
            (own(30, Some(1), true), nothing, Park),
            (own(0, None, false), base, Park),
            (own(18, Some(1), false), broken, RetryEval),
            (few, facts(), RetryEval),
            (both, facts(), RetryData),
            (own(2, Some(3), false), facts(), Reject),
            (own(18, Some(1), false), facts(), RetryData),
            (own(18, None, false), facts(), RetryData),
            (own(3, Some(2), false), facts(), RetryTraining),
            (Vec::new(), facts(), RetryEval),
        ] {
            let decision = propose(&verdicts, &facts);
            assert_eq!(decision.decision, expected, "{decision:?}");
            assert!(!decision.reason.is_empty() && !decision.next_action.is_empty());
            assert!(!decision.evidence_sources.is_empty());
            let ships = expected == Ship;
            assert_eq!(
                decision.failure_reason.is_none() && decision.lesson.is_none(),
                ships
            );
            assert_eq!(
                decision.failure_reason_confidence == Confidence::NotApplicable,
                ships
            );
            assert!(!ships || decision.blocked_by.is_empty());
        }
    }

    #[test]
    fn reasons_have_the_numbers() {
        let decision = propose(&[verdict(Role::Primary, 18, Some(1), false)], &facts());
        assert_eq!(
            decision.reason,
            "it is better, and not enough: gate own: execution_accuracy 0.450, wanted min 0.5"
        );
        assert_eq!(
            decision.lesson.unwrap(),
            "7 of 9 failures of gate own are sql_wrong_filter"
        );
        assert_eq!(
            decision.next_action,
            "add training rows for what fails most often, sql_wrong_filter"
        );
    }
}
