//! LoRA and DoRA adapters on the projections of a frozen decoder.

pub mod asked;
pub mod bank;
pub mod compose;
pub mod config;
mod dropout;
pub mod geometry;
pub mod identity;
mod llama_cpp;
pub mod lora;
pub mod measure;
pub mod merge;
mod mlx;
pub mod ngrams;
mod parts;
pub mod pattern;
pub mod peft;
mod place;
mod selection;
pub mod stored;
mod symmetric;
