use super::*;

const KINDS: [Kind; 6] = [
    Kind::DrGrpo,
    Kind::Grpo,
    Kind::Dapo,
    Kind::Gspo,
    Kind::Cispo,
    Kind::Rloo,
];

fn answers() -> Vec<Answer> {
    [&[-0.5, -1.5, -0.2][..], &[-2.0, -0.1], &[-3.0]]
        .iter()
        .enumerate()
        .map(|(row, log_p)| Answer {
            row,
            log_p: log_p.to_vec(),
        })
        .collect()
}

/// Old ones near the present, so that no ratio is cut, and references further away.
fn rollouts(answers: &[Answer]) -> Vec<Rollout> {
    let moved = |answer: &Answer, by: f32| answer.log_p.iter().map(|p| p + by).collect();
    let each = answers.iter().zip([0.7, -0.4, 0.2]);
    each.map(|(answer, advantage)| Rollout {
        advantage: advantage.into(),
        old: Some(moved(answer, 0.03)),
        reference: Some(moved(answer, -0.4)),
        sampled: None,
    })
    .collect()
}

fn of(kind: Kind, beta: f64, rollouts: &[Rollout], answers: &[Answer]) -> (Loss, Metrics) {
    let mut policy = Policy::new(Settings {
        beta,
        ..Settings::new(kind, 16)
    });
    policy.take(rollouts.to_vec());
    policy.begin(3, 6);
    let loss = policy.loss(answers).unwrap();
    (loss, policy.metrics())
}

