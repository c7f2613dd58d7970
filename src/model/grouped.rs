//! Many small tensors computed as a few: on a device a launch costs more than the work on one of them.

use candle_core::{Result, Tensor};
use std::ops::Range;

/// Numbers of a group. A view is read back with all that it is a view of, so groups are no larger than pays.
const GROUP: usize = 256 * 1024;

/// Numbers of a row in which sums are taken.
const ROW: usize = 1024;

/// Runs of tensors, by their numbers, that are one group each.
pub fn groups(sizes: &[usize]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut full = 0;
    for (i, &size) in sizes.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if full + size <= GROUP => group.end = i + 1,
            _ => {
                groups.push(i..i + 1);
                full = 0;
            }
        }
        full += size;
    }
    groups
}

/// The numbers of all, one behind the other `[n]`.
pub fn flat<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Result<Tensor> {
    let flat: Vec<Tensor> = tensors.map(Tensor::flatten_all).collect::<Result<_>>()?;
    Tensor::cat(&flat, 0)
}

/// What [`flat`] made of tensors of the shapes of `like`, as views.
pub fn apart<'a>(flat: &Tensor, like: impl Iterator<Item = &'a Tensor>) -> Result<Vec<Tensor>> {
    let mut next = 0;
    like.map(|like| {
        let part = flat.narrow(0, next, like.elem_count())?;
        next += like.elem_count();
        part.reshape(like.shape())
    })
    .collect()
}

/// Sums of squares of parts of `flat` `[n]`: one sum over all would be the work of one of a device's many units.
pub fn squares(flat: &Tensor) -> Result<Tensor> {
    let (squares, n) = (flat.sqr()?, flat.elem_count());
    let (whole, rest) = (n / ROW, n % ROW);
    let rows = || {
        squares
            .narrow(0, 0, whole * ROW)?
            .reshape((whole, ROW))?
            .sum(1)
    };
    let last = || squares.narrow(0, n - rest, rest)?.sum_keepdim(0);
    match (whole, rest) {
        (_, 0) => rows(),
        (0, _) => last(),
        _ => Tensor::cat(&[rows()?, last()?], 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn groups_are_full_and_what_is_larger_stands_alone() {
        let g = GROUP;
        assert!(groups(&[]).is_empty());
        assert_eq!(
            groups(&[g / 2, g / 2, 1, 2 * g, g - 1, 1]),
            [0..2, 2..3, 3..4, 4..6]
        );
    }

    #[test]
    fn apart_is_what_was_flattened() {
        let new = |shape: &[usize]| Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
        let tensors = [new(&[3, 5]), new(&[4]), new(&[1, 2, 2])];
        let flat = flat(tensors.iter()).unwrap();
        let found = apart(&flat, tensors.iter()).unwrap();
        for (found, expected) in found.iter().zip(&tensors) {
            assert_eq!(found.dims(), expected.dims());
            let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(numbers(found), numbers(expected));
        }
    }

    #[test]
    fn squares_are_summed_whatever_their_number() {
        for n in [1, ROW - 1, ROW, 2 * ROW, 2 * ROW + 3] {
            let x = Tensor::ones(n, candle_core::DType::F32, &Device::Cpu).unwrap();
            let sums = squares(&x).unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(sums.len(), n.div_ceil(ROW));
            assert_eq!(sums.iter().sum::<f32>(), n as f32);
        }
    }
}
