use super::*;
use crate::eval::testing::row;

fn rows(answers: &[bool]) -> Vec<ScoredRow> {
    let named = answers.iter().enumerate();
    named.map(|(i, yes)| row(&format!("r{i}"), *yes)).collect()
}

fn gate(min: Option<f64>, margin: Option<f64>, max_drop: Option<f64>) -> GateSpec {
    GateSpec {
        name: "own".to_owned(),
        mode: "factory".to_owned(),
        metric: "execution_accuracy".to_owned(),
        min,
        margin,
        max_drop,
        role: Role::Primary,
        only: BTreeMap::new(),
    }
}

#[test]
fn a_value_is_held_against_a_minimum_with_its_interval() {
    let candidate = rows(&[true, true, true, false]);
    let verdict = judge(&gate(Some(0.75), None, None), &candidate, None).unwrap();
    assert!(verdict.passed);
    assert_eq!(
        (verdict.value, verdict.passed_rows, verdict.n),
        (0.75, 3, 4)
    );
    assert_eq!(verdict.interval, share(3, 4).wilson95);
    assert_eq!(verdict.conditions[0].what, "min 0.75");
    assert!(
        !judge(&gate(Some(0.76), None, None), &candidate, None)
            .unwrap()
            .passed
    );
}

#[test]
fn points_are_counted_from_the_baseline_and_rows_are_paired() {
    let baseline = rows(&[true, false, false, false]);
    let candidate = rows(&[false, true, true, false]);
    let of = |margin, drop| judge(&gate(None, margin, drop), &candidate, Some(&baseline)).unwrap();
    let verdict = of(Some(25.0), Some(0.0));
    assert!(verdict.passed);
    assert_eq!(verdict.conditions[0].what, "baseline + 25 points");
    assert_eq!(verdict.conditions[0].wanted, Some(0.5));
    assert_eq!(verdict.conditions[1].what, "baseline - 0 points");
    let flips = verdict.paired.unwrap();
    assert_eq!(
        (flips.difference, flips.gained, flips.lost, flips.p),
        (0.25, 2, 1, 1.0)
    );
    assert_eq!(verdict.baseline.unwrap().passed_rows, 1);
    let verdict = of(Some(25.1), None);
    assert!(!verdict.passed && !verdict.conditions[0].passed);
    // A drop is measured the other way.
    let drop = |drop| judge(&gate(None, None, Some(drop)), &baseline, Some(&candidate));
    assert!(drop(25.0).unwrap().passed && !drop(24.0).unwrap().passed);
}

#[test]
fn other_rows_have_no_pairs_and_a_metric_that_the_baseline_lacks_does_not_fail() {
    let candidate = rows(&[true, false]);
    let other = vec![row("x", false)];
    let spec = gate(None, Some(3.0), None);
    let verdict = judge(&spec, &candidate, Some(&other)).unwrap();
    assert!(verdict.passed && verdict.paired.is_none());
    assert_eq!(verdict.baseline.unwrap().n, 1);
    let mut lacks = rows(&[true, false]);
    lacks.iter_mut().for_each(|row| row.scores.verdicts.clear());
    let verdict = judge(&spec, &candidate, Some(&lacks)).unwrap();
    assert!(verdict.passed && verdict.baseline.is_none());
    assert_eq!(verdict.conditions[0].wanted, None);
    // The candidate must have it.
    let error = judge(&spec, &lacks, Some(&candidate)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no row of the candidate has \"exec_match\"")
    );
}

#[test]
fn what_is_wrong_with_a_gate_is_said() {
    let error = |change: fn(&mut GateSpec)| {
        let mut spec = gate(Some(0.5), None, None);
        change(&mut spec);
        judge(&spec, &rows(&[true]), None).unwrap_err().to_string()
    };
    assert!(error(|g| g.min = None).contains("one or more of min, margin and max_drop"));
    assert!(error(|g| g.min = Some(86.0)).contains("min is 86, expected 0 to 1"));
    assert!(error(|g| g.margin = Some(-1.0)).contains("margin is -1"));
    assert!(error(|g| g.max_drop = Some(3.0)).contains("max_drop needs a baseline"));
    assert!(error(|g| g.mode = "facto".to_owned()).contains("mode \"facto\" is none of factory"));
    assert!(error(|g| g.metric = "f1".to_owned()).contains("metric \"f1\" is none of"));
    assert!(error(|g| g.name = "a/b".to_owned()).contains("gate a/b: a name is letters"));
}

#[test]
fn a_metric_alone_says_its_mode() {
    let mode = |name| mode_of(name).unwrap().name();
    assert_eq!(mode("exec_match"), "factory");
    assert_eq!(mode("exact_match"), "factory");
    assert_eq!(mode("public_exact_match"), "public-exact");
    assert!(
        mode_of("nope")
            .err()
            .unwrap()
            .to_string()
            .contains("exec_match, ")
    );
    assert_eq!(
        metric("factory", "exec_match").unwrap().mean,
        "execution_accuracy"
    );
}

#[test]
fn names_say_what_is_better_when_lower() {
    for name in [
        "loss",
        "eval_loss",
        "latency_ms",
        "peak_rss_mb",
        "wer",
        "errors",
    ] {
        assert!(lower_is_better(name), "{name}");
    }
    for name in ["execution_accuracy", "answered", "power", "glossary"] {
        assert!(!lower_is_better(name), "{name}");
    }
}
