//! LoRA and DoRA adapters on the projections of a frozen decoder.

pub mod bank;
pub mod compose;
pub mod config;
mod dropout;
pub mod lora;
pub mod merge;
pub mod pattern;
pub mod peft;
