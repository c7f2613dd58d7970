//! What this machine can do at most, measured by itself.

use super::median::median;
use candle_core::{DType, Device, Tensor};
use factory::model::ops::{self, Path};
use std::hint::black_box;
use std::time::Instant;

/// Far beyond every cache.
const BUFFER: usize = 1 << 29;
const REPEATS: usize = 5;
/// Rows and width of the product whose rate is measured: a few megabytes, which caches hold.
const PRODUCT: (usize, usize) = (512, 1536);

/// The rates that bound a step.
pub struct Limit {
    pub threads: usize,
    /// Bytes a second that one thread reads from memory.
    pub one: f64,
    /// That all threads read together.
    pub all: f64,
    /// Operations a second of an f32 product by all threads, a multiplication and an addition being two.
    pub products: f64,
}

impl Limit {
    pub fn measure() -> Self {
        let threads = rayon::current_num_threads();
        let buffer: Vec<u64> = (0..BUFFER as u64 / 8).collect();
        Self {
            threads,
            one: reading(&buffer, 1),
            all: reading(&buffer, threads),
            products: rayon::scope(|_| products()),
        }
    }

    /// The least seconds of a step that reads `bytes` of weights once and takes `operations`.
    pub fn seconds(&self, bytes: f64, operations: f64) -> f64 {
        (bytes / self.all).max(operations / self.products)
    }
}

fn reading(buffer: &[u64], threads: usize) -> f64 {
    let times = (0..REPEATS).map(|_| {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for part in buffer.chunks(buffer.len().div_ceil(threads)) {
                scope.spawn(|| black_box(part.iter().fold(0, |sum: u64, v| sum.wrapping_add(*v))));
            }
        });
        start.elapsed().as_secs_f64()
    });
    BUFFER as f64 / median(times.collect())
}

fn products() -> f64 {
    let (rows, width) = PRODUCT;
    let ones = |rows| Tensor::ones((rows, width), DType::F32, &Device::Cpu).unwrap();
    let (x, w) = (ones(rows), ones(width));
    let times = (0..=REPEATS).map(|_| {
        let start = Instant::now();
        black_box(ops::matmul(Path::Fused, &x, &w.t().unwrap()).unwrap());
        start.elapsed().as_secs_f64()
    });
    // The first wakes the threads.
    2.0 * (rows * width * width) as f64 / median(times.skip(1).collect())
}
