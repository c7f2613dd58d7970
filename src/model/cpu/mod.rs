//! Fused f32 CPU kernels: one rayon pass each, where candle's CPU element-wise operations are
//! single-threaded and allocate an intermediate per step. Work is split by rows, columns or heads,
//! never across a sum, so results do not depend on the number of threads. `ops.rs` and
//! `attention.rs` hold the portable twin of each.

mod adamw;
pub mod attention;
mod choose;
mod dots;
mod elementwise;
mod loss;
mod low_rank;
pub mod paged;
mod product;
pub mod quantized;
mod vector;

pub use adamw::{AdamW, adamw, sum_of_squares};
pub use choose::{best, likelihoods};
pub use elementwise::{
    AddAssign, AddRow, ScaleColumns, rms_norm, rms_norm_backward, rope, row_norms, scale_columns,
    scale_columns_backward, swiglu, swiglu_backward,
};
pub use loss::logit_gradient;
pub use low_rank::{LowRankRows, low_rank_gradient};
pub use product::{AddProduct, Destination, Matrix, matmul, parallel_product, product};

use candle_core::cpu_backend::CpuStorage;
use candle_core::{Layout, Result, Storage, Tensor};
use rayon::prelude::*;
use std::ops::{Deref, Range};

/// Elements below which splitting work over threads costs more than it saves.
const MIN_SPLIT: usize = 16 * 1024;

struct View<S> {
    storage: S,
    range: Range<usize>,
}

/// The elements of `t`; errors when it is not a contiguous f32 CPU tensor.
pub fn view(t: &Tensor) -> Result<impl Deref<Target = [f32]> + '_> {
    let (storage, layout) = t.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("a fused kernel needs contiguous operands")
    };
    match &*storage {
        Storage::Cpu(CpuStorage::F32(_)) => Ok(View {
            storage,
            range: start..end,
        }),
        _ => candle_core::bail!("a fused kernel needs f32 tensors on the CPU"),
    }
}

impl<S: Deref<Target = Storage>> Deref for View<S> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(v)) => &v[self.range.clone()],
            _ => unreachable!("view() checked the storage"),
        }
    }
}

/// The mutable elements behind an in-place operation's first operand.
fn elements_mut<'a>(s: &'a mut CpuStorage, l: &Layout) -> Result<&'a mut [f32]> {
    match (s, l.contiguous_offsets()) {
        (CpuStorage::F32(v), Some((start, end))) => Ok(&mut v[start..end]),
        _ => candle_core::bail!("an in-place kernel needs contiguous f32 operands"),
    }
}

/// The elements behind an in-place operation's other operands.
fn elements<'a>(s: &'a CpuStorage, l: &Layout) -> Result<&'a [f32]> {
    match (s, l.contiguous_offsets()) {
        (CpuStorage::F32(v), Some((start, end))) => Ok(&v[start..end]),
        _ => candle_core::bail!("an in-place kernel needs contiguous f32 operands"),
    }
}

/// Runs `f` compiled for the widest vectors of this processor. `f` and the closures it calls must be always inlined, or they keep
/// the narrowest ones. The compiler contracts and reorders nothing, so the results are the same.
fn wide<T>(f: impl FnOnce() -> T) -> T {
    pulp::Arch::new().dispatch(f)
}

/// Has memory fetch what is needed soon.
fn fetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in values.chunks(64 / size_of::<T>()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every such processor has it, and it changes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

fn rows_per_task(width: usize) -> usize {
    (MIN_SPLIT / width.max(1)).max(1)
}

/// Runs `f(row, out_row)` over the rows of a new `[rows, width]` tensor shaped like `like`.
fn map_rows(like: &Tensor, width: usize, f: impl Fn(usize, &mut [f32]) + Sync) -> Result<Tensor> {
    let mut out = vec![0f32; like.elem_count()];
    let per = rows_per_task(width);
    out.par_chunks_mut(width * per)
        .enumerate()
        .for_each(|(c, chunk)| {
            wide(
                #[inline(always)]
                || {
                    for (i, row) in chunk.chunks_exact_mut(width).enumerate() {
                        f(c * per + i, row)
                    }
                },
            )
        });
    Tensor::from_vec(out, like.shape(), like.device())
}
