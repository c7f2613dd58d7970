//! An adapter as a file holds it, whatever the format, before it meets a base.

use super::config::{self, AdapterConfig};
use super::lora::{Adapter, Magnitude, Module};
use super::parts::{StoredModule, refuse};
use super::selection::Selection;
use super::{llama_cpp, mlx, peft, place};
use crate::model::config::{Config, Family};
use crate::model::decoder::Decoder;
use crate::model::gguf;
use crate::model::linear::Site;
use crate::model::weight::Weight;
use anyhow::{Context, Result, anyhow, ensure};
use candle_core::Tensor;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How an adapter is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// PEFT's folder, the one that training writes
    Peft,
    /// mlx-lm's folder
    Mlx,
    /// llama.cpp's LoRA file
    Gguf,
}

impl Format {
    /// The format of what is at `path`: a file is a GGUF, a folder PEFT's unless it has mlx-lm's weights alone.
    pub fn of(path: &Path) -> Self {
        let has = |name| path.join(name).exists();
        if path.is_file() {
            Self::Gguf
        } else if has(mlx::WEIGHTS) && !has(peft::WEIGHTS) {
            Self::Mlx
        } else {
            Self::Peft
        }
    }

    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peft => "PEFT folder",
            Self::Mlx => "mlx-lm folder",
            Self::Gguf => "llama.cpp LoRA GGUF",
        }
    }

    /// The files that hold `adapter` in this format, by name; a GGUF's one file has none. Errors where that is not exact.
    pub fn files(self, adapter: &Adapter, base: &Config) -> Result<Vec<(&'static str, Vec<u8>)>> {
        match self {
            Self::Peft => Ok(peft::files(adapter)?.into()),
            Self::Mlx => Ok(mlx::files(adapter, base)?.into()),
            Self::Gguf => Ok(vec![("", llama_cpp::file(adapter, base)?)]),
        }
    }

    /// What such files hold, each by its name.
    pub fn parse(self, file: impl Fn(&str) -> Result<Vec<u8>>) -> Result<Stored> {
        let weights = match self {
            Self::Peft => peft::WEIGHTS,
            Self::Mlx => mlx::WEIGHTS,
            Self::Gguf => return llama_cpp::parse(&file("")?),
        };
        let (config, fields) = self.config(&file)?;
        let bytes = file(weights)?;
        match self {
            Self::Mlx => mlx::parse(config, &bytes).context(weights),
            _ => {
                let selection = Selection::from_json(&fields).context(CONFIG)?;
                peft::parse(config, selection, &bytes).context(weights)
            }
        }
    }

    /// What a folder's config says, and its fields.
    fn config(
        self,
        file: impl Fn(&str) -> Result<Vec<u8>>,
    ) -> Result<(AdapterConfig, Map<String, Value>)> {
        let text = String::from_utf8(file(CONFIG)?).map_err(|_| anyhow!("not UTF-8"));
        let read = text.and_then(|text| {
            let fields = config::fields(&text)?;
            let config = match self {
                Self::Mlx => mlx::config(&fields)?,
                _ => AdapterConfig::from_json(&fields)?,
            };
            Ok((config, fields))
        });
        read.context(CONFIG)
    }
}

/// The config's name in folders of either kind.
pub const CONFIG: &str = "adapter_config.json";

/// A reader of the files of the adapter at `path`.
fn reader(path: &Path) -> impl Fn(&str) -> Result<Vec<u8>> {
    move |name| {
        let file = match name {
            "" => path.to_owned(),
            name => path.join(name),
        };
        let read = || {
            // A device has no end.
            let is_file = fs::metadata(&file)?.is_file();
            ensure!(is_file, "not a file");
            Ok(fs::read(&file)?)
        };
        read().with_context(|| match name {
            "" => "cannot be read".to_owned(),
            name => format!("reading {name}"),
        })
    }
}

fn called(path: &Path) -> String {
    format!("adapter {}", path.display())
}

/// Reads the adapter at `path`.
pub fn read(path: &Path) -> Result<Stored> {
    let parsed = place::check(path).and_then(|()| Format::of(path).parse(reader(path)));
    parsed.with_context(|| called(path))
}

