//! What this machine can do at most, measured by itself.

use super::clock::Clock;
use super::median::median;
use candle_core::{DType, Device, Tensor};
use factory::model::ops::{self, Path};
use std::hint::black_box;

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
    /// With `cpu` by processor time, which means anything for one thread alone.
    pub fn measure(cpu: bool) -> Self {
        let threads = rayon::current_num_threads();
        let buffer: Vec<u64> = (0..BUFFER as u64 / 8).collect();
        Self {
            threads,
            one: reading(&buffer, 1, cpu),
            all: reading(&buffer, threads, cpu),
            products: rayon::scope(|_| products(cpu)),
        }
    }

    /// The least seconds of a step that reads `bytes` of weights once and takes `operations`.
    pub fn seconds(&self, bytes: f64, operations: f64) -> f64 {
        (bytes / self.all).max(operations / self.products)
    }
}

fn reading(buffer: &[u64], threads: usize, cpu: bool) -> f64 {
    let times = (0..REPEATS).map(|_| {
        let clock = Clock::start(cpu);
        std::thread::scope(|scope| {
            for part in buffer.chunks(buffer.len().div_ceil(threads)) {
                scope.spawn(|| black_box(part.iter().fold(0, |sum: u64, v| sum.wrapping_add(*v))));
            }
        });
        clock.seconds()
    });
    BUFFER as f64 / median(times.collect())
}

fn products(cpu: bool) -> f64 {
    let (rows, width) = PRODUCT;
    let ones = |rows| Tensor::ones((rows, width), DType::F32, &Device::Cpu).unwrap();
    let (x, w) = (ones(rows), ones(width));
    let times = (0..=REPEATS).map(|_| {
        let clock = Clock::start(cpu);
        black_box(ops::matmul(Path::Fused, &x, &w.t().unwrap()).unwrap());
        clock.seconds()
    });
    // The first wakes the threads.
    2.0 * (rows * width * width) as f64 / median(times.skip(1).collect())
}
