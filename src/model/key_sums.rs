//! Gradients of gathered keys back to the keys: every key takes what its places in the padded block hold. It is read, not added row by
//! row, which a device does one row after another.

use super::batch::Segment;
use super::portable;
use candle_core::{DType, Device, Result, Tensor};

/// Where the gradients of each key stand.
pub struct KeySums {
    /// `[rows]` place of each key in the padded block; behind that block stand a row of zeros and the sums of what is shared.
    places: Tensor,
    shared: Option<Shared>,
}

/// Keys that several segments see.
struct Shared {
    /// How many segments at most.
    times: usize,
    /// `[times · keys]` their places, those in the first segments first; zeros where a key has no more.
    places: Tensor,
}

impl KeySums {
    /// For `segments` whose keys stand in a block of `length` keys each, over a table of `rows` keys.
    pub fn new(segments: &[&Segment], length: usize, rows: usize, device: &Device) -> Result<Self> {
        let mut found = vec![Vec::new(); rows];
        for (n, s) in segments.iter().enumerate() {
            for (i, row) in s.keys.iter().cloned().flatten().enumerate() {
                found[row].push((n * length + i) as u32);
            }
        }
        let zero = (segments.len() * length) as u32;
        let (mut places, mut shared) = (Vec::with_capacity(rows), Vec::new());
        for found in found {
            places.push(match found[..] {
                [only] => only,
                _ => {
                    shared.push(found);
                    zero + shared.len() as u32
                }
            });
        }
        let times = shared.iter().map(Vec::len).max();
        let shared = times.map(|times| {
            let at = |time: usize| shared.iter().map(move |found| found.get(time));
            let places = (0..times).flat_map(at);
            let places: Vec<u32> = places.map(|place| *place.unwrap_or(&zero)).collect();
            let places = Tensor::new(places, device)?;
            Ok::<_, candle_core::Error>(Shared { times, places })
        });
        Ok(Self {
            places: Tensor::new(places, device)?,
            shared: shared.transpose()?,
        })
    }

    /// The sums `[rows, width]` of the padded block `x` `[segments · length, width]`, in f32.
    pub fn sums(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.to_dtype(DType::F32)?;
        let Some(Shared { times, places }) = &self.shared else {
            return portable::rows(&x, &self.places);
        };
        let width = x.dim(1)?;
        let zero = Tensor::zeros((1, width), DType::F32, x.device())?;
        let x = Tensor::cat(&[x, zero], 0)?;
        let all = portable::rows(&x, places)?.reshape((*times, (), width))?;
        portable::rows(&Tensor::cat(&[x, all.sum(0)?], 0)?, &self.places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::batch::Batch;

    #[test]
    fn a_key_takes_the_gradients_of_all_its_places() {
        let mut alone = Batch::default();
        alone.push_sequence(&[0; 3]);
        alone.push_sequence(&[0; 2]);
        let mut shared = Batch::default();
        let parent = shared.push_sequence(&[0; 2]);
        shared.push_child(parent, &[0; 1]);
        shared.push_child(parent, &[0; 2]);
        shared.push_sequence(&[0; 3]);
        for batch in [alone, shared] {
            let segments: Vec<&Segment> = batch.segments.iter().collect();
            let (n, length, rows) = (segments.len(), batch.longest(), batch.len());
            let (shape, device) = ((n * length, 2), Device::Cpu);
            let x = Tensor::randn(0f32, 1.0, shape, &device).unwrap();
            let given = x.to_vec2::<f32>().unwrap();
            let mut expected = vec![vec![0f32; 2]; rows];
            for (n, s) in segments.iter().enumerate() {
                for (i, row) in s.keys.iter().cloned().flatten().enumerate() {
                    (0..2).for_each(|c| expected[row][c] += given[n * length + i][c]);
                }
            }
            let sums = KeySums::new(&segments, length, rows, &device).unwrap();
            assert_eq!(sums.sums(&x).unwrap().to_vec2::<f32>().unwrap(), expected);
        }
    }
}
