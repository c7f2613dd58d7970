//! The geometry of what an adapter changes: how large each module's change is, and over how many directions it is spread.
//!
//! The singular values of s·B·A are the roots of the eigenvalues of s²·Lᵀ(BᵀB)L with A·Aᵀ = L·Lᵀ, which is r × r: B·A is not formed.

use super::lora::Adapter;
use super::stored::Stored;
use super::symmetric::Symmetric;
use crate::model::decoder::Decoder;
use crate::model::linear::{Projection, Site};
use crate::model::weight::Weight;
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
    let weights: BTreeMap<Site, &Weight> = decoder.projections().collect();
    let change = |(site, module): (&Site, &super::lora::Module)| {
        let scale = adapter.config.scale_of(*site);
        let wide = |tensor: &Tensor| tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64);
        let weight = wide(&weights[site].numbers()?)?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let change = Change::of(site, 2, Symmetric { size, cells }, None);
        assert!((change.largest - 1.0).abs() < 1e-9, "{}", change.largest);
        assert_eq!(change.effective_rank, None);
    }
}
