//! The geometry of what an adapter changes: how large each module's change is, and over how many directions it is spread.
//!
//! The singular values of s·B·A are the roots of the eigenvalues of s²·Lᵀ(BᵀB)L with A·Aᵀ = L·Lᵀ, which is r × r: B·A is not formed.

use super::lora::Adapter;
use super::stored::Stored;
use crate::model::decoder::Decoder;
use crate::model::linear::{Projection, Site};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Largest matrix whose eigenvalues are all found; of a larger one only the first is.
const MAX_WHOLE: usize = 512;

/// What an adapter changes, module by module and in groups.
#[derive(Clone, Debug, Serialize)]
pub struct Geometry {
    /// What is measured: `s·B·A`, or `change of the weight`, which DoRA's magnitudes take part in.
    pub of: &'static str,
    /// ‖ΔW‖ over all modules.
    pub norm: f64,
    /// In the order of layers.
    pub modules: Vec<Module>,
    /// By the name of the projection.
    pub by_type: Vec<Group>,
    pub by_layer: Vec<Group>,
}

/// One module's change ΔW.
#[derive(Clone, Debug, Serialize)]
pub struct Module {
    pub module: String,
    pub layer: usize,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Of the adapter.
    pub rank: usize,
    /// ‖ΔW‖_F
    pub norm: f64,
    /// ‖ΔW‖_F / ‖W‖_F, where the base is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_norm: Option<f64>,
    /// ‖ΔW‖_F² / ‖ΔW‖₂²; none of a change that is nothing.
    pub stable_rank: Option<f64>,
    /// exp of the entropy of the singular values as shares of their sum (Roy and Vetterli 2007); none where there are too many.
    pub effective_rank: Option<f64>,
    /// Of the squared norm over all modules.
    pub share: f64,
}

/// Modules taken together.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    pub name: String,
    pub modules: usize,
    /// ‖ΔW‖_F over its modules.
    pub norm: f64,
    /// Of the squared norm over all modules.
    pub share: f64,
    /// The mean over its modules.
    pub stable_rank: Option<f64>,
    pub effective_rank: Option<f64>,
}

/// The geometry of s·B·A. For DoRA this is what is added before the magnitudes rescale.
pub fn of_factors(adapter: &Stored) -> Result<Geometry> {
    let change = |(site, module): (&Site, &super::parts::StoredModule)| {
        let gram = gram(&module.a, &module.b, adapter.config.scale_of(*site))?;
        Ok(Change::of(*site, module.a.dim(0)?, gram, None))
    };
    let modules: Vec<_> = adapter.modules.iter().collect();
    let changes = modules.into_par_iter().map(change);
    Ok(Geometry::new("s·B·A", changes.collect::<Result<_>>()?))
}

/// The geometry of what the adapter, fitted to `decoder`, changes of its weights.
pub fn of_weights(adapter: &Adapter, decoder: &Decoder) -> Result<Geometry> {
    let weights: BTreeMap<Site, &Tensor> = decoder.projections().collect();
    let change = |(site, module): (&Site, &super::lora::Module)| {
        let scale = adapter.config.scale_of(*site);
        let wide = |tensor: &Tensor| tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64);
        let weight = wide(weights[site])?;
        let gram = match &module.dora {
            None => gram(&module.a, &module.b, scale)?,
            Some(dora) => {
                let product = (wide(&module.b)?.matmul(&wide(&module.a)?)? * scale)?;
                let gain = wide(dora.gain())?.unsqueeze(1)?;
                let change = ((&weight + product)?.broadcast_mul(&gain)? - &weight)?;
                let (out, width) = change.dims2()?;
                let turned = change.t()?;
                Symmetric::new(&match out < width {
                    true => change.matmul(&turned)?,
                    false => turned.matmul(&change)?,
                })?
            }
        };
        let norm = weight.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt();
        Ok(Change::of(*site, module.a.dim(0)?, gram, Some(norm)))
    };
    let modules: Vec<_> = adapter.modules.iter().collect();
    let changes = modules.into_par_iter().map(change);
    let changes = changes.collect::<Result<_>>()?;
    Ok(Geometry::new("change of the weight", changes))
}

/// What is found of one module.
struct Change {
    site: Site,
    rank: usize,
    square: f64,
    largest: f64,
    effective_rank: Option<f64>,
    weight: Option<f64>,
}

impl Change {
    /// `gram` has the squares of the singular values as its eigenvalues.
    fn of(site: Site, rank: usize, gram: Symmetric, weight: Option<f64>) -> Self {
        let square = gram.trace();
        let (largest, effective_rank) = match gram.size <= MAX_WHOLE {
            true => {
                let squares = gram.eigenvalues();
                let largest = squares.iter().copied().fold(0.0, f64::max);
                (largest, effective_rank(&squares))
            }
            false => (gram.largest(), None),
        };
        Self {
            site,
            rank,
            square,
            largest,
            effective_rank,
            weight,
        }
    }
}

