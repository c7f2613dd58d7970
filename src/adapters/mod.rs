//! LoRA and DoRA adapters on the projections of a frozen decoder.

pub mod config;
pub mod lora;
pub mod peft;
