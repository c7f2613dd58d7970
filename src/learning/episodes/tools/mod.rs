//! The tools of an episode: those of this program over the databases of rows, or those of a server.

mod builtin;
mod described;
mod said;
mod server;
mod spread;

pub use builtin::Builtin;
pub use described::answer;
pub use said::{Said, Tools};
use serde_json::Value;
pub use server::Server;

/// The tools with the one that answers, as a model is offered them.
pub fn all(tools: &dyn Tools) -> Vec<Value> {
    let mut all = tools.offered().to_vec();
    all.push(answer());
    all
}
