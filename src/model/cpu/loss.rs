//! The softmax gradient.

use super::{vector, wide};
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
        let at_target = row[target as usize];
        wide(
            #[inline(always)]
            || {
                let max = vector::max(row);
                vector::exp_shifted(row, max);
                let sum = vector::sum(row);
                let scale = -c / sum;
                row.iter_mut().for_each(|v| *v *= scale);
                row[target as usize] += c;
                at_target - max - sum.ln()
            },
        )
    })
    .collect()
}
