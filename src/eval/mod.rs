//! Scores predictions: one scorer for evaluation, reinforcement-learning reward and preference labels.

pub mod audit;
pub mod built;
pub mod calibration;
pub mod choices;
pub mod clean;
pub mod correct;
pub mod databases;
pub mod described;
pub mod example;
pub mod gates;
pub mod golds;
pub mod judge;
pub mod labels;
pub mod modes;
pub mod paired;
pub mod pool;
pub mod prefs;
pub mod repair;
pub mod returned;
pub mod review;
pub mod sampled;
pub mod score;
pub mod selection;
pub mod session;
pub mod shown;
pub mod slices;
pub mod spread;
pub mod stats;
pub mod stop;
pub mod subset;
pub mod summary;
pub mod sweep;
pub mod table;
pub mod targeted;
#[cfg(test)]
mod testing;
pub mod worker;
