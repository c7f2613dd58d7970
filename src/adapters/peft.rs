//! PEFT adapter folders: `adapter_config.json` and `adapter_model.safetensors`.

use super::config::AdapterConfig;
use super::lora::{Adapter, Magnitude, Module};
use crate::model::decoder::Decoder;
use crate::model::linear::{Projection, Site};
use crate::model::mismatch::describe;
use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

const PREFIX: &str = "base_model.model.model.";
const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// The two files of `adapter`'s folder, by name. Tensors are stored as f32.
pub fn files(adapter: &Adapter) -> Result<[(&'static str, Vec<u8>); 2]> {
    let mut tensors = Vec::new();
    for (name, tensor) in adapter.parameters() {
        let suffix = if name.ends_with("lora_magnitude_vector") {
            ""
        } else {
            ".weight"
        };
        let values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
        ensure!(
            values.iter().all(|v| v.is_finite()),
            "{name} is not finite: training diverged"
        );
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        tensors.push((
            format!("{PREFIX}{name}{suffix}"),
            tensor.dims().to_vec(),
            bytes,
        ));
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(Dtype::F32, shape.clone(), bytes)?;
        Ok((name.as_str(), view))
    });
    let views: Vec<_> = views.collect::<Result<_>>()?;
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    let weights = safetensors::serialize(views, Some(metadata))?;
    let mut config = serde_json::to_vec_pretty(&adapter.config.to_json())?;
    config.push(b'\n');
    Ok([(CONFIG, config), (WEIGHTS, weights)])
}

/// Reads the config of the adapter in `folder`.
pub fn read_config(folder: &Path) -> Result<AdapterConfig> {
    String::from_utf8(read(folder, CONFIG)?)
        .map_err(|_| anyhow!("not UTF-8"))
        .and_then(|text| AdapterConfig::from_json(&text))
        .with_context(|| folder.join(CONFIG).display().to_string())
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    std::fs::read(folder.join(name))
        .with_context(|| format!("adapter {}: reading {name}", folder.display()))
}

/// Reads the adapter in `folder` for `decoder`. Every tensor whose name or shape does not fit the
/// decoder is named in one error.
pub fn load(folder: &Path, decoder: &Decoder) -> Result<Adapter> {
    let config = read_config(folder)?;
    let bytes = read(folder, WEIGHTS)?;
    let modules = parse(&bytes, &config, decoder)
        .with_context(|| folder.join(WEIGHTS).display().to_string())?;
    let mut adapter = Adapter::new(config, modules, decoder.path);
    adapter.refresh(decoder)?;
    Ok(adapter)
}

fn parse(
    bytes: &[u8],
    config: &AdapterConfig,
    decoder: &Decoder,
) -> Result<BTreeMap<Site, Module>> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| anyhow!("not a complete safetensors file: {e}"))?;
    let weights: BTreeMap<Site, &Tensor> = decoder.projections().collect();
    let (mut found, mut wrong) = (BTreeMap::new(), Vec::new());
    let mut names = file.names();
    names.sort();
    for name in names {
        let Some((site, part)) = parse_name(name) else {
            wrong.push(format!("{name}: no LoRA tensor of a supported module"));
            continue;
        };
        let Some(weight) = weights.get(&site) else {
            wrong.push(format!("{name}: the base has no {site}"));
            continue;
        };
        let (out, width) = weight.dims2()?;
        let rank = config.rank_of(site);
        let expected = match part {
            Part::A => vec![rank, width],
            Part::B => vec![out, rank],
            Part::Magnitude => vec![out],
        };
        let view = file.tensor(name)?;
        if view.shape() != expected {
            wrong.push(format!(
                "{name} is {:?}, expected {expected:?}",
                view.shape()
            ));
            continue;
        }
        found.insert((site, part), read_f32(name, &view, weight.device())?);
    }
    let sites: BTreeSet<Site> = found.keys().map(|(site, _)| *site).collect();
    let mut modules = BTreeMap::new();
    for &site in &sites {
        let mut take = |part| found.remove(&(site, part));
        let (a, b, m) = (take(Part::A), take(Part::B), take(Part::Magnitude));
        match (a, b, m) {
            (Some(a), Some(b), m) if m.is_some() == config.dora => {
                let dora = m
                    .map(|m| Magnitude::new(Some(m), weights[&site]))
                    .transpose()?;
                modules.insert(site, Module { a, b, dora });
            }
            (a, b, _) => {
                let lacks = match (a, b) {
                    (None, _) => "lacks lora_A",
                    (_, None) => "lacks lora_B",
                    _ if config.dora => "lacks lora_magnitude_vector",
                    _ => "has a lora_magnitude_vector, but use_dora is false",
                };
                wrong.push(format!("{site} {lacks}"));
            }
        }
    }
    if config.complete {
        for site in weights
            .keys()
            .filter(|s| config.targets.contains(&s.projection))
        {
            if !sites.contains(site) {
                wrong.push(format!("{site} has no tensors"));
            }
        }
    }
    if !wrong.is_empty() {
        let (n, all) = (wrong.len(), describe(&wrong));
        bail!("the adapter does not fit this base ({n} differences): {all}");
    }
    ensure!(!modules.is_empty(), "the file holds no adapter tensors");
    Ok(modules)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    A,
    B,
    Magnitude,
}

/// `…layers.3.self_attn.q_proj.lora_A.weight` to its site and part.
fn parse_name(name: &str) -> Option<(Site, Part)> {
    let rest = name.strip_prefix(PREFIX)?;
    let (module, part) = [
        (".lora_A.weight", Part::A),
        (".lora_B.weight", Part::B),
        (".lora_magnitude_vector", Part::Magnitude),
    ]
    .into_iter()
    .find_map(|(suffix, part)| Some((rest.strip_suffix(suffix)?, part)))?;
    let layer = module
        .strip_prefix("layers.")?
        .split('.')
        .next()?
        .parse()
        .ok()?;
    let projection = Projection::from_name(module.rsplit('.').next()?)?;
    let site = Site { layer, projection };
    (site.to_string() == module).then_some((site, part))
}

fn read_f32(name: &str, view: &safetensors::tensor::TensorView, device: &Device) -> Result<Tensor> {
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        other => bail!("{name} is stored as {other:?}, expected F32, F16 or BF16"),
    };
    let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?;
    let tensor = tensor.to_dtype(DType::F32)?;
    let values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
    ensure!(
        values.iter().all(|v| v.is_finite()),
        "{name} holds NaN or infinite values"
    );
    Ok(tensor.to_device(device)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_strictly() {
        let name = format!("{PREFIX}layers.3.mlp.up_proj.lora_B.weight");
        let (site, part) = parse_name(&name).unwrap();
        assert_eq!(
            (site.layer, site.projection, part),
            (3, Projection::Up, Part::B)
        );
        for wrong in [
            "layers.3.self_attn.up_proj.lora_A.weight",
            "layers.03.mlp.up_proj.lora_A.weight",
            "embed.lora_A.weight",
        ] {
            assert_eq!(parse_name(&format!("{PREFIX}{wrong}")), None, "{wrong}");
        }
    }
}
