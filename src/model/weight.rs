//! A frozen matrix of the base: as numbers, or quantized as it is answered from.

use super::cpu::quantized::AddBackward;
pub use super::cpu::quantized::{Direction, Tiles, instructions};
use super::cpu::{self, Destination, Matrix, parallel_product};
use super::decoder::Weights;
use super::ops::{self, Path};
use super::portable;
use anyhow::Result;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use std::borrow::Cow;
use std::sync::Arc;

/// How the weights of a base are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// As numbers of the activations' type.
    Numbers,
    /// As bf16, where the activations are f32.
    Bf16,
    /// In 8 bits, blocks of 32 with a scale each.
    Q8,
    /// As the file has them where it has blocks of 32 in 4 or 8 bits, else in 8 bits.
    Native,
}

impl Held {
    /// The kinds of blocks that are taken as a file has them.
    fn own(self) -> &'static [GgmlDType] {
        match self {
            Self::Numbers | Self::Bf16 => &[],
            Self::Q8 => &[GgmlDType::Q8_0],
            Self::Native => &[GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q8_0],
        }
    }

    /// As flags say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Numbers => "f32",
            Self::Bf16 => "bf16",
            Self::Q8 => "q8",
            Self::Native => "native",
        }
    }
}

/// A matrix as a file has it, in blocks of 32 along its rows.
pub struct Blocks {
    /// Q4_0, Q4_1 or Q8_0.
    pub kind: GgmlDType,
    pub bytes: Vec<u8>,
    pub rows: usize,
    pub width: usize,
}

/// Whether rows of that width are blocks of 32.
pub fn in_whole_blocks(width: usize) -> bool {
    width.is_multiple_of(GgmlDType::Q8_0.block_size())
}

/// Most numbers that [`Weight::multiply`] makes of bf16 at once.
pub const PART: usize = 4 * 1024 * 1024;

/// A frozen matrix `[out, in]`. Clones share it.
#[derive(Clone)]
pub enum Weight {
    Numbers(Tensor),
    /// bf16, which f32 activations meet as f32.
    Half(Tensor),
    Quantized(Arc<Tiles>),
    /// The same on the portable path, whose products are candle's.
    OnDevice(Arc<QTensor>, Device),
}

impl Weight {
    /// The matrix `name` of `weights`, held so.
    pub fn load(
        weights: &dyn Weights,
        name: &str,
        held: Held,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        match held {
            Held::Numbers => return Ok(Self::Numbers(weights.tensor(name, dtype, device)?)),
            Held::Bf16 => return Ok(Self::Half(weights.tensor(name, DType::BF16, device)?)),
            Held::Q8 | Held::Native => {}
        }
        let blocks = weights.blocks(name, held.own())?;
        if Path::of(device, dtype) == Path::Portable {
            return Self::on_device(weights, name, blocks, dtype, device);
        }
        let tiles = match blocks {
            Some(Blocks {
                kind,
                bytes,
                rows,
                width,
            }) => match kind {
                GgmlDType::Q4_0 => Tiles::from_q4_0(&bytes, rows, width)?,
                GgmlDType::Q4_1 => Tiles::from_q4_1(&bytes, rows, width)?,
                _ => Tiles::from_q8_0(&bytes, rows, width)?,
            },
            None => {
                let numbers = weights.tensor(name, DType::F32, device)?;
                let (rows, width) = numbers.dims2()?;
                Tiles::from_f32(&cpu::view(&numbers)?, rows, width)?
            }
        };
        Ok(Self::Quantized(Arc::new(tiles)))
    }

    /// For candle's products: its own blocks, else Q8_0. What is no whole blocks wide stays numbers.
    fn on_device(
        weights: &dyn Weights,
        name: &str,
        blocks: Option<Blocks>,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let quantized = match blocks {
            Some(blocks) => {
                let data = QStorage::from_data(Cow::Owned(blocks.bytes), device, blocks.kind)?;
                QTensor::new(data, (blocks.rows, blocks.width))?
            }
            None => {
                let numbers = weights.tensor(name, DType::F32, &Device::Cpu)?;
                if !in_whole_blocks(numbers.dim(1)?) {
                    return Ok(Self::Numbers(numbers.to_dtype(dtype)?.to_device(device)?));
                }
                QTensor::quantize_onto(&numbers, GgmlDType::Q8_0, device)?
            }
        };
        Ok(Self::OnDevice(Arc::new(quantized), device.clone()))
    }

    /// `[out, in]`
    pub fn dims(&self) -> candle_core::Result<(usize, usize)> {
        match self {
            Self::Numbers(w) | Self::Half(w) => w.dims2(),
            Self::Quantized(w) => Ok((w.rows, w.width)),
            Self::OnDevice(w, _) => w.shape().dims2(),
        }
    }

    /// Where it lies.
    pub fn device(&self) -> &Device {
        match self {
            Self::Numbers(w) | Self::Half(w) => w.device(),
            Self::Quantized(_) => &Device::Cpu,
            Self::OnDevice(_, device) => device,
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Numbers(w) | Self::Half(w) => w.elem_count() * w.dtype().size_in_bytes(),
            Self::Quantized(w) => w.bytes(),
            Self::OnDevice(w, _) => w.storage_size_in_bytes(),
        }
    }

    /// The numbers, as f32 where it is held otherwise, which a matrix that is held otherwise is made into each time.
    pub fn numbers(&self) -> candle_core::Result<Tensor> {
        match self {
            Self::Numbers(w) => Ok(w.clone()),
            Self::Half(w) => w.to_dtype(DType::F32),
            Self::Quantized(w) => Tensor::from_vec(w.numbers(), (w.rows, w.width), &Device::Cpu),
            Self::OnDevice(w, device) => w.dequantize(device),
        }
    }

