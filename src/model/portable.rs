//! Operations whose operands Metal restricts, held to its rules on every device: what passes on the
//! CPU then does not fail, or read garbage, on a Mac. docs/METAL.md has the table.

use candle_core::{Result, Tensor, bail};

/// `a · b`. Metal multiplies matrices that are contiguous or the exact transpose of contiguous
/// ones, and reads a batch's stride even where the batch has one element.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    for (operand, name) in [(a, "left"), (b, "right")] {
        if !canonical(operand) && !canonical(&operand.t()?) {
            bail!(
                "the {name} operand of a product is neither contiguous nor a transpose: {:?}, strides {:?}",
                operand.shape(),
                operand.stride()
            )
        }
    }
    a.matmul(b)
}

/// Whether the strides are those of a fresh tensor, also in dimensions of size 1, which candle's
/// own `is_contiguous` passes over.
fn canonical(t: &Tensor) -> bool {
    let mut expected = 1;
    let mut dims = t.dims().iter().zip(t.stride()).rev();
    dims.all(|(dim, stride)| {
        let same = *stride == expected;
        expected *= dim;
        same
    })
}

/// Rows `ids` of `table`. Metal reads a strided table as if it were contiguous.
pub fn rows(table: &Tensor, ids: &Tensor) -> Result<Tensor> {
    contiguous(table, "index_select")?;
    table.index_select(ids, 0)
}

/// `source[…, ids[…], …]` along `dim`. Metal ignores the source's strides.
pub fn gather(source: &Tensor, ids: &Tensor, dim: usize) -> Result<Tensor> {
    contiguous(source, "gather")?;
    source.gather(ids, dim)
}

fn contiguous(t: &Tensor, what: &str) -> Result<()> {
    match t.is_contiguous() {
        true => Ok(()),
        false => bail!(
            "{what} from a source that is not contiguous: strides {:?}",
            t.stride()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn zeros(shape: &[usize]) -> Tensor {
        Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_transposed_view_that_metal_refuses_fails_here_too() {
        // [tokens, heads, d] seen as [heads, tokens, d]: candle's CPU takes it, Metal does not.
        let q = zeros(&[5, 2, 4]).transpose(0, 1).unwrap();
        let k = zeros(&[2, 4, 5]);
        assert!(q.matmul(&k).is_ok());
        assert!(matmul(&q, &k).is_err());
        assert!(matmul(&q.contiguous().unwrap(), &k).is_ok());
        // A column slice is no transpose either; a plain transpose is fine.
        let x = zeros(&[5, 8]);
        assert!(matmul(&x.narrow(1, 0, 4).unwrap(), &zeros(&[4, 3])).is_err());
        assert!(matmul(&x, &zeros(&[3, 8]).t().unwrap()).is_ok());
    }

    #[test]
    fn strided_sources_are_refused() {
        let ids = Tensor::new(&[1u32, 0], &Device::Cpu).unwrap();
        let table = zeros(&[4, 3]);
        assert!(rows(&table, &ids).is_ok());
        assert!(rows(&table.t().unwrap(), &ids).is_err());
        let at = ids.reshape((2, 1)).unwrap();
        assert!(gather(&table.t().unwrap(), &at, 1).is_err());
    }
}
