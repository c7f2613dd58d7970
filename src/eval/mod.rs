//! Scores predictions: one scorer for evaluation, reinforcement-learning reward and preference labels.

pub mod example;
pub mod modes;
pub mod prefs;
pub mod score;
pub mod summary;
