//! Dropout on an adapter's inputs. Masks are a function of seed, pass, site and element, so that
//! backward, recomputation and any number of threads see the same ones.

use crate::model::linear::Site;
use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

/// What is dropped in one forward and backward pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Share of the elements that become 0; the others grow by 1/(1 − p).
    pub p: f64,
    pub seed: u64,
    /// Counts passes: each draws masks of its own.
    pub pass: u64,
}

impl Dropout {
    /// The mask `[rows, width]` for the input of `site`: 0 or 1/(1 − p).
    pub fn mask(
        &self,
        site: Site,
        (rows, width): (usize, usize),
        device: &Device,
    ) -> Result<Tensor> {
        let kept = (1.0 / (1.0 - self.p)) as f32;
        let threshold = (self.p * 2f64.powi(32)) as u64;
        let place = (site.layer as u64) << 8 | site.projection as u64;
        let stream = mix(mix(mix(self.seed) ^ self.pass) ^ place);
        let mut mask = vec![0f32; rows * width];
        mask.par_chunks_mut(width.max(1))
            .enumerate()
            .for_each(|(row, out)| {
                for (column, o) in out.iter_mut().enumerate() {
                    let element = (row * width + column) as u64;
                    if mix(stream ^ element) >> 32 >= threshold {
                        *o = kept;
                    }
                }
            });
        Tensor::from_vec(mask, (rows, width), device)
    }
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014), a bijection whose outputs pass for random.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::linear::Projection;

    #[test]
    fn masks_keep_the_mean_and_differ_by_pass_and_site() {
        let site = |layer| Site {
            layer,
            projection: Projection::Q,
        };
        let mask = |pass, layer| {
            let dropout = Dropout {
                p: 0.25,
                seed: 3,
                pass,
            };
            let mask = dropout.mask(site(layer), (100, 100), &Device::Cpu).unwrap();
            mask.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let one = mask(0, 0);
        let mean = one.iter().sum::<f32>() / one.len() as f32;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!(one.iter().all(|v| *v == 0.0 || *v == 4.0 / 3.0));
        assert_eq!(one, mask(0, 0));
        let agreement = |other: Vec<f32>| one.iter().zip(&other).filter(|(a, b)| a == b).count();
        // Independent masks agree at 0.25² + 0.75² of the places.
        for other in [mask(1, 0), mask(0, 1)] {
            assert!((6000..6500).contains(&agreement(other)));
        }
    }
}
