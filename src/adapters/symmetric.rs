//! Eigenvalues and the triangular root of a symmetric matrix, in f64.

use anyhow::Result;
use candle_core::Tensor;

/// A symmetric matrix without negative eigenvalues, but for rounding.
pub struct Symmetric {
    pub size: usize,
    /// Row by row.
    pub cells: Vec<f64>,
}

impl Symmetric {
    /// The matrix that a square tensor holds.
    pub fn new(tensor: &Tensor) -> Result<Self> {
        Ok(Self {
            size: tensor.dim(0)?,
            cells: tensor.flatten_all()?.to_vec1()?,
        })
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.cells[row * self.size + column]
    }

    /// The sum of its eigenvalues.
    pub fn trace(&self) -> f64 {
        (0..self.size).map(|i| self.at(i, i)).sum::<f64>().max(0.0)
    }

    /// The lower triangular L of L·Lᵀ. A row that depends on those before it has nothing on the diagonal.
    pub fn cholesky(&self) -> Vec<f64> {
        let size = self.size;
        let mut root = vec![0.0; size * size];
        for row in 0..size {
            for column in 0..=row {
                let pairs = (0..column).map(|k| root[row * size + k] * root[column * size + k]);
                let left = self.at(row, column) - pairs.sum::<f64>();
                root[row * size + column] = if row == column {
                    let least = self.at(row, row) * f64::EPSILON * size as f64;
                    if left > least { left.sqrt() } else { 0.0 }
                } else {
                    let diagonal = root[column * size + column];
                    if diagonal > 0.0 { left / diagonal } else { 0.0 }
                };
            }
        }
        root
    }

    /// All eigenvalues, by Jacobi's rotations in a fixed order.
    pub fn eigenvalues(mut self) -> Vec<f64> {
        const SWEEPS: usize = 60;
        let size = self.size;
        let tiny = self.trace() * f64::EPSILON * 1e-3;
        for _ in 0..SWEEPS {
            let mut turned = false;
            for p in 0..size {
                for q in p + 1..size {
                    if self.at(p, q).abs() > tiny {
                        self.rotate(p, q);
                        turned = true;
                    }
                }
            }
            if !turned {
                break;
            }
        }
        (0..size).map(|i| self.at(i, i)).collect()
    }

    /// Turns rows and columns p and q so that nothing is left where they cross.
    fn rotate(&mut self, p: usize, q: usize) {
        let size = self.size;
        let theta = (self.at(q, q) - self.at(p, p)) / (2.0 * self.at(p, q));
        let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
        let cosine = 1.0 / tangent.hypot(1.0);
        let sine = tangent * cosine;
        for k in 0..size {
            let (a, b) = (self.at(k, p), self.at(k, q));
            self.cells[k * size + p] = cosine * a - sine * b;
            self.cells[k * size + q] = sine * a + cosine * b;
        }
        for k in 0..size {
            let (a, b) = (self.at(p, k), self.at(q, k));
            self.cells[p * size + k] = cosine * a - sine * b;
            self.cells[q * size + k] = sine * a + cosine * b;
        }
    }

    /// The largest eigenvalue, by the power method.
    pub fn largest(&self) -> f64 {
        const STEPS: usize = 10_000;
        let size = self.size;
        // Anything that is at a right angle to no eigenvector.
        let mut vector: Vec<f64> = (0..size).map(|i| 1.0 + (i as f64).sin()).collect();
        let mut found = 0.0;
        for _ in 0..STEPS {
            let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
            if norm == 0.0 {
                return 0.0;
            }
            vector.iter_mut().for_each(|x| *x /= norm);
            let rows = self.cells.chunks(size);
            let next: Vec<f64> = rows
                .map(|row| row.iter().zip(&vector).map(|(a, x)| a * x).sum())
                .collect();
            let value: f64 = next.iter().zip(&vector).map(|(a, x)| a * x).sum();
            if (value - found).abs() <= 1e-14 * value {
                return value;
            }
            (found, vector) = (value, next);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symmetric(size: usize, cells: &[f64]) -> Symmetric {
        Symmetric {
            size,
            cells: cells.to_vec(),
        }
    }

    #[test]
    fn eigenvalues_of_matrices_that_are_known() {
        let mut found = symmetric(2, &[2.0, 1.0, 1.0, 2.0]).eigenvalues();
        found.sort_by(f64::total_cmp);
        assert!((found[0] - 1.0).abs() < 1e-12 && (found[1] - 3.0).abs() < 1e-12);
        assert!((symmetric(2, &[2.0, 1.0, 1.0, 2.0]).largest() - 3.0).abs() < 1e-12);
        assert_eq!(symmetric(2, &[0.0; 4]).largest(), 0.0);
        // Equal rows: the second depends on the first.
        assert_eq!(symmetric(2, &[4.0; 4]).cholesky(), [2.0, 0.0, 2.0, 0.0]);
    }
}
