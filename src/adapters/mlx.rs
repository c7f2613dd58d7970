//! mlx-lm's adapter folders: `adapter_config.json` and `adapters.safetensors`, with A and B transposed, one rank and one
//! scale for all.

use super::config::{AdapterConfig, alpha_value, rank_value};
use super::lora::{Adapter, Module};
use super::parts::{self, Part};
use super::stored::{CONFIG, Format, Stored};
use crate::model::config::Config;
use crate::model::linear::{Projection, Site};
use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const PREFIX: &str = "model.";
/// The weights' file.
pub const WEIGHTS: &str = "adapters.safetensors";

/// What of an `adapter_config.json` changes the arithmetic.
#[derive(Deserialize)]
struct Fields {
    #[serde(default = "lora")]
    fine_tune_type: String,
    lora_parameters: Parameters,
    model: Option<String>,
}

#[derive(Deserialize)]
struct Parameters {
    rank: Value,
    scale: Value,
    dropout: Option<f64>,
}

fn lora() -> String {
    "lora".to_owned()
}

/// Reads the fields of an `adapter_config.json`; which projections there are is left to the weights.
pub fn config(fields: &Map<String, Value>) -> Result<AdapterConfig> {
    let fields = Fields::deserialize(fields).context("no config of an mlx-lm adapter")?;
    let dora = match fields.fine_tune_type.as_str() {
        "lora" => false,
        "dora" => true,
        other => bail!("fine_tune_type = {other:?} is not supported (supported: lora, dora)"),
    };
    let parameters = fields.lora_parameters;
    let rank = rank_value(&parameters.rank).context("lora_parameters.rank")?;
    let scale = alpha_value(&parameters.scale).context("lora_parameters.scale")?;
    let dropout = parameters.dropout.unwrap_or(0.0);
    ensure!(
        (0.0..1.0).contains(&dropout),
        "lora_parameters.dropout is {dropout}, expected 0 to below 1"
    );
    Ok(AdapterConfig {
        dora,
        dropout,
        base: fields.model,
        complete: false,
        ..AdapterConfig::new(rank, scale * rank as f64)
    })
}

/// What the weights' file of a folder with this config holds.
pub fn parse(mut config: AdapterConfig, weights: &[u8]) -> Result<Stored> {
    let parts = parts::safetensors(weights, place)?.transposed()?;
    let modules = parts.modules(config.dora, |_| Some(config.rank))?;
    config.target_sites(modules.keys().copied());
    Ok(Stored {
        format: Format::Mlx,
        config,
        modules,
        architecture: None,
        selection: None,
    })
}

/// `model.layers.3.self_attn.q_proj.lora_a` to its site and part.
fn place(name: &str) -> Option<(Site, Part)> {
    let (module, part) = name.strip_prefix(PREFIX)?.rsplit_once('.')?;
    let part = match part {
        "lora_a" => Part::A,
        "lora_b" => Part::B,
        "m" => Part::Magnitude,
        _ => return None,
    };
    Some((parts::site(module)?, part))
}

/// The two files of `adapter`'s folder, by name, for a base of this shape. The scale is that of the first module: where
/// another has its own, B takes the difference; a lower rank is filled up with zeros.
pub fn files(adapter: &Adapter, base: &Config) -> Result<[(&'static str, Vec<u8>); 2]> {
    let sites = || adapter.modules.keys();
    let first = *sites().next().context("the adapter has no modules")?;
    let scale = match adapter.config.scale_of(first) {
        0.0 => 1.0,
        scale => scale,
    };
    let ranks = adapter.modules.values().map(|module| module.a.dim(0));
    let rank = ranks.collect::<candle_core::Result<Vec<_>>>()?;
    let rank = rank.into_iter().max().unwrap_or(1);
    let mut tensors = Vec::new();
    for (site, Module { a, b, dora }) in &adapter.modules {
        let b = parts::times(b, adapter.config.scale_of(*site) / scale)?;
        for (part, tensor) in [
            ("lora_a", filled(a, rank)?.t()?),
            ("lora_b", filled(&b.t()?, rank)?),
        ] {
            tensors.push((format!("{PREFIX}{site}.{part}"), tensor.contiguous()?));
        }
        if let Some(dora) = dora {
            tensors.push((format!("{PREFIX}{site}.m"), dora.m.clone()));
        }
    }
    // Keys are the names in a layer; what a layer lacks of them stays as mlx-lm starts it, which changes nothing.
    let projections: BTreeSet<Projection> = sites().map(|site| site.projection).collect();
    let keys = projections.into_iter().map(|projection| {
        let site = Site {
            projection,
            ..first
        }
        .to_string();
        site.splitn(3, '.').nth(2).unwrap_or_default().to_owned()
    });
    let config = json!({
        "fine_tune_type": if adapter.config.dora { "dora" } else { "lora" },
        "num_layers": base.num_hidden_layers - first.layer,
        "lora_parameters": {
            "rank": rank,
            "scale": scale,
            "dropout": adapter.config.dropout,
            "keys": keys.collect::<Vec<_>>(),
        },
        "model": adapter.config.base,
    });
    Ok([
        (CONFIG, parts::json(&config)?),
        (WEIGHTS, parts::to_safetensors(&tensors)?),
    ])
}

/// A matrix with rows of zeros below, `rows` in all.
fn filled(matrix: &Tensor, rows: usize) -> Result<Tensor> {
    let (there, width) = matrix.dims2()?;
    if there == rows {
        return Ok(matrix.clone());
    }
    let zeros = Tensor::zeros((rows - there, width), DType::F32, matrix.device())?;
    Ok(Tensor::cat(&[matrix, &zeros], 0)?)
}
