//! Decoder-only transformers with an explicit backward pass. Knows projections and a hook on them,
//! never adapters.

mod attention;
mod attention_cpu;
pub mod batch;
mod block;
pub mod config;
pub mod decoder;
mod gguf;
pub mod head;
mod hub;
pub mod kernels;
pub mod kv;
pub mod linear;
pub mod load;
pub mod ops;
pub mod tokenizer;
