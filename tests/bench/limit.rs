//! What this machine can do at most, measured by itself.

use super::bases::Weights;
use super::clock::Clock;
use super::median::median;
use candle_core::{DType, Device, Tensor};
use factory::model::ops::{self, Path};
use std::fmt;
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
    /// Of the instruction that multiplies and adds bytes; `None` where it is not known here.
    pub bytes: Option<f64>,
}

impl Limit {
    /// With `cpu` by processor time, which means anything for one thread alone.
    pub fn measure(cpu: bool) -> Self {
        let threads = rayon::current_num_threads();
        let buffer: Vec<u64> = (0..BUFFER as u64 / 8).collect();
        let parts = |n| buffer.chunks(buffer.len().div_ceil(n));
        let sum = |part: &[u64]| part.iter().fold(0u64, |sum, v| sum.wrapping_add(*v));
        let read = |n| BUFFER as f64 / together(parts(n), sum, cpu);
        Self {
            threads,
            one: read(1),
            all: read(threads),
            products: rayon::scope(|_| products(cpu)),
            bytes: dots::is_there().then(|| {
                let operations = (threads * dots::OPERATIONS) as f64;
                operations / together(0..threads, |_| dots::run(), cpu)
            }),
        }
    }

    /// The least seconds of a step that reads `bytes` of weights once and takes `operations`.
    pub fn seconds(&self, weights: Weights, bytes: f64, operations: f64) -> f64 {
        let rate = match weights {
            Weights::F32 => Some(self.products),
            Weights::Q8 | Weights::Native => self.bytes,
        };
        (bytes / self.all).max(rate.map_or(0.0, |rate| operations / rate))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let giga = |rate: f64| rate / 1e9;
        let (one, all, products) = (giga(self.one), giga(self.all), giga(self.products));
        write!(
            f,
            "This machine: {one:.1} GB/s read by one thread, {all:.1} by {}; {products:.0} GFLOP/s of f32 products",
            self.threads
        )?;
        match self.bytes {
            Some(rate) => write!(f, ", {:.0} GOP/s of bytes.", giga(rate)),
            None => write!(f, "; those of bytes are not known here."),
        }
    }
}

/// Seconds of `f` over `parts`, a thread each.
fn together<P: Send, T: Send>(
    parts: impl Iterator<Item = P> + Clone,
    f: impl Fn(P) -> T + Sync,
    cpu: bool,
) -> f64 {
    let times = (0..REPEATS).map(|_| {
        let clock = Clock::start(cpu);
        std::thread::scope(|scope| {
            for part in parts.clone() {
                let f = &f;
                scope.spawn(move || black_box(f(part)));
            }
        });
        clock.seconds()
    });
    median(times.collect())
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

/// AVX-512 VNNI, as many of its instructions in flight as a processor may want.
#[cfg(target_arch = "x86_64")]
mod dots {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    const FLIGHT: usize = 12;
    const ROUNDS: usize = 10_000_000;
    pub const OPERATIONS: usize = 2 * 64 * FLIGHT * ROUNDS;

    pub fn is_there() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
    }

    pub fn run() -> i32 {
        // SAFETY: asked for only where the instructions are there.
        unsafe { sums() }
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    fn sums() -> i32 {
        let ones = black_box(_mm512_set1_epi32(0x0101_0101));
        let mut sums = [_mm512_setzero_si512(); FLIGHT];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, ones, ones);
            }
        }
        sums.into_iter()
            .map(|sum| _mm512_reduce_add_epi32(sum))
            .sum()
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod dots {
    pub const OPERATIONS: usize = 0;

    pub fn is_there() -> bool {
        false
    }

    pub fn run() {}
}
