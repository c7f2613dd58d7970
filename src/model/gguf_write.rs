//! Writes a model as one GGUF file for llama.cpp, its weights as 16-bit floats or in blocks of 8 or 4 bits.

use super::config::{Config, Family};
use super::decoder::{Weights, tensors};
use super::gguf::{gguf_name, permute, weight_heads};
use super::gguf_parts::Parts;
use super::load::Source;
use super::rope::Scaling;
use anyhow::{Context, Result, ensure};
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Stored {
    /// 16-bit floats.
    F16,
    /// Blocks of 32 weights of 8 bits.
    #[value(name = "q8_0")]
    #[serde(rename = "q8_0")]
    Q8,
    /// Blocks of 32 weights of 4 bits; embeddings and head of 8.
    #[value(name = "q4_0")]
    #[serde(rename = "q4_0")]
    Q4,
}

impl Stored {
    /// As flags and llama.cpp call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Q8 => "q8_0",
            Self::Q4 => "q4_0",
        }
    }

    /// llama.cpp's number of it.
    fn file_type(self) -> u32 {
        match self {
            Self::F16 => 1,
            Self::Q8 => 7,
            Self::Q4 => 2,
        }
    }

    /// The type of a tensor: norms and biases stay whole. Embeddings and head tell tokens apart, which 4 bits do worst.
    fn of(self, name: &str, dims: usize) -> GgmlDType {
        match (self, dims) {
            (_, 0 | 1) => GgmlDType::F32,
            (Self::F16, _) => GgmlDType::F16,
            (Self::Q4, _) if name.starts_with("blk.") => GgmlDType::Q4_0,
            _ => GgmlDType::Q8_0,
        }
    }
}

/// The largest 16-bit float.
const HALF_MAX: f32 = 65504.0;

/// Keys of a base's file that are not true of another one.
const OWN: [&str; 5] = [
    "general.alignment",
    "general.file_type",
    "general.quantization_version",
    "split.",
    "quantize.",
];

/// The metadata of the base: of a GGUF file its own, else what says the same of a folder's config and tokenizer. Errors name what
/// has no exact form.
pub fn metadata(base: &Path, source: &Source) -> Result<BTreeMap<String, Value>> {
    if !base.is_file() {
        let mut said = keys(&source.config)?;
        said.extend(source.tokenizer.to_gguf(source.config.vocab_size)?);
        return Ok(said);
    }
    let parts = Parts::open(base)?;
    let all = parts.first().metadata.iter();
    let kept = all.filter(|(key, _)| !OWN.iter().any(|own| key.starts_with(own)));
    Ok(kept
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect())
}

/// `<architecture>.*` of a config.
fn keys(config: &Config) -> Result<BTreeMap<String, Value>> {
    let architecture = config.family.gguf_name();
    let mut said = BTreeMap::from([(
        "general.architecture".to_owned(),
        Value::String(architecture.to_owned()),
    )]);
    let mut set = |key: &str, value| said.insert(format!("{architecture}.{key}"), value);
    let whole = |value: usize| Value::U32(value as u32);
    set("vocab_size", whole(config.vocab_size));
    set("context_length", whole(config.max_position_embeddings));
    set("embedding_length", whole(config.hidden_size));
    set("block_count", whole(config.num_hidden_layers));
    set("feed_forward_length", whole(config.intermediate_size));
    set("attention.head_count", whole(config.num_attention_heads));
    set("attention.head_count_kv", whole(config.num_key_value_heads));
    set("attention.key_length", whole(config.head_dim));
    set("attention.value_length", whole(config.head_dim));
    set(
        "attention.layer_norm_rms_epsilon",
        Value::F32(config.rms_norm_eps as f32),
    );
    set("rope.dimension_count", whole(config.head_dim));
    set("rope.freq_base", Value::F32(config.rope.theta as f32));
    let mut scaling = |kind: &str, factor: f64| {
        set("rope.scaling.type", Value::String(kind.to_owned()));
        set("rope.scaling.factor", Value::F32(factor as f32));
    };
    match config.rope.scaling {
        // What is divided is a tensor.
        Scaling::Plain | Scaling::Llama3 { .. } | Scaling::Divided(_) => {}
        Scaling::Linear { factor } => scaling("linear", factor),
        Scaling::Yarn {
            factor,
            original,
            beta_fast,
            beta_slow,
            ..
        } => {
            scaling("yarn", factor);
            set(
                "rope.scaling.original_context_length",
                whole(original as usize),
            );
            set("rope.scaling.yarn_beta_fast", Value::F32(beta_fast as f32));
            set("rope.scaling.yarn_beta_slow", Value::F32(beta_slow as f32));
        }
    }
    if let Some(window) = &config.window {
        set("attention.sliding_window", whole(window.size));
    }
    Ok(said)
}

