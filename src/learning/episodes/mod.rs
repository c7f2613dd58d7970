//! Episodes: a model looks at a database by tools before it answers. Each of its turns is drawn token for token, what the tools say is put behind
//! it, and no token is ever made of a text again.

pub mod call;
pub mod episode;
pub mod knowledge;
pub mod make;
pub mod observation;
mod plan;
pub mod play;
pub mod protocol;
pub mod run;
pub mod spider2;
pub mod stage;
pub mod summary;
pub mod table;
pub mod tasks;
pub mod tools;
pub mod view;
mod wave;
