//! What a decided run ships, in one folder: weights, model card, report, how to ask it, and a lock file that says what it is.

mod card;
pub mod compared;
pub mod hub;
pub mod lock;
pub mod make;
mod ollama;
mod prompt;
pub mod request;
mod serving;
mod weights;
