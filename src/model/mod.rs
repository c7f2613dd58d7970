//! Decoder-only transformers with an explicit backward pass. Knows projections and a hook on them,
//! never adapters.

pub mod allocator;
pub mod attention;
mod awake;
pub mod batch;
mod block;
pub mod config;
pub mod config_json;
mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod decoder;
pub mod gguf;
mod gguf_check;
mod gguf_config;
mod gguf_parts;
pub mod gguf_write;
mod grouped;
pub mod head;
mod hub;
mod key_sums;
pub mod kv;
pub mod linear;
pub mod load;
pub mod memory;
pub mod mismatch;
pub mod mlx;
pub mod ops;
pub mod place;
mod portable;
pub mod rope;
pub mod tokenizer;
pub mod weight;

pub use awake::awake;

#[cfg(feature = "metal")]
pub use native_metal::pooled;

/// Runs a step of training or decoding; with Metal, in an autorelease pool of its own.
#[cfg(not(feature = "metal"))]
pub fn pooled<T>(f: impl FnOnce() -> T) -> T {
    f()
}