/// Reads the adapter at `path` for `decoder`.
pub fn load(path: &Path, decoder: &Decoder) -> Result<Adapter> {
    let fitted = read(path)?.fit(decoder);
    fitted.with_context(|| called(path))
}

/// The base that the adapter at `path` was made for, if it says so.
pub fn base_of(path: &Path) -> Result<Option<String>> {
    let base = place::check(path).and_then(|()| match Format::of(path) {
        Format::Gguf => Ok(None),
        folder => Ok(folder.config(reader(path))?.0.base),
    });
    base.with_context(|| called(path))
}

/// What a file holds, its parts fitting each other.
pub struct Stored {
    pub format: Format,
    pub config: AdapterConfig,
    pub modules: BTreeMap<Site, StoredModule>,
    /// The architecture whose names and order of rows it has, where it says so.
    pub architecture: Option<Family>,
    /// Of PEFT's: which modules its config chooses, and what their names start with.
    pub selection: Option<(Selection, String)>,
}

impl Stored {
    /// Puts the rows of q and k in the order that transformers has them in; `base` tells how many heads they are.
    pub fn unpermuted(&mut self, base: &Config) -> Result<()> {
        let Some(family) = self.architecture.take() else {
            return Ok(());
        };
        ensure!(
            family.gguf_name() == base.family.gguf_name(),
            "the adapter is for architecture {}, the base is {}",
            family.gguf_name(),
            base.family.gguf_name()
        );
        for (site, module) in &mut self.modules {
            if let Some(heads) = gguf::permuted_heads(base, site.projection) {
                let rows = module.b.dim(0)?;
                ensure!(
                    rows % (2 * heads) == 0,
                    "{site}: {rows} rows are not those of {heads} heads"
                );
                module.b = gguf::unpermute(&module.b, heads)?;
            }
        }
        Ok(())
    }

    /// The adapter for `decoder`. Every tensor that does not fit is named in one error.
    pub fn fit(mut self, decoder: &Decoder) -> Result<Adapter> {
        self.unpermuted(&decoder.config)?;
        let weights: BTreeMap<Site, &Weight> = decoder.projections().collect();
        let mut wrong = Vec::new();
        for (site, module) in &self.modules {
            let Some(weight) = weights.get(site) else {
                wrong.push(format!("{site}: the base has none"));
                continue;
            };
            let (out, width) = weight.dims()?;
            let rank = module.a.dim(0)?;
            let mut check = |part: &str, tensor: &Tensor, expected: &[usize]| {
                if tensor.dims() != expected {
                    let found = tensor.dims();
                    wrong.push(format!("{site}.{part} is {found:?}, expected {expected:?}"));
                }
            };
            check("lora_A", &module.a, &[rank, width]);
            check("lora_B", &module.b, &[out, rank]);
            if let Some(m) = &module.m {
                check("magnitude", m, &[out]);
            }
        }
        if let Some((selection, before)) = &self.selection {
            for site in weights.keys() {
                match (
                    selection.chooses(*site, before),
                    self.modules.contains_key(site),
                ) {
                    (Some(true), false) => wrong.push(format!("{site} has no tensors")),
                    (Some(false), true) => {
                        wrong.push(format!("{site} has tensors, but {CONFIG} leaves it out"))
                    }
                    _ => {}
                }
            }
        }
        let mut config = self.config;
        let sites = weights.keys().copied();
        let lacking = config.lacking(sites, |site| self.modules.contains_key(&site));
        config.complete = lacking.is_empty();
        refuse(&wrong, "the adapter does not fit this base")?;
        let mut modules = BTreeMap::new();
        for (site, StoredModule { a, b, m }) in self.modules {
            let weight = weights[&site];
            let on_device = |tensor: Tensor| tensor.to_device(weight.device());
            let dora = match m {
                Some(m) => Some(Magnitude::new(Some(on_device(m)?), &weight.numbers()?)?),
                None => None,
            };
            let (a, b) = (on_device(a)?, on_device(b)?);
            modules.insert(site, Module { a, b, dora });
        }
        let mut adapter = Adapter::new(config, modules, decoder.path);
        adapter.refresh(decoder)?;
        Ok(adapter)
    }
}
