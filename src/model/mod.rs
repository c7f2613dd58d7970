//! Decoder-only transformers with an explicit backward pass. Knows projections and a hook on them,
//! never adapters.

pub mod attention;
pub mod batch;
mod block;
pub mod config;
mod cpu;
pub mod decoder;
mod gguf;
pub mod head;
mod hub;
pub mod kv;
pub mod linear;
pub mod load;
pub mod mismatch;
pub mod ops;
mod portable;
pub mod tokenizer;