    /// The rows `ids`, `[ids, in]`, as f32 where they are held otherwise than as numbers.
    pub fn rows(&self, ids: &[u32]) -> candle_core::Result<Tensor> {
        match self {
            Self::Numbers(w) => portable::rows(w, &Tensor::new(ids, w.device())?),
            Self::Half(w) => {
                portable::rows(w, &Tensor::new(ids, w.device())?)?.to_dtype(DType::F32)
            }
            Self::Quantized(w) => {
                let rows: Vec<f32> = ids.iter().flat_map(|id| w.row(*id as usize)).collect();
                Tensor::from_vec(rows, (ids.len(), w.width), &Device::Cpu)
            }
            Self::OnDevice(w, device) => w.embedding(&Tensor::new(ids, device)?),
        }
    }

    /// `x · wᵀ` by the numbers.
    pub fn exact_product(&self, path: Path, x: &Tensor) -> candle_core::Result<Tensor> {
        if let Self::Quantized(w) = self {
            let shape = (x.dim(0)?, w.rows);
            let mut product = vec![0f32; shape.0 * shape.1];
            w.exact_product(Direction::Forward, &cpu::view(x)?, &mut product)?;
            return Tensor::from_vec(product, shape, &Device::Cpu);
        }
        let numbers = self.numbers()?.to_dtype(x.dtype())?;
        ops::matmul(path, x, &numbers.t()?)
    }

    /// `d · w` by the numbers, which is added to `into`: the gradient towards what the weight was multiplied with.
    pub fn exact_backward(
        &self,
        path: Path,
        d: &Tensor,
        into: Option<Tensor>,
    ) -> candle_core::Result<Tensor> {
        if let Self::Quantized(w) = self {
            let sum = match into {
                Some(sum) => sum,
                None => Tensor::zeros((d.dim(0)?, w.width), DType::F32, &Device::Cpu)?,
            };
            sum.inplace_op2(&d.contiguous()?, &AddBackward(w))?;
            return Ok(sum);
        }
        let numbers = self.numbers()?;
        match into {
            Some(sum) => ops::add_product(path, sum, d, &numbers, 1.0),
            None => ops::matmul(path, d, &numbers),
        }
    }

    /// `x · wᵀ` on the fused path as [`products`] has it, all row by row.
    pub fn answered_product(&self, x: &[f32]) -> candle_core::Result<Vec<f32>> {
        match self {
            Self::Quantized(w) => Ok(cpu::quantized::products(&[w], x).swap_remove(0)),
            _ => self.product(x),
        }
    }

    /// The same by the numbers.
    pub fn product(&self, x: &[f32]) -> candle_core::Result<Vec<f32>> {
        let (rows, width) = self.dims()?;
        let mut product = vec![0f32; x.len() / width * rows];
        self.multiply(Direction::Forward, x, &mut product)?;
        Ok(product)
    }

    /// A product by the numbers on the fused path, without much memory at once; all row by row.
    pub fn multiply(
        &self,
        direction: Direction,
        x: &[f32],
        to: &mut [f32],
    ) -> candle_core::Result<()> {
        if let Self::Quantized(w) = self {
            return w.exact_product(direction, x, to);
        }
        let (rows, width) = self.dims()?;
        let (m, n, k) = direction.shape((rows, width), x, to)?;
        let most = match self {
            Self::Half(_) => (PART / width).max(1),
            // Numbers are there, and of others a part costs as much as all.
            _ => rows,
        };
        for first in (0..rows).step_by(most) {
            let part = most.min(rows - first);
            let numbers = match self {
                Self::Half(w) => w.narrow(0, first, part)?.to_dtype(DType::F32)?,
                _ => self.numbers()?,
            };
            let numbers = cpu::view(&numbers)?;
            let (w, x, to) = (
                Matrix::rows(&numbers, width),
                Matrix::rows(x, k),
                Destination::rows(to, n),
            );
            // SAFETY: sizes were checked above.
            unsafe {
                match direction {
                    Direction::Forward => {
                        parallel_product((m, part, k), to.column(first), false, x, w.t(), 1.0)
                    }
                    Direction::Backward => {
                        parallel_product((m, n, part), to, true, x.column(first), w, 1.0)
                    }
                }
            }
        }
        Ok(())
    }
}

/// `x · wᵀ` for each of some weights, all of one kind and width. Of quantized ones `x` is quantized too.
pub fn products<const N: usize>(
    path: Path,
    weights: [&Weight; N],
    x: &Tensor,
) -> candle_core::Result<[Tensor; N]> {
    let tiles = weights.map(|w| match w {
        Weight::Quantized(w) => Some(&**w),
        _ => None,
    });
    let mut found = Vec::with_capacity(N);
    match tiles.iter().copied().collect::<Option<Vec<&Tiles>>>() {
        Some(tiles) => {
            let all = cpu::quantized::products(&tiles, &cpu::view(x)?);
            for (product, w) in all.into_iter().zip(&tiles) {
                found.push(Tensor::from_vec(
                    product,
                    (x.dim(0)?, w.rows),
                    &Device::Cpu,
                )?);
            }
        }
        None => {
            for w in weights {
                found.push(match w {
                    // Metal's kernels take f32 alone.
                    Weight::OnDevice(w, _) => x
                        .to_dtype(DType::F32)?
                        .contiguous()?
                        .apply_op1_no_bwd(&**w)?
                        .to_dtype(x.dtype())?,
                    _ => w.exact_product(path, x)?,
                });
            }
        }
    }
    found
        .try_into()
        .map_err(|_| unreachable!("as many products as weights"))
}
