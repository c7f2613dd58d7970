//! The base that benches run on, and adapters for it.

use candle_core::{DType, Device, Tensor};
use factory::adapters::bank::Member;
use factory::adapters::config::AdapterConfig;
use factory::adapters::lora::Adapter;
use factory::model::config_json;
use factory::model::decoder::tensors;
use factory::model::load::Base;
use factory::model::weight::Held;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A path to a base.
pub enum Place {
    Named(String),
    /// Removed at the end.
    Made(TempDir),
}

impl Place {
    /// FACTORY_BASE, or a folder of random weights in SmolLM2-135M's shape.
    pub fn find() -> Self {
        match std::env::var("FACTORY_BASE") {
            Ok(path) => Self::Named(path),
            Err(_) => Self::Made(random()),
        }
    }

    pub fn path(&self) -> &str {
        match self {
            Self::Named(path) => path,
            Self::Made(folder) => folder.path().to_str().unwrap(),
        }
    }
}

/// How the weights of the base are held. A new kind is added here and in `Limit::seconds`.
#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub enum Weights {
    F32,
    Q8,
    Native,
}

impl Weights {
    pub fn load(self, base: &str) -> Base {
        let held = match self {
            Self::F32 => Held::Numbers,
            Self::Q8 => Held::Q8,
            Self::Native => Held::Native,
        };
        Base::load_held(base, Some(held), DType::F32, &Device::Cpu).unwrap()
    }

    /// As flags call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Q8 => "q8",
            Self::Native => "native",
        }
    }
}

const CONFIG: &str = r#"{
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
    "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
    "vocab_size": 49152, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 100000.0,
    "tie_word_embeddings": true, "bos_token_id": 257, "eos_token_id": 258
}"#;

fn random() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("config.json"), CONFIG).unwrap();
    let goldens = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny-llama");
    copy(&goldens, folder.path(), "tokenizer.json");
    let (config, _) = config_json::read(&file("config.json")).unwrap();
    let weights = tensors(&config).into_iter().map(|(name, shape)| {
        let mean = if name.ends_with("norm.weight") {
            1.0
        } else {
            0.0
        };
        let weight = Tensor::randn(mean, 0.02f32, shape, &Device::Cpu).unwrap();
        (name, weight.to_dtype(DType::BF16).unwrap())
    });
    let weights: HashMap<String, Tensor> = weights.collect();
    candle_core::safetensors::save(&weights, file("model.safetensors")).unwrap();
    folder
}

fn copy(from: &Path, to: &Path, name: &str) {
    std::fs::copy(from.join(name), to.join(name)).unwrap();
}

/// A random adapter of rank 8 on every projection, B ≠ 0.
pub fn member(base: &Base, seed: usize, dora: bool) -> Member {
    let config = AdapterConfig {
        dora,
        ..AdapterConfig::new(8, 16.0)
    };
    let mut adapter = Adapter::init(config, &base.decoder, seed as u64).unwrap();
    for (name, p) in adapter.parameters_mut() {
        if name.ends_with("lora_B") {
            *p = Tensor::randn(0f32, 0.01, p.shape(), &Device::Cpu).unwrap();
        }
    }
    adapter.refresh(&base.decoder).unwrap();
    Member {
        name: seed.to_string(),
        adapter,
    }
}
