//! BIRD's reward-based valid efficiency: how fast a right query is, held against the reference. Right is what [`super::bird_ex`]
//! calls right, and a row passes by that alone: times differ from run to run. The reply is run as it stands.

use super::{Metric, Mode, Points, Texts, Verdict, execute, execution_fault};
use crate::eval::session::Session;
use crate::sql::compare::same_set;
use crate::sql::error::SqlError;
use std::time::Duration;

/// How many times as fast as the reference a query must be at least, and its reward.
const REWARDS: [(f64, f64); 5] = [
    (2.0, 1.25),
    (1.0, 1.0),
    (0.5, 0.75),
    (0.25, 0.5),
    (0.0, 0.25),
];
/// Standard deviations from the mean beyond which a ratio is left out.
const OUTLYING: f64 = 3.0;

pub(super) struct RVes;

impl Mode for RVes {
    fn name(&self) -> &'static str {
        "r-ves"
    }

    fn metrics(&self) -> &'static [Metric] {
        &[Metric {
            column: "r_ves_match",
            mean: "execution_accuracy",
        }]
    }

    fn points(&self) -> Option<&'static Points> {
        Some(&Points {
            column: "r_ves",
            mean: "r_ves",
            timed: true,
        })
    }

    fn gold_fault(&self, texts: &Texts, session: &mut Session) -> Option<SqlError> {
        execution_fault(session, texts.db, texts.gold)
    }

    /// Its points are the square root of the reward, up to 1.118.
    fn score(&self, texts: &Texts, session: &mut Session) -> Verdict {
        let predicted = texts.predicted.trim();
        let execution = execute(session, texts.db, predicted, texts.gold);
        let same = match (execution.predicted.as_ref(), execution.gold.as_ref()) {
            (Ok(predicted), Ok(gold)) => same_set(predicted, gold),
            _ => false,
        };
        let points = match session.locate(texts.db) {
            Ok(files) if same => {
                let times = session.times(&files[0], predicted, texts.gold);
                ratio(&times).map_or(0.0, |ratio| reward(ratio).sqrt())
            }
            _ => 0.0,
        };
        Verdict {
            passed: vec![same],
            points,
            execution: Some(execution),
            ..Verdict::default()
        }
    }
}

/// How many times as fast as the reference, from pairs of the two times, the predicted query's first: the mean without outliers.
fn ratio(times: &[(Duration, Duration)]) -> Option<f64> {
    // A clock may not see the shortest of queries.
    let seconds = |time: Duration| time.max(Duration::from_nanos(1)).as_secs_f64();
    let ratios = times.iter();
    let ratios = ratios.map(|&(predicted, gold)| seconds(gold) / seconds(predicted));
    let ratios: Vec<f64> = ratios.collect();
    let whole = mean(&ratios)?;
    let squares: Vec<f64> = ratios.iter().map(|ratio| (ratio - whole).powi(2)).collect();
    let deviation = mean(&squares)?.sqrt();
    let near = |ratio: &f64| (ratio - whole).abs() < OUTLYING * deviation;
    // Where all are the same none is near by that.
    let kept: Vec<f64> = ratios.iter().copied().filter(near).collect();
    mean(&kept).or(Some(whole))
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn reward(ratio: f64) -> f64 {
    let reached = REWARDS.iter().find(|(least, _)| ratio >= *least);
    reached.map_or(0.0, |(_, reward)| *reward)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::testing::scored;
    use serde_json::json;

    #[test]
    fn rewards_come_in_steps() {
        for (ratio, expected) in [
            (7.0, 1.25),
            (2.0, 1.25),
            (1.99, 1.0),
            (1.0, 1.0),
            (0.99, 0.75),
            (0.5, 0.75),
            (0.49, 0.5),
            (0.25, 0.5),
            (0.24, 0.25),
        ] {
            assert_eq!(reward(ratio), expected, "{ratio}");
        }
    }

    #[test]
    fn a_ratio_is_the_mean_without_outliers() {
        let ms = Duration::from_millis;
        assert_eq!(ratio(&[]), None);
        assert_eq!(ratio(&[(ms(4), ms(2))]), Some(0.5));
        assert_eq!(ratio(&[(ms(2), ms(2)), (ms(2), ms(6))]), Some(2.0));
        let mut times = vec![(ms(2), ms(2)); 40];
        times.push((ms(1), ms(1000)));
        assert_eq!(ratio(&times), Some(1.0));
        assert!(ratio(&[(Duration::ZERO, ms(1))]).unwrap().is_finite());
    }

    #[test]
    fn a_slow_query_earns_less_and_passes_all_the_same() {
        let of = |predicted: &str| {
            let fields = json!({"db": "x", "gold_sql": "select 30000", "predicted_sql": predicted});
            let (_, row) = scored("", fields, &["r-ves"]);
            (row.verdict("r_ves_match"), row.points("r_ves"))
        };
        // Thousands of times as much work, whatever the machine.
        let slow = "with recursive c(x) as (select 1 union all select x + 1 from c limit 30000) select count(*) from c";
        assert_eq!(of(slow), (Some(true), Some(0.5)));
        assert_eq!(of("select 1"), (Some(false), Some(0.0)));
        let (passed, points) = of("select 30000.0");
        assert_eq!(passed, Some(true));
        assert!(points.is_some_and(|points| points >= 0.5), "{points:?}");
    }
}
