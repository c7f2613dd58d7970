//! How an episode is written: what the model is told of its tools, how it calls them, how it hears of them. One call a turn.

mod calls;
mod setting;
mod tags;

use super::call::Call;
use super::observation::left;
use crate::data::record::{Conversation, Role, Turn};
use crate::data::template::Template;
use crate::run::usage::UsageError;
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
pub use setting::{NoCall, Setting};

/// A way to write episodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// `<sql>…</sql>`, `<observation>…</observation>`, `<solution>…</solution>`: for bases that know no tools.
    Tags,
    /// Qwen3's `<tool_call>` and `<tool_response>`.
    Calls,
}

impl Protocol {
    /// That of a template. Errors for a base's own, which need not show earlier turns as they were drawn.
    pub fn of(template: Template) -> Result<Self> {
        match template {
            Template::Plain => Ok(Self::Tags),
            Template::Chatml => Ok(Self::Calls),
            Template::Base => {
                let message = "episodes are written by --template plain or chatml: a base's own may show earlier turns otherwise than they were drawn";
                Err(UsageError(message.to_owned()).into())
            }
        }
    }

    /// What is asked, with what the model is told of the episode before it. Errors where the row brings tools of its own.
    pub fn begin(self, asked: &Conversation, setting: &Setting) -> Result<Conversation> {
        ensure!(
            asked.tools.is_empty(),
            "the row has tools of its own: an episode's are those of its database"
        );
        let mut told = match self {
            Self::Tags => tags::told(setting),
            Self::Calls => calls::told(setting),
        };
        if let Some(knowledge) = setting.knowledge {
            told += &format!("\n\nWhat is known of the data:\n{}", knowledge.trim());
        }
        let mut turns = asked.turns.clone();
        match turns.first_mut().filter(|turn| turn.role == Role::System) {
            Some(system) => system.content = format!("{}\n\n{told}", system.content),
            None => turns.insert(0, Turn::new(Role::System, told)),
        }
        Ok(Conversation {
            turns,
            tools: match self {
                Self::Tags => Vec::new(),
                Self::Calls => setting.tools.to_vec(),
            },
        })
    }

    /// Texts that end a turn, for a model that does not end it by itself.
    pub fn stops(self) -> Vec<String> {
        let stops: &[&str] = match self {
            Self::Tags => &tags::STOPS,
            Self::Calls => &[calls::CLOSE],
        };
        stops.iter().map(|stop| (*stop).to_owned()).collect()
    }

    /// The call in what the model said, special tokens shown. A turn that was cut at its longest has none that is not closed.
    pub fn call(self, said: &str, cut: bool) -> Result<Call, NoCall> {
        match self {
            Self::Tags => tags::call(said, cut),
            Self::Calls => calls::call(said, cut),
        }
    }

    /// The turn that calls, as a model is to say it.
    pub fn says(self, call: &Call) -> Turn {
        match self {
            Self::Tags => Turn::new(Role::Assistant, tags::written(call)),
            Self::Calls => Turn {
                tool_calls: vec![calls::written(call)],
                ..Turn::new(Role::Assistant, String::new())
            },
        }
    }

    /// The turn in which the model hears what a tool said, and how many turns it has left.
    pub fn hears(self, said: &str, turns: usize) -> Turn {
        let left = left(turns);
        match self {
            Self::Tags => Turn::new(
                Role::User,
                format!("<observation>\n{said}\n</observation>\n{left}"),
            ),
            Self::Calls => Turn::new(Role::Tool, format!("{said}\n\n{left}")),
        }
    }
}

#[cfg(test)]
mod tests;
