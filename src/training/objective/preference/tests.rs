use super::*;

const KINDS: [Kind; 10] = [
    Kind::Dpo,
    Kind::DpoNll,
    Kind::Hinge,
    Kind::Ipo,
    Kind::Robust,
    Kind::DpoNorm,
    Kind::Dpop,
    Kind::Cpo,
    Kind::SimPo,
    Kind::Orpo,
];

/// Two pairs, and what the reference finds.
fn answers() -> (Vec<Answer>, Vec<f64>) {
    let all = [
        &[-0.5, -1.5][..],
        &[-2.0],
        &[-0.2, -0.4, -0.1],
        &[-0.3, -0.9],
    ];
    let rows = all.iter().enumerate();
    let answers: Vec<Answer> = rows
        .map(|(row, log_p)| Answer {
            row,
            log_p: log_p.to_vec(),
        })
        .collect();
    let off = [0.3, -0.4, -0.25, 0.6];
    let reference = answers.iter().zip(off).map(|(a, off)| a.sum() + off);
    let reference = reference.collect();
    (answers, reference)
}

#[test]
fn a_coefficient_is_the_change_of_the_loss_by_its_label() {
    for kind in KINDS {
        let settings = Settings::new(kind);
        let (answers, reference) = answers();
        let loss = |answers: &[Answer]| {
            let mut all = Preference::new(settings.clone(), reference.clone());
            all.begin(2, 5);
            all.loss(answers).unwrap()
        };
        let found = loss(&answers);
        for row in 0..answers.len() {
            let moved = |by: f32| {
                let mut moved = answers.clone();
                moved[row].log_p[0] += by;
                let by = moved[row].log_p[0] - answers[row].log_p[0];
                (loss(&moved).loss, f64::from(by))
            };
            let ((up, above), (down, below)) = (moved(1e-2), moved(-1e-2));
            let expected = (up - down) / (above - below);
            let c = f64::from(found.coefficients[row][0]);
            assert!(
                (c - expected).abs() < 3e-3 * expected.abs().max(0.1),
                "{kind:?} {row}: {c} {expected}"
            );
        }
    }
}

#[test]
fn at_the_reference_dpo_is_ln_2() {
    let (answers, _) = answers();
    let reference = answers.iter().map(Answer::sum).collect();
    let mut dpo = Preference::new(Settings::new(Kind::Dpo), reference);
    dpo.begin(2, 5);
    let loss = dpo.loss(&answers).unwrap().loss;
    assert!((loss - 2f64.ln()).abs() < 1e-12, "{loss}");
    let metrics = dpo.metrics();
    assert_eq!(
        (metrics["rewards/margins"], metrics["rewards/accuracies"]),
        (0.0, 0.0)
    );
}

#[test]
fn passes_sum_to_the_step() {
    for kind in KINDS {
        let (answers, reference) = answers();
        let mut all = Preference::new(Settings::new(kind), reference);
        all.begin(2, 5);
        let whole = all.loss(&answers).unwrap();
        let metrics = all.metrics();
        all.begin(2, 5);
        let parts = [&answers[..2], &answers[2..]].map(|pass| all.loss(pass).unwrap());
        let sum: f64 = parts.iter().map(|part| part.loss).sum();
        assert!((sum - whole.loss).abs() < 1e-12, "{kind:?}");
        let coefficients = parts.map(|part| part.coefficients).concat();
        assert_eq!(coefficients, whole.coefficients, "{kind:?}");
        assert_eq!(all.metrics(), metrics, "{kind:?}");
    }
}
