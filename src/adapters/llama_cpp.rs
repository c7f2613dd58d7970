//! llama.cpp's LoRA files: a GGUF with one alpha, and a rank of each tensor's own.

use super::config::{AdapterConfig, MAX_RANK, alpha_value};
use super::lora::{Adapter, Module};
use super::parts::{self, Part, Parts};
use super::stored::{Format, Stored};
use crate::model::config::{Config, Family};
use crate::model::gguf::{self, projection_name};
use crate::model::linear::{Projection, Site};
use anyhow::{Context, Result, anyhow, ensure};
use candle_core::Device;
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Cursor;

const ALPHA: &str = "adapter.lora.alpha";
const KIND: [(&str, &str); 2] = [("general.type", "adapter"), ("adapter.type", "lora")];

/// What a file holds.
pub fn parse(bytes: &[u8]) -> Result<Stored> {
    let mut file = Cursor::new(bytes);
    let content = gguf::content(&mut file, bytes.len() as u64)?;
    let text = |key: &str| content.metadata.get(key).and_then(|v| v.to_string().ok());
    for (key, expected) in KIND {
        let found = text(key).map_or("missing", |found| found.as_str());
        ensure!(
            found == expected,
            "GGUF metadata {key} is {found}, expected {expected}: no LoRA adapter (a base model is given as --base)"
        );
    }
    ensure!(
        !content
            .metadata
            .keys()
            .any(|key| key.starts_with("adapter.alora.")),
        "an aLoRA, which acts behind its invocation tokens alone, is not supported"
    );
    let family =
        text("general.architecture").context("GGUF metadata general.architecture is missing")?;
    let alpha = content.metadata.get(ALPHA).and_then(gguf::number);
    let alpha = alpha_value(&json!(alpha)).context(ALPHA)?;
    let mut parts = Parts::default();
    let mut names: Vec<&String> = content.tensor_infos.keys().collect();
    names.sort();
    for name in names {
        let tensor = content.tensor(&mut file, name, &Device::Cpu);
        let tensor = tensor.and_then(|q| q.dequantize(&Device::Cpu));
        let tensor = tensor.map_err(|e| anyhow!("tensor {name}: {e}"))?;
        parts.add(name, place(name), &tensor)?;
    }
    let modules = parts.modules(false, |_| None)?;
    let mut ranks = BTreeMap::new();
    for (site, module) in &modules {
        let rank = module.a.dim(0)?;
        ensure!(
            rank as u64 <= MAX_RANK,
            "{site}: rank {rank} is above {MAX_RANK}"
        );
        ranks.insert(*site, rank);
    }
    Ok(Stored {
        format: Format::Gguf,
        // llama.cpp takes alpha 0 for no alpha: a scale of 1.
        config: match alpha {
            0.0 => AdapterConfig::of_ranks(&ranks, None)?,
            alpha => AdapterConfig::of_ranks(&ranks, Some(alpha))?,
        },
        modules,
        architecture: Some(Family::from_gguf_name(family)?),
        selection: None,
    })
}

/// `blk.3.attn_q.weight.lora_a` to its site and part.
fn place(name: &str) -> Option<(Site, Part)> {
    let (module, part) = name.rsplit_once(".weight.")?;
    let part = match part {
        "lora_a" => Part::A,
        "lora_b" => Part::B,
        _ => return None,
    };
    let (layer, projection) = module.strip_prefix("blk.")?.split_once('.')?;
    let site = Site {
        layer: layer.parse().ok()?,
        projection: Projection::ALL
            .into_iter()
            .find(|p| projection_name(*p) == projection)?,
    };
    (module == weight_name(site)).then_some((site, part))
}

/// The base's tensor at a site, without its `.weight`.
fn weight_name(site: Site) -> String {
    format!("blk.{}.{}", site.layer, projection_name(site.projection))
}

/// The file that holds `adapter` for a base of this shape. Alpha is that of the first module: where another has its own, B
/// takes the difference.
pub fn file(adapter: &Adapter, base: &Config) -> Result<Vec<u8>> {
    ensure!(
        !adapter.config.dora,
        "a GGUF LoRA has no place for DoRA's magnitudes: merge the adapter into its base (factory adapter merge)"
    );
    let scale_by_rank = |(site, module): (&Site, &Module)| {
        Ok::<_, anyhow::Error>(adapter.config.scale_of(*site) * module.a.dim(0)? as f64)
    };
    let first = adapter
        .modules
        .iter()
        .next()
        .context("the adapter has no modules")?;
    let alpha = match scale_by_rank(first)? as f32 {
        0.0 => 1.0,
        alpha => alpha,
    };
    let mut tensors: Vec<(String, QTensor)> = Vec::new();
    for (site, module) in &adapter.modules {
        let factor = scale_by_rank((site, module))? / f64::from(alpha);
        let mut b = parts::times(&module.b, factor)?.to_device(&Device::Cpu)?;
        if let Some(heads) = gguf::permuted_heads(base, site.projection) {
            b = gguf::permute(&b, heads)?;
        }
        let a = module.a.to_device(&Device::Cpu)?;
        for (part, tensor) in [("lora_a", a), ("lora_b", b)] {
            let name = format!("{}.weight.{part}", weight_name(*site));
            parts::finite(&name, &tensor).context("training diverged")?;
            tensors.push((
                name,
                QTensor::quantize(&tensor.contiguous()?, GgmlDType::F32)?,
            ));
        }
    }
    let text = |text: &str| Value::String(text.to_owned());
    let mut metadata = KIND.map(|(key, value)| (key, text(value))).to_vec();
    metadata.push(("general.architecture", text(base.family.gguf_name())));
    metadata.push((ALPHA, Value::F32(alpha)));
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    let mut file = Cursor::new(Vec::new());
    gguf_file::write(&mut file, &metadata, &tensors)?;
    Ok(file.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_base_and_parsed_strictly() {
        let (site, part) = place("blk.12.ffn_down.weight.lora_b").unwrap();
        assert_eq!(
            (site.layer, site.projection, part),
            (12, Projection::Down, Part::B)
        );
        for wrong in [
            "blk.012.ffn_down.weight.lora_b",
            "blk.12.ffn_norm.weight.lora_b",
            "blk.12.ffn_down.lora_b",
            "blk.12.ffn_down.weight.lora_c",
            "output.weight.lora_a",
        ] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
