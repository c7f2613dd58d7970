//! LoRA and DoRA adapters on the projections of a frozen decoder.

pub mod bank;
pub mod config;
mod dropout;
pub mod lora;
pub mod pattern;
pub mod peft;
