//! Text from a decoder: sampling, sequences in flight and the engine that batches them.

pub mod engine;
pub mod memory;
pub mod sampler;
pub mod sequence;
pub mod stop;
