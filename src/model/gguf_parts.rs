//! A GGUF model's files: one, or the parts that `gguf-split` made of it, of which any may be named.

use super::gguf::{content, number};
use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Most parts of a model.
const MAX_PARTS: usize = 1000;

/// The open files. Metadata is that of the first.
pub struct Parts(Vec<Part>);

struct Part {
    content: Content,
    file: RefCell<BufReader<File>>,
}

impl Part {
    fn open(path: &Path) -> Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let length = file.get_ref().metadata()?.len();
        Ok(Self {
            content: content(&mut file, length)?,
            file: RefCell::new(file),
        })
    }

    fn whole(&self, key: &str) -> Option<usize> {
        let value = self.content.metadata.get(key).and_then(number)?;
        Some(value as usize)
    }
}

impl Parts {
    /// Opens the model of which `path` is the file or a part.
    pub fn open(path: &Path) -> Result<Self> {
        let named = Part::open(path)?;
        let count = named.whole("split.count").unwrap_or(1);
        if count <= 1 {
            return Ok(Self(vec![named]));
        }
        let paths = paths(path, count)?;
        let missing = paths.iter().filter(|path| !path.is_file());
        let missing: Vec<String> = missing.map(|path| path.display().to_string()).collect();
        ensure!(
            missing.is_empty(),
            "the model is split into {count} files, of which {} missing: {}",
            if missing.len() == 1 {
                "one is"
            } else {
                "some are"
            },
            missing.join(", ")
        );
        let open = |(i, path): (usize, &PathBuf)| {
            let part = Part::open(path).with_context(|| path.display().to_string())?;
            ensure!(
                part.whole("split.no") == Some(i) && part.whole("split.count") == Some(count),
                "{}: its metadata does not say that it is part {} of {count}",
                path.display(),
                i + 1
            );
            Ok(part)
        };
        let parts = Self(paths.iter().enumerate().map(open).collect::<Result<_>>()?);
        parts.check()?;
        Ok(parts)
    }

    /// Refuses parts of which two have the same tensor, or that lack some.
    fn check(&self) -> Result<()> {
        let mut seen = BTreeMap::new();
        for (i, part) in self.0.iter().enumerate() {
            for name in part.content.tensor_infos.keys() {
                if let Some(other) = seen.insert(name, i) {
                    bail!("tensor {name} is in parts {} and {}", other + 1, i + 1);
                }
            }
        }
        let total = self.0[0].whole("split.tensors.count");
        ensure!(
            total.is_none_or(|total| total == seen.len()),
            "the parts have {} tensors, the first part says {}",
            seen.len(),
            total.unwrap_or(0)
        );
        Ok(())
    }

    /// What holds the metadata.
    pub fn first(&self) -> &Content {
        // There is always one: `open` makes no empty list.
        &self.0[0].content
    }

    /// A metadata value of the first part.
    pub fn metadata(&self, key: &str) -> Option<&Value> {
        self.first().metadata.get(key)
    }

    /// Every tensor with its name.
    pub fn tensors(&self) -> impl Iterator<Item = (&String, &TensorInfo)> {
        self.0.iter().flat_map(|part| &part.content.tensor_infos)
    }

    /// Shape of a tensor; `None` when there is none of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(self.info(name)?.shape.dims())
    }

    /// How a tensor is stored; `None` when there is none of that name.
    pub fn kind(&self, name: &str) -> Option<GgmlDType> {
        Some(self.info(name)?.ggml_dtype)
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        let mut infos = self.0.iter().map(|part| &part.content.tensor_infos);
        infos.find_map(|infos| infos.get(name))
    }

    /// A tensor, dequantized to f32 on the CPU.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let stored = self.quantized(name)?;
        let tensor = stored.dequantize(&Device::Cpu);
        tensor.map_err(|e| anyhow!("tensor {name}: {e}"))
    }

    /// A tensor as it is stored.
    pub fn quantized(&self, name: &str) -> Result<QTensor> {
        let has = |part: &&Part| part.content.tensor_infos.contains_key(name);
        let part = self.0.iter().find(has);
        let part = part.with_context(|| format!("tensor {name} is missing"))?;
        let mut file = part.file.borrow_mut();
        part.content
            .tensor(&mut *file, name, &Device::Cpu)
            .map_err(|e| anyhow!("tensor {name}: {e}"))
    }
}

/// The files beside `path` that are its parts: `NAME-00001-of-00003.gguf` and so on.
fn paths(path: &Path, count: usize) -> Result<Vec<PathBuf>> {
    ensure!(
        count <= MAX_PARTS,
        "split.count is {count}, expected at most {MAX_PARTS}"
    );
    let name = path.file_name().and_then(|name| name.to_str());
    let of = format!("-of-{count:05}.gguf");
    let stem = name.and_then(|name| name.strip_suffix(&of)?.rsplit_once('-'));
    let stem = stem.filter(|(_, part)| {
        part.len() == 5 && part.parse().is_ok_and(|n: usize| (1..=count).contains(&n))
    });
    let (stem, _) = stem.with_context(|| {
        format!("one of {count} parts of a model, but not called NAME-00001{of}: the others are found by that name")
    })?;
    let part = |n| path.with_file_name(format!("{stem}-{n:05}{of}"));
    Ok((1..=count).map(part).collect())
}
