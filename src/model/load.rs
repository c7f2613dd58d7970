//! A base model from a folder of safetensors, a GGUF file or a hub id.

use super::config::Config;
use super::config_json::{self, TokenIds};
use super::decoder::{Decoder, Weights};
pub use super::hub::looks_like_id;
use super::tokenizer::Tokenizer;
use super::weight::Held;
use super::{gguf, hub, mlx};
use anyhow::{Context, Result, bail, ensure};
use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The base when none is named.
pub const DEFAULT_BASE: &str = "Qwen/Qwen3-0.6B";

/// A base model.
pub struct Base {
    pub decoder: Decoder,
    pub tokenizer: Tokenizer,
}

impl Base {
    /// Loads `base`: an existing folder or `.gguf` file, else a hub id such as `Qwen/Qwen3-0.6B`.
    /// Weights become `dtype`: f32, or bf16 on the portable path.
    pub fn load(base: &str, dtype: DType, device: &Device) -> Result<Self> {
        Self::load_held(base, Some(Held::Numbers), dtype, device)
    }

    /// [`Self::load`] with weights that are held so; where nothing is said, as the file has them if it has them in blocks of 32, and
    /// the place can compute with such.
    pub fn load_held(
        base: &str,
        held: Option<Held>,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let source = Source::open(base)?;
        let held = held.unwrap_or(match device.is_cpu() && dtype == DType::F32 {
            true if source.is_in_blocks() => Held::Native,
            _ => Held::Numbers,
        });
        let weights = source.weights.as_ref();
        let decoder = Decoder::new(source.config, weights, held, dtype, device)
            .with_context(|| format!("base {base}"))?;
        Ok(Self {
            decoder,
            tokenizer: source.tokenizer,
        })
    }
}

/// A base model of which no weight was read yet.
pub struct Source {
    pub config: Config,
    pub tokenizer: Tokenizer,
    pub weights: Box<dyn Weights>,
    /// By type of storage: how many tensors, how many bytes.
    pub stored: BTreeMap<String, (usize, usize)>,
}

impl Source {
    /// Opens what [`Base::load`] loads.
    pub fn open(base: &str) -> Result<Self> {
        let path = Path::new(base);
        let source = if path.is_file() {
            ensure!(
                path.extension().is_some_and(|e| e == "gguf"),
                "base {base}: a file must be a .gguf (or name a folder with config.json)"
            );
            gguf::open(path)
        } else {
            open_folder(&folder(base)?)
        };
        let source = source.with_context(|| format!("base {base}"))?;
        source
            .tokenizer
            .check_vocabulary(source.config.vocab_size)
            .with_context(|| format!("base {base}"))?;
        Ok(source)
    }
}

impl Source {
    /// Whether some tensors are stored in blocks of 32, and none in another quantized form.
    pub fn is_in_blocks(&self) -> bool {
        let kinds = || self.stored.keys().map(String::as_str);
        let in_blocks = |kind: &str| BLOCKS.iter().any(|own| kind.starts_with(own));
        kinds().any(in_blocks)
            && kinds().all(|kind| in_blocks(kind) || ["F32", "F16", "BF16"].contains(&kind))
    }
}

/// Forms of storage that products are computed from as they are.
const BLOCKS: [&str; 4] = ["Q4_0", "Q4_1", "Q8_0", mlx::FOUR_BITS];

/// The transformers folder that [`Base::load`] would take `base` from; a GGUF file is none.
pub fn folder(base: &str) -> Result<PathBuf> {
    let path = Path::new(base);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    ensure!(
        !path.is_file(),
        "base {base}: a folder with config.json and safetensors is needed, not a file"
    );
    ensure!(
        hub::looks_like_id(base),
        "base {base}: no such file or folder, and not a hub id like Qwen/Qwen3-0.6B"
    );
    hub::fetch(base)
}

/// [`folder`], of which the weights are whole: what is merged into is written as it was.
pub fn whole_folder(base: &str) -> Result<PathBuf> {
    let folder = folder(base)?;
    let (_, quantization) = config_json::read(&folder.join("config.json"))?;
    ensure!(
        quantization.is_none(),
        "base {base}: its weights are quantized, and a merged folder has whole ones: give the model that was quantized, or make a \
         GGUF file"
    );
    Ok(folder)
}

/// Whether `base` may be one that [`Base::load`] finds: something is there, or it looks like a hub id.
pub fn may_exist(base: &str) -> bool {
    Path::new(base).exists() || hub::looks_like_id(base)
}

