//! Gates on the numbers of a summary, where there are no rows: a loss, a latency, a share that another program counted.

use super::{GateSpec, Measured, Verdict};
use crate::eval::stats::share;
use anyhow::{Result, bail};
use serde_json::Value;

/// What stands for a mode where the metric is a number of a summary.
pub const MODE: &str = "summary";

/// Judges the number at the spec's `metric`, which is a key of a JSON object or several joined by dots. `{passed, n}`, as
/// eval-sql's summaries have it, is a share with its interval; a plain number has neither.
///
/// Errors where the candidate has no such number, or a condition needs a baseline and there is none.
pub fn judge(spec: &GateSpec, candidate: &Value, baseline: Option<&Value>) -> Result<Verdict> {
    verdict(spec, candidate, baseline).map_err(|error| spec.named(error))
}

fn verdict(spec: &GateSpec, candidate: &Value, baseline: Option<&Value>) -> Result<Verdict> {
    spec.check_numbers()?;
    spec.check_baseline(baseline.is_some())?;
    let Some(found) = at(candidate, &spec.metric) else {
        bail!(
            "the candidate's summary has no number at \"{}\": {}",
            spec.metric,
            known(candidate, &spec.metric)
        );
    };
    let baseline = baseline.and_then(|summary| at(summary, &spec.metric));
    Ok(spec.verdict(&spec.metric, found, baseline, None))
}

fn at(summary: &Value, path: &str) -> Option<Measured> {
    let found = path
        .split('.')
        .try_fold(summary, |value, key| value.get(key))?;
    let count = |key: &str| {
        let count = found.get(key)?.as_u64()?;
        usize::try_from(count).ok()
    };
    match (count("passed"), count("n")) {
        (Some(passed), Some(n)) if passed <= n && n > 0 => Some(share(passed, n).into()),
        _ => {
            let value = found.as_f64()?;
            Some(Measured {
                value,
                passed_rows: 0,
                n: 0,
                interval: [value, value],
            })
        }
    }
}

/// The keys beside the first one of the path that is not there.
fn known(summary: &Value, path: &str) -> String {
    let mut value = summary;
    for key in path.split('.') {
        match value.get(key) {
            Some(next) => value = next,
            None => break,
        }
    }
    let keys = value.as_object().into_iter().flat_map(|map| map.keys());
    let keys: Vec<_> = keys.take(20).map(String::as_str).collect();
    match keys[..] {
        [] => "it holds none there".to_owned(),
        _ => format!("it has {}", keys.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::judge::Role;
    use serde_json::json;

    fn gate(metric: &str, min: Option<f64>, margin: Option<f64>) -> GateSpec {
        GateSpec {
            name: "own".to_owned(),
            mode: MODE.to_owned(),
            metric: metric.to_owned(),
            min,
            margin,
            max_drop: None,
            role: Role::Regression,
            only: Default::default(),
        }
    }

    #[test]
    fn a_loss_is_better_when_lower() {
        let (candidate, baseline) = (json!({"loss": 1.5}), json!({"loss": 2.0}));
        let of = |min, margin| judge(&gate("loss", min, margin), &candidate, Some(&baseline));
        let verdict = of(Some(1.5), Some(0.5)).unwrap();
        assert!(verdict.passed);
        assert_eq!(verdict.conditions[0].what, "at most 1.5");
        assert_eq!(verdict.conditions[1].what, "baseline - 0.5");
        assert_eq!(verdict.conditions[1].wanted, Some(1.5));
        assert_eq!((verdict.n, verdict.interval), (0, [1.5, 1.5]));
        assert!(!of(Some(1.4), None).unwrap().passed);
        assert!(!of(None, Some(0.6)).unwrap().passed);
    }

    #[test]
    fn a_share_of_a_summary_keeps_its_interval() {
        let summary = json!({"modes": {"factory": {"execution_accuracy": {"passed": 3, "n": 4, "value": 0.75}}}});
        let spec = gate("modes.factory.execution_accuracy", Some(0.7), None);
        let verdict = judge(&spec, &summary, None).unwrap();
        assert!(verdict.passed);
        assert_eq!((verdict.passed_rows, verdict.n), (3, 4));
        assert!(verdict.interval[0] < 0.75 && verdict.interval[1] > 0.75);
    }

    #[test]
    fn what_is_missing_is_said_and_in_the_baseline_it_informs() {
        let summary = json!({"eval": {"loss": 1.0, "ppl": "x"}});
        let error = |metric| {
            judge(&gate(metric, Some(1.0), None), &summary, None)
                .unwrap_err()
                .to_string()
        };
        assert!(error("eval.lost").contains("it has loss, ppl"));
        assert!(error("eval.ppl").contains("no number at \"eval.ppl\""));
        let other = json!({});
        let verdict = judge(&gate("eval.loss", None, Some(0.1)), &summary, Some(&other)).unwrap();
        assert!(verdict.passed && verdict.conditions[0].wanted.is_none());
    }
}
