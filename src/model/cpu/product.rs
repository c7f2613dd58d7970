//! Matrix products by the `gemm` crate on strided operands, in place where candle would copy.

use super::elements_mut;
use candle_core::cpu_backend::CpuStorage;
use candle_core::{InplaceOp3, Layout, Result, Storage, Tensor};
use std::sync::OnceLock;

/// All threads of the pool. Looked up once: candle reads the processor's description at every product.
pub fn all_threads() -> gemm::Parallelism {
    static THREADS: OnceLock<usize> = OnceLock::new();
    gemm::Parallelism::Rayon(*THREADS.get_or_init(candle_core::utils::get_num_threads))
}

/// `a · b`, both two-dimensional; either may be a transposed view.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (m, n) = (a.dim(0)?, b.dim(1)?);
    let mut dst = vec![0f32; m * n];
    {
        let ((a, al), (b, bl)) = (a.storage_and_layout(), b.storage_and_layout());
        let (Storage::Cpu(a), Storage::Cpu(b)) = (&*a, &*b) else {
            candle_core::bail!("a fused product needs operands on the CPU")
        };
        multiply(&mut dst, (m, n), false, (a, al), (b, bl), 1.0)?;
    }
    Tensor::from_vec(dst, (m, n), a.device())
}

/// `dst += scale · a · b`, all two-dimensional; `a` and `b` may be transposed views.
pub struct AddProduct {
    pub scale: f32,
}

impl InplaceOp3 for AddProduct {
    fn name(&self) -> &'static str {
        "add-product"
    }

    fn cpu_fwd(
        &self,
        dst: &mut CpuStorage,
        dl: &Layout,
        a: &CpuStorage,
        al: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<()> {
        let shape = dl.shape().dims2()?;
        let dst = elements_mut(dst, dl)?;
        multiply(dst, shape, true, (a, al), (b, bl), self.scale)
    }
}

/// `dst = [dst +] scale · a · b` with checked shapes.
fn multiply(
    dst: &mut [f32],
    (m, n): (usize, usize),
    accumulate: bool,
    (a, al): (&CpuStorage, &Layout),
    (b, bl): (&CpuStorage, &Layout),
    scale: f32,
) -> Result<()> {
    let ((am, k), (bk, bn)) = (al.shape().dims2()?, bl.shape().dims2()?);
    if (am, bk, bn) != (m, k, n) || dst.len() != m * n {
        candle_core::bail!("product of {am}x{k} and {bk}x{bn} into {m}x{n}")
    }
    let (CpuStorage::F32(a), CpuStorage::F32(b)) = (a, b) else {
        candle_core::bail!("a fused product needs f32 operands")
    };
    let (a, b) = (Matrix::of(a, al), Matrix::of(b, bl));
    let dst = dst.as_mut_ptr();
    // SAFETY: shapes were checked above and candle keeps a layout inside its storage.
    unsafe { product((m, n, k), dst, n, accumulate, a, b, scale, all_threads()) };
    Ok(())
}

/// A strided read-only matrix.
#[derive(Clone, Copy)]
pub struct Matrix {
    pub data: *const f32,
    pub row_stride: usize,
    pub col_stride: usize,
}

impl Matrix {
    fn of(storage: &[f32], layout: &Layout) -> Self {
        let stride = layout.stride();
        Self {
            data: storage[layout.start_offset()..].as_ptr(),
            row_stride: stride[0],
            col_stride: stride[1],
        }
    }

    /// Row-major elements from `data` on, `row_stride` apart.
    pub fn rows(data: &[f32], row_stride: usize) -> Self {
        Self {
            data: data.as_ptr(),
            row_stride,
            col_stride: 1,
        }
    }

    /// The transposed matrix.
    pub fn t(self) -> Self {
        Self {
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// `dst = [dst +] scale · a · b` with `(m, n, k)`; `dst` is row-major with rows `dst_rs` apart.
///
/// # Safety
/// All three matrices must lie inside live allocations, and nothing else may touch `dst`.
#[allow(clippy::too_many_arguments)] // the signature of a matrix product
pub unsafe fn product(
    (m, n, k): (usize, usize, usize),
    dst: *mut f32,
    dst_rs: usize,
    accumulate: bool,
    a: Matrix,
    b: Matrix,
    scale: f32,
    parallelism: gemm::Parallelism,
) {
    // SAFETY: the caller's.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst,
            1,
            dst_rs as isize,
            accumulate,
            a.data,
            a.col_stride as isize,
            a.row_stride as isize,
            b.data,
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        )
    }
}
