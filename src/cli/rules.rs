//! How replies and database names are read, of every command that scores SQL.

use crate::eval::session::Rules;
use crate::sql::extract::Extraction;
use serde::Serialize;

/// The flags.
#[derive(Clone, Copy, Debug, clap::Args, Serialize)]
pub struct RulesArgs {
    /// How the query is found in a reply, in mode factory: the statement that is the answer, or the original's rule.
    #[arg(long, value_enum, default_value_t)]
    extract: Extraction,
    /// Let links in the database folder lead out of it, as a hub's cache has them.
    #[arg(long)]
    follow_links: bool,
}

impl RulesArgs {
    /// What they say.
    pub fn get(self) -> Rules {
        Rules {
            extract: self.extract,
            follow_links: self.follow_links,
        }
    }
}
