//! The softmax gradient.

use rayon::prelude::*;

/// Turns rows of logits `[N, vocab]` into gradients in place: `c · (onehot − softmax)`, the gradient
/// of `c · log p(target)`, one target and coefficient a row. Returns log p(target) of every row.
pub fn logit_gradient(
    logits: &mut [f32],
    vocab: usize,
    targets: &[u32],
    coefficients: &[f32],
) -> Vec<f32> {
    let rows = logits
        .par_chunks_mut(vocab)
        .zip(targets.par_iter().zip(coefficients));
    rows.map(|(row, (&target, &c))| {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let at_target = row[target as usize];
        let mut sum = 0f32;
        for v in row.iter_mut() {
            *v = (*v - max).exp();
            sum += *v;
        }
        let scale = -c / sum;
        row.iter_mut().for_each(|v| *v *= scale);
        row[target as usize] += c;
        at_target - max - sum.ln()
    })
    .collect()
}