/// Writes `weights`, of the shape that `config` says, to the file `path`, which must not exist. `base` is its metadata but for how it is
/// stored.
pub fn write(
    path: &Path,
    config: &Config,
    weights: &dyn Weights,
    base: &BTreeMap<String, Value>,
    stored: Stored,
) -> Result<()> {
    let mut metadata = base.clone();
    metadata.insert(
        "general.file_type".to_owned(),
        Value::U32(stored.file_type()),
    );
    metadata.insert("general.quantization_version".to_owned(), Value::U32(2));
    let mut written: Vec<(String, QTensor)> = Vec::new();
    for (name, _) in tensors(config) {
        let mut tensor = weights.tensor(&name, DType::F32, &Device::Cpu)?;
        if let Some(heads) = weight_heads(config, &name) {
            tensor = permute(&tensor, heads)?;
        }
        written.push(quantized(gguf_name(&name), &tensor, stored)?);
    }
    if let Some(divisors) = divisors(config) {
        let divisors = Tensor::new(divisors, &Device::Cpu)?;
        written.push(quantized(
            "rope_freqs.weight".to_owned(),
            &divisors,
            stored,
        )?);
    }
    let metadata: Vec<_> = metadata
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    let written: Vec<_> = written
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    let cannot = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(File::create_new(path).with_context(cannot)?);
    gguf_file::write(&mut file, &metadata, &written).with_context(cannot)?;
    file.flush().with_context(cannot)?;
    file.get_ref().sync_all().with_context(cannot)?;
    Ok(())
}

fn quantized(name: String, tensor: &Tensor, stored: Stored) -> Result<(String, QTensor)> {
    let kind = stored.of(&name, tensor.rank());
    let width = tensor.dims().last().copied().unwrap_or_default();
    ensure!(
        width.is_multiple_of(kind.block_size()),
        "{name} has rows of {width} weights, and {} has blocks of {}: store it as f16",
        stored.name(),
        kind.block_size()
    );
    let largest = tensor.abs()?.max_all()?.to_scalar::<f32>()?;
    ensure!(
        kind != GgmlDType::F16 || largest <= HALF_MAX,
        "{name} has a weight of {largest}, more than a 16-bit float holds: store it as q8_0"
    );
    Ok((name, QTensor::quantize(&tensor.contiguous()?, kind)?))
}

/// What each frequency is divided by, where a tensor says it.
fn divisors(config: &Config) -> Option<Vec<f32>> {
    let plain = super::rope::Rope::plain(config.rope.theta).frequencies(config.head_dim);
    match &config.rope.scaling {
        Scaling::Divided(by) => Some(by.clone()),
        Scaling::Llama3 { .. } => {
            let own = config.rope.frequencies(config.head_dim);
            Some(
                plain
                    .iter()
                    .zip(own)
                    .map(|(plain, own)| plain / own)
                    .collect(),
            )
        }
        _ => None,
    }
}

/// Errors where the config of the written file, read again, is another than that of its base, and names the first field.
pub fn check(base: &Config, written: &Config) -> Result<()> {
    let fields = |c: &Config| {
        let ropeless: Vec<usize> = c.without_rope.iter().copied().collect();
        let biases = (c.qkv_bias, c.o_bias, c.mlp_bias);
        [
            ("vocab_size", format!("{}", c.vocab_size)),
            ("head_dim", format!("{:?}", c.heads())),
            ("layers without rope", format!("{ropeless:?}")),
            ("sliding window", format!("{:?}", c.window)),
            ("norms of queries and keys", format!("{}", c.qk_norm)),
            ("biases", format!("{biases:?}")),
            ("rms_norm_eps", format!("{:e}", c.rms_norm_eps as f32)),
            (
                "rope's attention factor",
                format!("{:.6}", c.rope.attention_factor),
            ),
            ("tied embeddings", format!("{}", c.tie_word_embeddings)),
            ("positions", format!("{}", c.max_position_embeddings)),
        ]
    };
    for ((name, own), (_, other)) in fields(base).into_iter().zip(fields(written)) {
        ensure!(
            own == other,
            "{} cannot be said exactly in GGUF: {name} {own} would be read as {other}",
            family(base.family)
        );
    }
    let frequencies = |c: &Config| c.rope.frequencies(c.head_dim);
    let near = |(a, b): (f32, f32)| (a - b).abs() <= 1e-5 * a.abs();
    ensure!(
        frequencies(base)
            .into_iter()
            .zip(frequencies(written))
            .all(near),
        "{} cannot be said exactly in GGUF: rope {} would be read as {}",
        family(base.family),
        base.rope,
        written.rope
    );
    Ok(())
}

fn family(family: Family) -> String {
    format!("this {} model", family.name())
}
