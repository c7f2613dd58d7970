//! The tensors of an adapter's file, and the modules that they make.

use crate::model::linear::{Projection, Site};
use crate::model::mismatch::describe;
use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The parameters on one projection, f32 on the CPU.
#[derive(Debug)]
pub struct StoredModule {
    /// `[r, in]`
    pub a: Tensor,
    /// `[out, r]`
    pub b: Tensor,
    /// `[out]`
    pub m: Option<Tensor>,
}

/// What a tensor is to its projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    A,
    B,
    Magnitude,
}

/// The tensors of a file as they are found.
#[derive(Default)]
pub struct Parts {
    found: BTreeMap<(Site, Part), Tensor>,
    wrong: Vec<String>,
}

impl Parts {
    /// Adds the tensor called `name`, which is at `place` if its name says where.
    pub fn add(&mut self, name: &str, place: Option<(Site, Part)>, tensor: &Tensor) -> Result<()> {
        let Some(place) = place else {
            self.refuse(match name.contains("lora_") {
                true => format!("{name}: no LoRA tensor of a supported module"),
                false => format!("{name}: a module's own weights, which modules_to_save and resized embeddings bring, are not supported"),
            });
            return Ok(());
        };
        // It keeps its place, so that its partner is not called alone.
        let tensor = tensor.to_dtype(DType::F32)?;
        if let Err(error) = finite(name, &tensor) {
            self.refuse(error.to_string());
        }
        if self.found.insert(place, tensor).is_some() {
            self.refuse(format!("{name}: its module has such a tensor already"));
        }
        Ok(())
    }

    /// Takes note of what makes the file useless, to be said with the rest.
    pub fn refuse(&mut self, fault: String) {
        self.wrong.push(fault);
    }

    /// The same with every matrix transposed.
    pub fn transposed(mut self) -> Result<Self> {
        for tensor in self.found.values_mut() {
            if tensor.rank() == 2 {
                *tensor = tensor.t()?.contiguous()?;
            }
        }
        Ok(self)
    }

    /// The modules. `rank` tells what a site's must be; magnitudes are there if and only if `dora`.
    pub fn modules(
        mut self,
        dora: bool,
        rank: impl Fn(Site) -> Option<usize>,
    ) -> Result<BTreeMap<Site, StoredModule>> {
        let sites: BTreeSet<Site> = self.found.keys().map(|(site, _)| *site).collect();
        let mut modules = BTreeMap::new();
        for &site in &sites {
            let mut take = |part| self.found.remove(&(site, part));
            let (a, b, m) = (take(Part::A), take(Part::B), take(Part::Magnitude));
            let (a, b) = match (a, b) {
                (Some(a), Some(b)) => (a, b),
                (None, _) => {
                    self.wrong.push(format!("{site} lacks lora_A"));
                    continue;
                }
                (_, None) => {
                    self.wrong.push(format!("{site} lacks lora_B"));
                    continue;
                }
            };
            let rank = rank(site).or(a.dims().first().copied()).unwrap_or(0);
            let fits = match (a.dims(), b.dims(), m.as_ref().map(Tensor::dims)) {
                (&[ra, _], &[_, rb], None) => ra == rank && rb == rank,
                (&[ra, _], &[out, rb], Some(m)) => ra == rank && rb == rank && m == [out],
                _ => false,
            };
            if !fits || rank == 0 {
                let (a, b) = (a.dims(), b.dims());
                self.wrong.push(format!(
                    "{site} of rank {rank} has lora_A {a:?} and lora_B {b:?}"
                ));
            } else if m.is_some() != dora {
                self.wrong.push(match dora {
                    true => format!("{site} lacks its magnitudes"),
                    false => format!("{site} has magnitudes, but the config is not DoRA's"),
                });
            } else {
                modules.insert(site, StoredModule { a, b, m });
            }
        }
        refuse(&self.wrong, "the adapter's tensors do not fit its config")?;
        ensure!(!modules.is_empty(), "the file holds no adapter tensors");
        Ok(modules)
    }
}

/// The tensors of a safetensors file; `place` tells from a name what it is.
pub fn safetensors(
    bytes: &[u8],
    mut place: impl FnMut(&str) -> Option<(Site, Part)>,
) -> Result<Parts> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| anyhow!("not a complete safetensors file: {e}"))?;
    let mut parts = Parts::default();
    let mut names = file.names();
    names.sort();
    for name in names {
        let view = file.tensor(name)?;
        let dtype = match view.dtype() {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => {
                parts.refuse(format!(
                    "{name} is stored as {other:?}, expected F32, F16 or BF16"
                ));
                continue;
            }
        };
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?;
        parts.add(name, place(name), &tensor)?;
    }
    Ok(parts)
}

/// Errors where a value of an f32 tensor is not finite.
pub fn finite(name: &str, tensor: &Tensor) -> Result<()> {
    let values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
    ensure!(
        values.iter().all(|v| v.is_finite()),
        "{name} holds NaN or infinite values"
    );
    Ok(())
}

/// The site called `layers.3.self_attn.q_proj`.
pub fn site(module: &str) -> Option<Site> {
    let layer = module.strip_prefix("layers.")?.split('.').next()?;
    let projection = Projection::from_name(module.rsplit('.').next()?)?;
    let site = Site {
        layer: layer.parse().ok()?,
        projection,
    };
    (site.to_string() == module).then_some(site)
}

/// A safetensors file of f32 tensors. Errors where a value is not finite.
pub fn to_safetensors(tensors: &[(String, Tensor)]) -> Result<Vec<u8>> {
    for (name, tensor) in tensors {
        finite(name, tensor).context("training diverged")?;
    }
    serialize(tensors)
}

/// A safetensors file of tensors as they are, with the metadata that torch's readers ask for.
pub fn serialize(tensors: &[(String, Tensor)]) -> Result<Vec<u8>> {
    let views = tensors.iter().map(|(name, tensor)| (name, tensor));
    let metadata = [("format".to_owned(), "pt".to_owned())];
    Ok(safetensors::serialize(views, Some(metadata.into()))?)
}

/// A config's file.
pub fn json(config: &Value) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(config)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A tensor times a factor; as it is where that is 1 up to f32's rounding.
pub fn times(tensor: &Tensor, factor: f64) -> Result<Tensor> {
    match (factor - 1.0).abs() < f64::from(f32::EPSILON) {
        true => Ok(tensor.clone()),
        false => Ok((tensor * factor)?),
    }
}

/// Errors with every message, if there are any.
pub fn refuse(wrong: &[String], what: &str) -> Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{what} ({} differences): {}", wrong.len(), describe(wrong))
}
