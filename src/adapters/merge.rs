//! A mixture of adapters merged into the weights of its base.

use super::bank::{Bank, Mixture};
use super::lora::Module;
use super::parts;
use crate::model::decoder::Weights;
use crate::model::load;
use anyhow::{Context, Result};
use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Largest file beside the weights that is taken over.
const MAX_FILE: u64 = 64 << 20;
/// Files that hold weights, which the merged ones replace.
const WEIGHTS: [&str; 8] = [
    // transformers would load the adapter that it speaks of.
    "adapter_config.json",
    ".safetensors",
    ".safetensors.index.json",
    ".bin",
    ".bin.index.json",
    ".pt",
    ".pth",
    ".gguf",
];

/// The files of the merged model: everything that stands in the base's `folder` beside its weights, and `model.safetensors`.
/// Weights keep the type in which the base stores them unless `dtype` says otherwise.
pub fn files(
    folder: &Path,
    bank: &Bank,
    mixture: &Mixture,
    dtype: Option<DType>,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let cannot = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let meta = fs::metadata(&path).with_context(cannot)?;
        let weights = WEIGHTS.iter().any(|end| name.ends_with(end));
        if !meta.is_file() || weights || name.starts_with('.') || meta.len() > MAX_FILE {
            continue;
        }
        let mut content =
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if let ("config.json", Some(dtype)) = (name.as_str(), dtype) {
            content = with_dtype(&content, dtype).with_context(|| path.display().to_string())?;
        }
        files.insert(name, content);
    }
    let merged = weights(folder, bank, mixture, dtype)?;
    files.insert("model.safetensors".to_owned(), merged);
    Ok(files)
}

/// A config that names the type of its weights.
fn with_dtype(config: &[u8], dtype: DType) -> Result<Vec<u8>> {
    let mut config: Value = serde_json::from_slice(config)?;
    let name = match dtype {
        DType::BF16 => "bfloat16",
        DType::F16 => "float16",
        _ => "float32",
    };
    for key in ["dtype", "torch_dtype"] {
        if let Some(value) = config.get_mut(key) {
            *value = name.into();
        }
    }
    Ok(serde_json::to_vec_pretty(&config)?)
}

/// By the transformers name of a weight its modules, with scale and weight.
type Changes<'a> = BTreeMap<String, Vec<(&'a Module, f64, f64)>>;

fn changes<'a>(bank: &'a Bank, mixture: &Mixture) -> Changes<'a> {
    let mut changes = Changes::new();
    for &(member, weight) in &mixture.0 {
        let adapter = &bank.members()[member].adapter;
        for (site, module) in &adapter.modules {
            let change = (module, adapter.config.scale_of(*site), weight);
            changes
                .entry(format!("model.{site}.weight"))
                .or_default()
                .push(change);
        }
    }
    changes
}

/// The weights of a base with a mixture merged in, computed one by one as they are asked for.
pub struct Merged<'a> {
    base: &'a dyn Weights,
    changes: Changes<'a>,
}

impl<'a> Merged<'a> {
    /// Of `base` and a mixture of the bank's members, which were loaded for it.
    pub fn new(base: &'a dyn Weights, bank: &'a Bank, mixture: &Mixture) -> Self {
        let changes = changes(bank, mixture);
        Self { base, changes }
    }
}

impl Weights for Merged<'_> {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.base.shape(name)
    }

    fn tensor(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let Some(changes) = self.changes.get(name) else {
            return self.base.tensor(name, dtype, device);
        };
        let weight = self.base.tensor(name, DType::F32, &Device::Cpu)?;
        let merged = merged(&weight, changes)?;
        Ok(merged.to_dtype(dtype)?.to_device(device)?)
    }
}

fn weights(folder: &Path, bank: &Bank, mixture: &Mixture, dtype: Option<DType>) -> Result<Vec<u8>> {
    let shards = load::weight_files(folder)?;
    // SAFETY: the map is read while it lives; see model::load.
    let stored = unsafe { MmapedSafetensors::multi(&shards) }
        .with_context(|| format!("{}: the weights cannot be read", folder.display()))?;
    let changes = changes(bank, mixture);
    let mut names: Vec<String> = stored.tensors().into_iter().map(|(name, _)| name).collect();
    names.sort();
    let mut tensors = Vec::new();
    for name in names {
        let mut tensor = stored.load(&name, &Device::Cpu)?;
        let kept = dtype.unwrap_or(tensor.dtype());
        if let Some(changes) = changes.get(&name) {
            tensor = merged(&tensor.to_dtype(DType::F32)?, changes)?;
        }
        tensors.push((name, tensor.to_dtype(kept)?));
    }
    parts::serialize(&tensors)
}

/// W + Σ w·Δ: s·B·A of LoRA, gain ∘ (W + s·B·A) − W of DoRA. `changes` are modules with their scale and weight.
fn merged(weight: &Tensor, changes: &[(&Module, f64, f64)]) -> candle_core::Result<Tensor> {
    let mut sum = weight.clone();
    for (module, scale, share) in changes {
        let product = (module
            .b
            .to_device(&Device::Cpu)?
            .matmul(&module.a.to_device(&Device::Cpu)?)?
            * *scale)?;
        let change = match &module.dora {
            None => product,
            Some(dora) => {
                let gain = dora.gain().to_device(&Device::Cpu)?.unsqueeze(1)?;
                ((weight + product)?.broadcast_mul(&gain)? - weight)?
            }
        };
        sum = (sum + (change * *share)?)?;
    }
    Ok(sum)
}
