//! Folders that MLX quantized: a matrix `X.weight` is packed in words of 32 bits, and beside it lie `X.scales` and `X.biases`. A
//! weight is scale · q + bias, both of its group of neighbours in a row. `config.json` has the bits and the size of the groups.

use super::decoder::Weights;
use super::load::Folder;
use super::weight::Blocks;
use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use half::f16;
use rayon::prelude::*;
use safetensors::Dtype;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Weights of a block of [`Blocks`].
const BLOCK: usize = 32;
/// What lies beside a matrix.
const PARTS: [&str; 2] = ["scales", "biases"];

/// How a matrix is quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Affine {
    /// 4 or 8.
    bits: usize,
    /// Weights that have a scale and a bias together.
    group: usize,
}

impl Affine {
    /// As it is counted among forms of storage.
    fn name(self) -> String {
        let Self { bits, group } = self;
        format!("MLX {bits} bits in groups of {group}")
    }

    /// Bytes of a group's quants.
    fn bytes(self) -> usize {
        self.group * self.bits / 8
    }
}

/// The form of storage that products are computed from as it is, as [`Affine::name`] begins.
pub(super) const FOUR_BITS: &str = "MLX 4 bits";

/// What `config.json` says of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Quantization {
    all: Affine,
    /// Of modules that are not as all others; `None` is not quantized.
    own: BTreeMap<String, Option<Affine>>,
}

impl Quantization {
    /// From the field `quantization`. Only what was read from real folders is taken; anything else is refused by name.
    pub fn from_json(settings: &Value) -> Result<Self> {
        let settings = settings.as_object().context("it is no object")?;
        let all = affine(settings)?;
        let mut own = BTreeMap::new();
        for (name, value) in settings {
            let module = match value {
                _ if ["bits", "group_size", "mode"].contains(&name.as_str()) => continue,
                Value::Bool(false) => None,
                Value::Bool(true) => Some(all),
                Value::Object(settings) => Some(affine(settings).with_context(|| name.clone())?),
                _ => bail!("{name} {value} is not supported"),
            };
            own.insert(name.clone(), module);
        }
        Ok(Self { all, own })
    }
}

fn affine(settings: &Map<String, Value>) -> Result<Affine> {
    let whole = |name: &str, known: &[u64]| {
        let value = settings
            .get(name)
            .with_context(|| format!("MLX's {name} is missing"))?;
        match value.as_u64().filter(|value| known.contains(value)) {
            Some(value) => Ok(value as usize),
            None => {
                let known: Vec<String> = known.iter().map(u64::to_string).collect();
                let known = known.join(", ");
                bail!("MLX with {name} {value} is not supported (supported: {known})")
            }
        }
    };
    match settings.get("mode") {
        None | Some(Value::Null) => {}
        Some(mode) if mode == "affine" => {}
        Some(mode) => bail!("MLX's mode {mode} is not supported (supported: affine)"),
    }
    Ok(Affine {
        bits: whole("bits", &[4, 8])?,
        group: whole("group_size", &[32, 64, 128])?,
    })
}

/// A quantized matrix.
struct Matrix {
    affine: Affine,
    rows: usize,
    width: usize,
}

impl Matrix {
    /// Bytes of a row's quants, and its groups.
    fn row(&self) -> (usize, usize) {
        let groups = self.width / self.affine.group;
        (groups * self.affine.bytes(), groups)
    }
}

/// The weights of a folder of which some matrices are quantized.
pub struct Quantized {
    folder: Folder,
    /// By the names of their weights.
    matrices: BTreeMap<String, Matrix>,
}

impl Quantized {
    /// The weights of `folder`, held against what its config says.
    pub(super) fn new(folder: Folder, quantization: &Quantization) -> Result<Self> {
        let mut modules: BTreeSet<String> = BTreeSet::new();
        for (name, view) in folder.tensors.tensors() {
            let packed = name
                .strip_suffix(".weight")
                .filter(|_| view.dtype() == Dtype::U32);
            modules.extend(
                packed
                    .or_else(|| name.strip_suffix(".scales"))
                    .map(str::to_owned),
            );
        }
        for (module, own) in &quantization.own {
            ensure!(
                folder.shape(&format!("{module}.weight")).is_some(),
                "quantization names {module}, which is not in the weights"
            );
            match (own, modules.contains(module)) {
                (Some(_), false) => {
                    bail!("{module} is quantized by the config, and by the weights it is not")
                }
                (None, true) => {
                    bail!("{module} is not quantized by the config, and by the weights it is")
                }
                _ => {}
            }
        }
        let mut matrices = BTreeMap::new();
        for module in modules {
            let own = quantization.own.get(&module).copied().flatten();
            let matrix = matrix(&folder, &module, own.unwrap_or(quantization.all))?;
            matrices.insert(format!("{module}.weight"), matrix);
        }
        Ok(Self { folder, matrices })
    }

    /// Form of storage and bytes of every tensor, those of a matrix together.
    pub fn stored(&self) -> Vec<(String, usize)> {
        let mut stored = Vec::new();
        for (name, view) in self.folder.tensors.tensors() {
            match self.matrices.get(&name) {
                Some(matrix) => {
                    let (row, groups) = matrix.row();
                    let scale = self.folder.tensors.get(&part(&name, PARTS[0]));
                    let scale = scale.map_or(0, |view| view.dtype().bitsize() / 8);
                    let bytes = matrix.rows * (row + groups * 2 * scale);
                    stored.push((matrix.affine.name(), bytes));
                }
                None if self.is_part(&name) => {}
                None => stored.push((format!("{:?}", view.dtype()), view.data().len())),
            }
        }
        stored
    }

