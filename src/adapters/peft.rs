//! PEFT's adapter folders: `adapter_config.json` and `adapter_model.safetensors`.

use super::config::AdapterConfig;
use super::lora::Adapter;
use super::parts::{self, Part};
use super::selection::Selection;
use super::stored::{CONFIG, Format, Stored};
use crate::model::linear::Site;
use anyhow::{Result, ensure};
use std::collections::BTreeSet;

const PREFIX: &str = "base_model.model.model.";
/// What the names of modules in a PEFT model start with, before those of the base.
const WRAPPED: &str = "base_model.model.";
/// What holds a decoder's layers, by what was saved: a PEFT model, a model with a head or without, the text part of another.
const HOLDERS: [&str; 4] = ["base_model", "model", "language_model", "text_model"];
/// What torch and its trainers add to names: compiled, distributed, sharded, recomputed.
const WRAPPERS: [&str; 4] = [
    "_orig_mod",
    "module",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
];
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
pub fn parse(mut config: AdapterConfig, selection: Selection, weights: &[u8]) -> Result<Stored> {
    let mut kinds = BTreeSet::new();
    let parts = parts::safetensors(weights, |name| {
        let name = Name::of(name)?;
        kinds.insert((name.before, name.adapter));
        Some((name.site, name.part))
    })?;
    let called = |(before, adapter): &(String, Option<String>)| match adapter {
        Some(adapter) => format!("{before}layers of adapter {adapter}"),
        None => format!("{before}layers"),
    };
    ensure!(
        kinds.len() <= 1,
        "the tensors are of several adapters or models: {}",
        Vec::from_iter(kinds.iter().map(called)).join(", ")
    );
    let modules = parts.modules(config.dora, |site| Some(config.rank_of(site)))?;
    config.target_sites(modules.keys().copied());
    let before = kinds
        .pop_first()
        .map(|(before, _)| before)
        .unwrap_or_default();
    // What was not saved by PEFT has names that its config does not know.
    let before = before.strip_prefix(WRAPPED).unwrap_or("model.").to_owned();
    Ok(Stored {
        format: Format::Peft,
        modules,
        config,
        architecture: None,
        selection: Some((selection, before)),
    })
}

/// What a tensor's name says.
#[derive(Debug, PartialEq)]
struct Name {
    /// What stands before `layers`, such as `base_model.model.model.`, without wrappers.
    before: String,
    /// The adapter's name, which PEFT leaves out and a state dict has.
    adapter: Option<String>,
    site: Site,
    part: Part,
}

impl Name {
    /// Takes `…layers.3.self_attn.q_proj.lora_A.weight` apart.
    fn of(name: &str) -> Option<Self> {
        let words = name.split('.').filter(|word| !WRAPPERS.contains(word));
        let words: Vec<&str> = words.collect();
        let layers = words.iter().position(|word| *word == "layers")?;
        let (before, rest) = words.split_at(layers);
        if !before.iter().all(|word| HOLDERS.contains(word)) {
            return None;
        }
        let (module, tensor) = rest.split_at_checked(4)?;
        let (part, adapter) = match *tensor {
            ["lora_A", "weight"] => (Part::A, None),
            ["lora_B", "weight"] => (Part::B, None),
            ["lora_A", adapter, "weight"] => (Part::A, Some(adapter)),
            ["lora_B", adapter, "weight"] => (Part::B, Some(adapter)),
            ["lora_magnitude_vector"] | ["lora_magnitude_vector", "weight"] => {
                (Part::Magnitude, None)
            }
            ["lora_magnitude_vector", adapter] | ["lora_magnitude_vector", adapter, "weight"] => {
                (Part::Magnitude, Some(adapter))
            }
            _ => return None,
        };
        Some(Self {
            before: before.iter().map(|word| format!("{word}.")).collect(),
            adapter: adapter.map(str::to_owned),
            site: parts::site(&module.join("."))?,
            part,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::linear::Projection;

    #[test]
    fn names_are_those_that_people_have() {
        let site = Site {
            layer: 3,
            projection: Projection::Up,
        };
        let module = "layers.3.mlp.up_proj";
        for (name, before, adapter, part) in [
            (
                "base_model.model.model.M.lora_B.weight",
                "base_model.model.model.",
                None,
                Part::B,
            ),
            (
                "base_model.model.M.lora_A.weight",
                "base_model.model.",
                None,
                Part::A,
            ),
            ("model.M.lora_A.weight", "model.", None, Part::A),
            ("M.lora_A.weight", "", None, Part::A),
            (
                "base_model.model.model.M.lora_A.my-sql.weight",
                "base_model.model.model.",
                Some("my-sql"),
                Part::A,
            ),
            (
                "_orig_mod.base_model.model.model.M.lora_B.default.weight",
                "base_model.model.model.",
                Some("default"),
                Part::B,
            ),
            (
                "module.base_model.model._orig_mod.model.M.lora_B.weight",
                "base_model.model.model.",
                None,
                Part::B,
            ),
            (
                "base_model.model.model.language_model.M.lora_B.weight",
                "base_model.model.model.language_model.",
                None,
                Part::B,
            ),
            (
                "base_model.model.model.M.lora_magnitude_vector",
                "base_model.model.model.",
                None,
                Part::Magnitude,
            ),
            (
                "base_model.model.model.M.lora_magnitude_vector.default.weight",
                "base_model.model.model.",
                Some("default"),
                Part::Magnitude,
            ),
            (
                "base_model.model.model.M.lora_magnitude_vector.weight",
                "base_model.model.model.",
                None,
                Part::Magnitude,
            ),
        ] {
            let expected = Name {
                before: before.to_owned(),
                adapter: adapter.map(str::to_owned),
                site,
                part,
            };
            assert_eq!(
                Name::of(&name.replace('M', module)),
                Some(expected),
                "{name}"
            );
        }
        let sharded = "base_model.model.model.layers.3._fsdp_wrapped_module._checkpoint_wrapped_module.mlp.up_proj.lora_A.weight";
        assert_eq!(Name::of(sharded).unwrap().site, site);
    }

    #[test]
    fn names_are_parsed_strictly() {
        for wrong in [
            "base_model.model.model.layers.3.self_attn.up_proj.lora_A.weight",
            "base_model.model.model.layers.03.mlp.up_proj.lora_A.weight",
            "base_model.model.model.embed_tokens.lora_embedding_A",
            "base_model.model.lm_head.lora_A.weight",
            // Another kind of model.
            "base_model.model.model.decoder.layers.3.mlp.up_proj.lora_A.weight",
            "base_model.model.model.layers.3.mlp.up_proj.lora_A.bias",
            "base_model.model.model.layers.3.mlp.up_proj.weight",
            "base_model.model.model.layers.3.mlp.experts.0.up_proj.lora_A.weight",
            "layers",
        ] {
            assert_eq!(Name::of(wrong), None, "{wrong}");
        }
    }
}
