//! What people look at.

pub mod curve;
pub mod tradeoff;
