//! What candle leaves to its user on a Metal device: facts about it, limits on its memory, and
//! autorelease pools. docs/METAL.md says why each is here.

mod budget;
mod device;
mod memory;
mod pool;

pub use budget::Budget;
pub use device::{Facts, open};
pub use memory::{Limits, Memory};
pub use pool::pooled;
