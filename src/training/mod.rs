//! Training of adapters on packed batches. Knows tokens and labels, no SQL.

pub mod batching;
pub mod checkpoint;
pub mod config;
pub mod lessons;
pub mod memory;
pub mod objective;
pub mod optim;
pub mod packing;
pub mod pairs;
pub mod sft;
pub mod trainer;