#[test]
fn a_slope_is_the_change_of_the_loss_by_its_token() {
    for kind in KINDS {
        // CISPO's ratio is no way to lower its loss, and so has no such slope beside a divergence; RLOO has it in the reward.
        let betas: &[f64] = match kind {
            Kind::Cispo | Kind::Rloo => &[0.0],
            _ => &[0.0, 0.3],
        };
        for &beta in betas {
            let answers = answers();
            let rollouts = rollouts(&answers);
            let found = of(kind, beta, &rollouts, &answers).0;
            for (row, answer) in answers.iter().enumerate() {
                for t in 0..answer.log_p.len() {
                    let moved = |by: f32| {
                        let mut moved = answers.clone();
                        moved[row].log_p[t] += by;
                        let by = f64::from(moved[row].log_p[t]) - f64::from(answer.log_p[t]);
                        (of(kind, beta, &rollouts, &moved).0.loss, by)
                    };
                    let ((up, above), (down, below)) = (moved(4e-3), moved(-4e-3));
                    let expected = match kind {
                        Kind::Cispo => {
                            let ratio =
                                (answer.log_p[t] - rollouts[row].old.as_ref().unwrap()[t]).exp();
                            -f64::from(ratio) * rollouts[row].advantage.at(t) / 6.0
                        }
                        _ => (up - down) / (above - below),
                    };
                    let c = f64::from(found.coefficients[row][t]);
                    assert!(
                        (c - expected).abs() < 1e-3 * expected.abs().max(0.01),
                        "{kind:?} {beta} {row}.{t}: {c} {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_ratio_that_is_cut_teaches_nothing() {
    let answers = answers();
    let mut rollouts = rollouts(&answers);
    // The first answer became much likelier, the second much less likely.
    for (rollout, by) in rollouts.iter_mut().zip([-1.0, 1.0, 0.0]) {
        rollout.old.iter_mut().flatten().for_each(|p| *p += by);
        rollout.reference = None;
    }
    for kind in [Kind::DrGrpo, Kind::Grpo, Kind::Dapo, Kind::Gspo, Kind::Rloo] {
        let (loss, metrics) = of(kind, 0.0, &rollouts, &answers);
        assert_eq!(loss.coefficients[..2].concat(), [0.0; 5], "{kind:?}");
        assert!(loss.coefficients[2][0] < 0.0, "{kind:?}");
        assert!((metrics["clip_ratio/high_mean"] - 0.5).abs() < 1e-12);
        assert!((metrics["clip_ratio/low_mean"] - 2.0 / 6.0).abs() < 1e-12);
    }
}

#[test]
fn a_first_pass_is_its_own_past() {
    let answers = answers();
    let rollouts: Vec<Rollout> = [1.0, 0.0, -1.0]
        .map(|advantage| Rollout {
            advantage: advantage.into(),
            ..Rollout::default()
        })
        .into();
    let (loss, metrics) = of(Kind::DrGrpo, 0.0, &rollouts, &answers);
    let c = 1.0 / (3.0 * 16.0);
    let expected = [vec![-c as f32; 3], vec![0.0; 2], vec![c as f32]];
    assert!(
        loss.coefficients
            .concat()
            .iter()
            .zip(expected.concat())
            .all(|(a, b)| (a - b).abs() < 1e-9)
    );
    assert!((metrics[ENTROPY] - 7.3 / 6.0).abs() < 1e-6);
}

/// Each token of the answers by an advantage of its own.
fn by_token(rollouts: &mut [Rollout]) {
    let own = [vec![0.7, -0.2, 0.0], vec![-0.4, 0.5], vec![0.2]];
    for (rollout, own) in rollouts.iter_mut().zip(own) {
        rollout.advantage = Advantage::Labels(own);
    }
}

#[test]
fn tokens_of_one_advantage_are_an_answer_of_it() {
    let answers = answers();
    let whole = rollouts(&answers);
    let mut apart = whole.clone();
    for (rollout, answer) in apart.iter_mut().zip(&answers) {
        let own = rollout.advantage.at(0);
        rollout.advantage = Advantage::Labels(vec![own; answer.log_p.len()]);
    }
    for kind in KINDS {
        for beta in [0.0, 0.3] {
            let whole = of(kind, beta, &whole, &answers).0;
            assert_eq!(of(kind, beta, &apart, &answers).0, whole, "{kind:?}");
        }
    }
    apart[0].advantage = Advantage::Labels(vec![0.7; 2]);
    let mut policy = Policy::new(Settings::new(Kind::Grpo, 16));
    policy.take(apart);
    policy.begin(3, 6);
    assert!(policy.loss(&answers).is_err());
}

#[test]
fn each_token_learns_by_its_own_advantage() {
    let answers = answers();
    let mut rollouts = rollouts(&answers);
    by_token(&mut rollouts);
    // By hand: old log p are higher by 0.03 a token, so that no ratio is cut.
    let one = f64::exp(-0.03);
    let (three, two) = (f64::exp(-0.09), f64::exp(-0.06));
    let token = [one; 3];
    for (kind, ratios, scales) in [
        (Kind::DrGrpo, token, [1.0 / 48.0; 3]),
        (Kind::Grpo, token, [1.0 / 9.0, 1.0 / 6.0, 1.0 / 3.0]),
        (Kind::Dapo, token, [1.0 / 6.0; 3]),
        (Kind::Cispo, token, [1.0 / 6.0; 3]),
        // The mean ratio of an answer's tokens is that of each.
        (Kind::Gspo, token, [1.0 / 9.0, 1.0 / 6.0, 1.0 / 3.0]),
        (Kind::Rloo, [three, two, one], [1.0 / 3.0; 3]),
    ] {
        let found = of(kind, 0.0, &rollouts, &answers).0;
        for (row, rollout) in rollouts.iter().enumerate() {
            for (t, c) in found.coefficients[row].iter().enumerate() {
                let expected = -ratios[row] * rollout.advantage.at(t) * scales[row];
                assert!(
                    (f64::from(*c) - expected).abs() < 1e-6,
                    "{kind:?} {row}.{t}: {c} {expected}"
                );
            }
        }
    }
    // A token that became too likely is cut by its own sign: the second of these lost by what it became.
    rollouts[0].old = Some(vec![-1.5, -2.5, -1.2]);
    let (found, metrics) = of(Kind::DrGrpo, 0.0, &rollouts, &answers);
    assert_eq!(found.coefficients[0][0], 0.0);
    assert!((f64::from(found.coefficients[0][1]) - 0.2 * f64::exp(1.0) / 48.0).abs() < 1e-6);
    assert!((metrics["clip_ratio/high_mean"] - 1.0 / 6.0).abs() < 1e-12);
}