impl Geometry {
    fn new(of: &'static str, changes: Vec<Change>) -> Self {
        let total: f64 = changes.iter().map(|change| change.square).sum();
        let share = |square: f64| if total > 0.0 { square / total } else { 0.0 };
        let module = |change: &Change| Module {
            module: change.site.to_string(),
            layer: change.site.layer,
            kind: change.site.projection.name(),
            rank: change.rank,
            norm: change.square.sqrt(),
            relative_norm: change
                .weight
                .filter(|norm| *norm > 0.0)
                .map(|norm| change.square.sqrt() / norm),
            stable_rank: (change.largest > 0.0).then(|| change.square / change.largest),
            effective_rank: change.effective_rank,
            share: share(change.square),
        };
        let modules: Vec<Module> = changes.iter().map(module).collect();
        let group = |name: String, is: &dyn Fn(&Module) -> bool| {
            let own = || modules.iter().filter(|module| is(module));
            let square = own().map(|module| module.norm.powi(2)).sum();
            Group {
                name,
                modules: own().count(),
                norm: f64::sqrt(square),
                share: share(square),
                stable_rank: mean(own().map(|module| module.stable_rank)),
                effective_rank: mean(own().map(|module| module.effective_rank)),
            }
        };
        let types = Projection::ALL.iter().map(|kind| kind.name());
        let types = types.map(|kind| group(kind.to_owned(), &|m| m.kind == kind));
        let layers: BTreeSet<usize> = modules.iter().map(|module| module.layer).collect();
        let layers = layers.into_iter();
        Self {
            of,
            norm: total.sqrt(),
            by_type: types.filter(|group| group.modules > 0).collect(),
            by_layer: layers
                .map(|layer| group(layer.to_string(), &|m| m.layer == layer))
                .collect(),
            modules,
        }
    }
}

/// The mean of those that are known.
fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let known: Vec<f64> = values.flatten().collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

fn effective_rank(squares: &[f64]) -> Option<f64> {
    let values = squares.iter().map(|square| square.max(0.0).sqrt());
    let sum: f64 = values.clone().sum();
    let shares = values.map(|value| value / sum).filter(|share| *share > 0.0);
    (sum > 0.0).then(|| (-shares.map(|share| share * share.ln()).sum::<f64>()).exp())
}

/// s²·Lᵀ(BᵀB)L with A·Aᵀ = L·Lᵀ.
fn gram(a: &Tensor, b: &Tensor, scale: f64) -> Result<Symmetric> {
    let wide = |tensor: &Tensor| tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64);
    let (a, b) = (wide(a)?, wide(b)?);
    let size = a.dim(0)?;
    let root = Symmetric::new(&a.matmul(&a.t()?)?)?.cholesky();
    let root = Tensor::from_vec(root, (size, size), &Device::Cpu)?;
    let right = b.matmul(&root)?;
    Symmetric::new(&(right.t()?.matmul(&right)? * (scale * scale))?)
}

/// A symmetric matrix without negative eigenvalues, but for rounding.
struct Symmetric {
    size: usize,
    cells: Vec<f64>,
}

impl Symmetric {
    fn new(tensor: &Tensor) -> Result<Self> {
        Ok(Self {
            size: tensor.dim(0)?,
            cells: tensor.flatten_all()?.to_vec1()?,
        })
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.cells[row * self.size + column]
    }

    fn trace(&self) -> f64 {
        (0..self.size).map(|i| self.at(i, i)).sum::<f64>().max(0.0)
    }

    /// The lower triangular L of L·Lᵀ. A row that depends on those before it has nothing on the diagonal.
    fn cholesky(&self) -> Vec<f64> {
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
    fn eigenvalues(mut self) -> Vec<f64> {
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
    fn largest(&self) -> f64 {
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

    #[test]
    fn ranks_say_over_how_many_directions_a_change_is_spread() {
        assert!((effective_rank(&[4.0, 4.0, 4.0, 0.0]).unwrap() - 3.0).abs() < 1e-12);
        assert!((effective_rank(&[9.0, -1e-30]).unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(effective_rank(&[0.0, 0.0]), None);
    }

    #[test]
    fn a_large_matrix_has_its_first_eigenvalue_alone() {
        let size = MAX_WHOLE + 1;
        let mut cells = vec![0.0; size * size];
        (0..size).for_each(|i| cells[i * size + i] = 1.0 / (i + 1) as f64);
        let site = Site {
            layer: 0,
            projection: Projection::Q,
        };
        let change = Change::of(site, 2, symmetric(size, &cells), None);
        assert!((change.largest - 1.0).abs() < 1e-9, "{}", change.largest);
        assert_eq!(change.effective_rank, None);
    }
}
