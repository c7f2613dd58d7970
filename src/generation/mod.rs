//! Text from a decoder: sampling, sequences in flight and the engine that batches them.

pub mod cache;
pub mod constraint;
pub mod drafts;
pub mod engine;
pub mod flight;
pub mod memory;
pub mod sampler;
pub mod scheduler;
pub mod sequence;
pub mod speculation;
mod step;
pub mod stop;
pub mod tree;
pub mod usage;
