//! PEFT's adapter folders: `adapter_config.json` and `adapter_model.safetensors`.

use super::config::AdapterConfig;
use super::lora::Adapter;
use super::parts::{self, Part};
use super::stored::{CONFIG, Format, Stored};
use crate::model::linear::Site;
use anyhow::Result;

const PREFIX: &str = "base_model.model.model.";
/// The weights' file.
pub const WEIGHTS: &str = "adapter_model.safetensors";

/// The two files of `adapter`'s folder, by name. Tensors are stored as f32.
pub fn files(adapter: &Adapter) -> Result<[(&'static str, Vec<u8>); 2]> {
    let mut tensors = Vec::new();
    for (name, tensor) in adapter.parameters() {
        let suffix = if name.ends_with("lora_magnitude_vector") {
            ""
        } else {
            ".weight"
        };
        tensors.push((format!("{PREFIX}{name}{suffix}"), tensor.contiguous()?));
    }
    let config = adapter.config.to_json(adapter.modules.keys().copied());
    Ok([
        (CONFIG, parts::json(&config)?),
        (WEIGHTS, parts::to_safetensors(&tensors)?),
    ])
}

/// What the weights' file of a folder with this config holds.
pub fn parse(config: AdapterConfig, weights: &[u8]) -> Result<Stored> {
    let parts = parts::safetensors(weights, place)?;
    Ok(Stored {
        format: Format::Peft,
        modules: parts.modules(config.dora, |site| Some(config.rank_of(site)))?,
        config,
        architecture: None,
    })
}

/// `…layers.3.self_attn.q_proj.lora_A.weight` to its site and part.
fn place(name: &str) -> Option<(Site, Part)> {
    let rest = name.strip_prefix(PREFIX)?;
    let (module, part) = [
        (".lora_A.weight", Part::A),
        (".lora_B.weight", Part::B),
        (".lora_magnitude_vector", Part::Magnitude),
    ]
    .into_iter()
    .find_map(|(suffix, part)| Some((rest.strip_suffix(suffix)?, part)))?;
    Some((parts::site(module)?, part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::linear::Projection;

    #[test]
    fn names_are_parsed_strictly() {
        let name = format!("{PREFIX}layers.3.mlp.up_proj.lora_B.weight");
        let (site, part) = place(&name).unwrap();
        assert_eq!(
            (site.layer, site.projection, part),
            (3, Projection::Up, Part::B)
        );
        for wrong in [
            "layers.3.self_attn.up_proj.lora_A.weight",
            "layers.03.mlp.up_proj.lora_A.weight",
            "embed.lora_A.weight",
        ] {
            assert_eq!(place(&format!("{PREFIX}{wrong}")), None, "{wrong}");
        }
    }
}
