//! All that a run needs to go on as if it had never stopped: the adapter's parameters, the optimizer's moments, and the step,
//! from which the order of rows, the schedule and the dropout masks follow.

use super::config::TrainConfig;
use super::optim::Optimizer;
use super::sft::Example;
use crate::adapters::lora::Adapter;
use crate::model::decoder::Decoder;
use crate::run::words::hex;
use anyhow::{Context, Result, anyhow, ensure};
use candle_core::{DType, Tensor};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// What of the metadata tells this format from others.
const FORMAT: &str = "factory training state 2";
const MOMENTS: [&str; 2] = ["m", "v"];

/// What the steps of a run depend on beside the adapter: what is `said` of it, its rows, the shape of its base and a row of each
/// of the base's projections, since merging an adapter changes all. A state of another run is refused.
pub fn identity(said: &[String], examples: &[Example], decoder: &Decoder) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(format!("{FORMAT}\n{said:?}\n{:?}\n", decoder.config));
    hash.update(decoder.sample()?);
    for example in examples {
        hash.update(format!("{:?} {:?}\n", example.tokens, example.learned));
    }
    Ok(hex(&hash.finalize()))
}

/// The state after `step` steps of the run `identity`.
pub fn to_bytes(
    adapter: &Adapter,
    optimizer: &Optimizer,
    step: usize,
    identity: &str,
    notes: &str,
) -> Result<Vec<u8>> {
    let mut tensors: BTreeMap<String, &Tensor> = BTreeMap::new();
    for (name, parameter) in adapter.parameters() {
        if let Some(moments) = optimizer.moments(&name) {
            for (kind, moment) in MOMENTS.iter().zip(moments) {
                tensors.insert(format!("{kind}.{name}"), moment);
            }
        }
        tensors.insert(format!("p.{name}"), parameter);
    }
    let mut content = Vec::new();
    for (name, tensor) in tensors {
        let values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        content.push((name, tensor.dims().to_vec(), bytes));
    }
    let mut metadata = HashMap::from([
        ("format".to_owned(), FORMAT.to_owned()),
        ("step".to_owned(), step.to_string()),
        ("identity".to_owned(), identity.to_owned()),
        ("notes".to_owned(), notes.to_owned()),
    ]);
    let sum = sum(
        &metadata,
        content
            .iter()
            .map(|(name, _, bytes)| (name.as_str(), &bytes[..])),
    );
    metadata.insert("sha256".to_owned(), sum);
    let views = content.iter().map(|(name, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(Dtype::F32, shape.clone(), bytes)?;
        Ok((name.as_str(), view))
    });
    let views: Vec<_> = views.collect::<Result<_>>()?;
    Ok(safetensors::serialize(views, Some(metadata))?)
}

/// Over what is said and what is stored, tensors by name.
fn sum<'a>(
    metadata: &HashMap<String, String>,
    tensors: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> String {
    let mut hash = Sha256::new();
    for key in ["step", "identity", "notes"] {
        hash.update(format!(
            "{key}={}\n",
            metadata.get(key).map_or("", String::as_str)
        ));
    }
    for (name, bytes) in tensors {
        hash.update(format!("{name} {}\n", bytes.len()));
        hash.update(bytes);
    }
    hex(&hash.finalize())
}

/// What a state says beside its tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Steps that are done.
    pub step: usize,
    pub notes: String,
}

/// Puts `adapter` and `optimizer` into the state that `bytes` hold. Errors, before anything was changed, where they are
/// damaged or of another run.
pub fn restore(
    bytes: &[u8],
    identity: &str,
    config: &TrainConfig,
    adapter: &mut Adapter,
    optimizer: &mut Optimizer,
    decoder: &Decoder,
) -> Result<Stored> {
    let damaged = |e: safetensors::SafeTensorError| anyhow!("damaged: {e}");
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let said = |key: &str| metadata.get(key).cloned().unwrap_or_default();
    ensure!(said("format") == FORMAT, "no state of a training run");
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let mut names = file.names();
    names.sort();
    let mut views = Vec::new();
    for name in names {
        views.push((name, file.tensor(name)?));
    }
    let found = sum(
        &metadata,
        views.iter().map(|(name, view)| (*name, view.data())),
    );
    ensure!(
        found == said("sha256"),
        "damaged: its content is not what was written"
    );
    ensure!(
        said("identity") == identity,
        "of a run with other settings, rows, rewards, start or base"
    );
    let step: usize = said("step").parse().context("damaged: no step")?;
    let mut tensors = BTreeMap::new();
    for (name, view) in &views {
        let tensor =
            Tensor::from_raw_buffer(view.data(), DType::F32, view.shape(), &decoder.device)?;
        tensors.insert((*name).to_owned(), tensor);
    }
    // None in steps that had nothing to learn from.
    let moment = format!("{}.", MOMENTS[0]);
    let stepped = views.iter().any(|(name, _)| name.starts_with(&moment));
    let mut take = |name: String, like: &Tensor| -> Result<Tensor> {
        let tensor = tensors
            .remove(&name)
            .with_context(|| format!("{name} is missing"))?;
        ensure!(
            tensor.dims() == like.dims(),
            "{name} is {:?}, expected {:?}",
            tensor.dims(),
            like.dims()
        );
        Ok(tensor)
    };
    let (mut parameters, mut moments) = (Vec::new(), BTreeMap::new());
    for (name, parameter) in adapter.parameters() {
        if stepped {
            let [m, v] = MOMENTS.map(|kind| take(format!("{kind}.{name}"), parameter));
            moments.insert(name.clone(), [m?, v?]);
        }
        parameters.push(take(format!("p.{name}"), parameter)?);
    }
    for ((_, old), new) in adapter.parameters_mut().zip(parameters) {
        *old = new;
    }
    adapter.refresh(decoder)?;
    *optimizer = Optimizer::restored(decoder.path, config.weight_decay, step, moments);
    Ok(Stored {
        step,
        notes: said("notes"),
    })
}