/// Counts tensors by their type of storage.
pub(super) fn count(
    tensors: impl IntoIterator<Item = (String, usize)>,
) -> BTreeMap<String, (usize, usize)> {
    let mut stored: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (kind, bytes) in tensors {
        let entry = stored.entry(kind).or_default();
        *entry = (entry.0 + 1, entry.1 + bytes);
    }
    stored
}

fn open_folder(folder: &Path) -> Result<Source> {
    let config = folder.join("config.json");
    if !config.is_file() && folder.join("adapter_config.json").exists() {
        bail!(
            "it is an adapter, not a base model: give it as --lora, and as --base what it was made for"
        );
    }
    if !config.is_file()
        && let Some(gguf) = a_gguf_file(folder)
    {
        bail!(
            "no config.json in this folder, but GGUF files: name one of them, such as {}",
            gguf.display()
        );
    }
    let (mut config, quantization) = config_json::read(&config)?;
    add_generation_eos(folder, &mut config)?;
    let files = weight_files(folder)?;
    // SAFETY: the map is read while it lives; another process truncating the file would be a bus
    // error, as for every program that maps its weights.
    let tensors = unsafe { MmapedSafetensors::multi(&files) }
        .context("the weights cannot be read (truncated file?)")?;
    let tokenizer = folder.join("tokenizer.json");
    let tokenizer = Tokenizer::from_file(&tokenizer, config.eos_token_ids.clone())?;
    let weights = Folder { tensors };
    let (stored, weights): (_, Box<dyn Weights>) = match quantization {
        None => {
            let all = weights.tensors.tensors().into_iter();
            let stored = all.map(|(_, t)| (format!("{:?}", t.dtype()), t.data().len()));
            (count(stored), Box::new(weights))
        }
        Some(quantization) => {
            let weights = mlx::Quantized::new(weights, &quantization)?;
            (count(weights.stored()), Box::new(weights))
        }
    };
    Ok(Source {
        stored,
        config,
        tokenizer,
        weights,
    })
}

/// The first `.gguf` file of a folder, by name.
fn a_gguf_file(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|p| p.extension().is_some_and(|e| e == "gguf"))
        .min()
}

/// Chat models end a turn with a token that only `generation_config.json` lists.
fn add_generation_eos(folder: &Path, config: &mut Config) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Generation {
        eos_token_id: Option<TokenIds>,
    }
    let path = folder.join("generation_config.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Ok(());
    };
    let generation: Generation =
        serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    for id in generation
        .eos_token_id
        .into_iter()
        .flat_map(TokenIds::into_vec)
    {
        if !config.eos_token_ids.contains(&id) {
            config.eos_token_ids.push(id);
        }
    }
    Ok(())
}

/// `model.safetensors`, or the shards that the index names.
pub fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join("model.safetensors");
    if single.is_file() {
        return Ok(vec![single]);
    }
    let names = shard_names(folder)?;
    Ok(names.iter().map(|n| folder.join(n)).collect())
}

/// Files that `model.safetensors.index.json` names; none lies outside the folder.
pub(super) fn shard_names(folder: &Path) -> Result<BTreeSet<String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let path = folder.join("model.safetensors.index.json");
    let text = std::fs::read_to_string(&path).with_context(|| {
        let folder = folder.display();
        format!("{folder}: neither model.safetensors nor model.safetensors.index.json can be read")
    })?;
    let index: Index = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    for name in &names {
        let plain = Path::new(name)
            .file_name()
            .is_some_and(|f| f == name.as_str());
        ensure!(
            plain,
            "{}: shard {name:?} lies outside the folder",
            path.display()
        );
    }
    Ok(names)
}

/// The tensors of a folder as they are stored.
pub(super) struct Folder {
    pub tensors: MmapedSafetensors,
}

impl Weights for Folder {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let view = self.tensors.get(name).ok()?;
        Some(view.shape().to_vec())
    }

    fn tensor(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        // Cast before the upload: a device may round the buffers of results up.
        let tensor = self.tensors.load(name, &Device::Cpu)?;
        let stored = tensor.dtype();
        ensure!(
            matches!(stored, DType::F32 | DType::F16 | DType::BF16),
            "{name} is stored as {stored:?}, expected F32, F16 or BF16"
        );
        Ok(tensor.to_dtype(dtype)?.to_device(device)?)
    }
}