    fn is_part(&self, name: &str) -> bool {
        let own = |part| {
            let module = name.strip_suffix(part)?;
            self.matrices.get(&format!("{module}weight"))
        };
        PARTS.into_iter().any(|part| own(part).is_some())
    }

    /// Scales and biases of a matrix, group by group.
    fn groups(&self, name: &str) -> Result<[Vec<f32>; 2]> {
        let read = |of| -> Result<Vec<f32>> {
            let tensor = self
                .folder
                .tensor(&part(name, of), DType::F32, &Device::Cpu)?;
            Ok(tensor.flatten_all()?.to_vec1()?)
        };
        let [scales, biases] = PARTS.map(read);
        Ok([scales?, biases?])
    }
}

/// Checks that the parts of a matrix fit each other.
fn matrix(folder: &Folder, module: &str, affine: Affine) -> Result<Matrix> {
    let name = format!("{module}.weight");
    let packed = folder.tensors.get(&name);
    let packed = packed.with_context(|| format!("{name} is missing, and its scales are there"))?;
    ensure!(
        packed.dtype() == Dtype::U32,
        "{name} is stored as {:?}, expected U32, since {module}.scales is there",
        packed.dtype()
    );
    let &[rows, words] = packed.shape() else {
        bail!("{name} is {:?}, expected two dimensions", packed.shape());
    };
    let width = words * 32 / affine.bits;
    ensure!(
        rows > 0 && width > 0 && width.is_multiple_of(affine.group),
        "{name} is {rows} x {width} with {} bits, which is not whole groups of {}",
        affine.bits,
        affine.group
    );
    let groups = [rows, width / affine.group];
    for of in PARTS {
        let own = part(&name, of);
        let shape = folder.shape(&own);
        let shape = shape.with_context(|| format!("{own} is missing, and {name} is quantized"))?;
        ensure!(
            shape == groups,
            "{own} is {shape:?}, expected {groups:?} for {}",
            affine.name()
        );
    }
    Ok(Matrix {
        affine,
        rows,
        width,
    })
}

/// The name of what lies beside the weight `name`.
fn part(name: &str, of: &str) -> String {
    format!("{}{of}", name.trim_end_matches("weight"))
}

/// The `i`-th quant, the low bits of a byte first.
fn quant(bytes: &[u8], bits: usize, i: usize) -> u8 {
    match bits {
        8 => bytes[i],
        _ => (bytes[i / 2] >> (i % 2 * 4)) & 15,
    }
}

impl Weights for Quantized {
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        match self.matrices.get(name) {
            Some(matrix) => Some(vec![matrix.rows, matrix.width]),
            None if self.is_part(name) => None,
            None => self.folder.shape(name),
        }
    }

    fn tensor(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let Some(matrix) = self.matrices.get(name) else {
            return self.folder.tensor(name, dtype, device);
        };
        let Matrix {
            affine,
            rows,
            width,
        } = *matrix;
        let [scales, biases] = self.groups(name)?;
        let view = self.folder.tensors.get(name)?;
        let mut numbers = vec![0f32; rows * width];
        let groups = numbers.par_chunks_mut(affine.group);
        let quants = view.data().par_chunks(affine.bytes());
        let beside = scales.par_iter().zip(&biases);
        groups
            .zip(quants)
            .zip(beside)
            .for_each(|((numbers, bytes), (scale, bias))| {
                for (i, number) in numbers.iter_mut().enumerate() {
                    *number = scale * f32::from(quant(bytes, affine.bits, i)) + bias;
                }
            });
        let tensor = Tensor::from_vec(numbers, (rows, width), &Device::Cpu)?;
        Ok(tensor.to_dtype(dtype)?.to_device(device)?)
    }

    /// Those of 4 bits as Q4_1, each group in blocks of one scale and minimum. bf16 fits f16 but for numbers below 2^-17, which are
    /// rounded by 2^-25 at most; f32 is rounded to 11 bits. What is too large for f16 has no blocks.
    fn blocks(&self, name: &str, of: &[GgmlDType]) -> Result<Option<Blocks>> {
        let four = self.matrices.get(name).filter(|m| m.affine.bits == 4);
        let Some(matrix) = four.filter(|_| of.contains(&GgmlDType::Q4_1)) else {
            return Ok(None);
        };
        let [scales, biases] = self.groups(name)?;
        let fits = |x: &f32| f16::from_f32(*x).is_finite();
        if !scales.iter().chain(&biases).all(fits) {
            return Ok(None);
        }
        let view = self.folder.tensors.get(name)?;
        let mut bytes = Vec::with_capacity(matrix.rows * matrix.width / BLOCK * 20);
        let beside = scales.iter().zip(&biases);
        for (group, (scale, bias)) in view.data().chunks(matrix.affine.bytes()).zip(beside) {
            for quants in group.chunks(BLOCK / 2) {
                bytes.extend(f16::from_f32(*scale).to_le_bytes());
                bytes.extend(f16::from_f32(*bias).to_le_bytes());
                // A byte has a quant of each half of the block.
                let half = BLOCK / 2;
                bytes.extend(
                    (0..half).map(|i| quant(quants, 4, i) | quant(quants, 4, half + i) << 4),
                );
            }
        }
        Ok(Some(Blocks {
            kind: GgmlDType::Q4_1,
            bytes,
            rows: matrix.rows,
            width: matrix.width,
        }))
    }
}
