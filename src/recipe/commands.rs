//! What a recipe knows of the program's commands. The command line describes them; here nothing is known of how it is parsed.

use super::document::nearest;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The commands that may be stages.
pub struct Commands {
    pub all: Vec<Command>,
    /// Checks a whole command line without the program's name, as the command itself would.
    pub check: fn(&[String]) -> Result<(), String>,
    /// Whether a base that is no file here may be somewhere else, as a hub id is.
    pub is_id: fn(&str) -> bool,
    /// The files that what a command's flag names leads to: the sets of a gates file, the base of an adapter.
    pub beside: fn(command: &str, flag: &str, path: &Path) -> Result<Vec<PathBuf>>,
}

/// A command that may be a stage.
#[derive(Clone, Debug)]
pub struct Command {
    /// Such as `adapter`, `merge`.
    pub words: Vec<String>,
    pub flags: Vec<Flag>,
    pub main: Main,
    pub resume: Resume,
    /// Whether its exit code 3 is a failure: it is run to keep back what comes behind, where a gate's verdict is a result.
    pub guard: bool,
    /// A flag whose absence means the folder of what another flag names: `db_dir`, of the predictions.
    pub folder_of: Option<(&'static str, &'static [&'static str])>,
}

/// Commands that train an adapter on rows.
pub const TRAINING: [&str; 4] = ["sft", "rft", "dpo", "grpo"];

/// Whether the command of that name learns from rows.
pub fn learns(name: &str) -> bool {
    TRAINING.contains(&name) || name == "route fit"
}

/// The output that a stage is named for.
#[derive(Clone, Debug)]
pub struct Main {
    /// The flag that names it; none where the command prints it.
    pub flag: Option<String>,
    /// Its name in the stage's folder.
    pub file: &'static str,
    /// Another name where a flag has a value.
    pub instead: Option<(&'static str, &'static str, &'static str)>,
}

/// How an interrupted stage goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// It starts again.
    Never,
    /// The same command and `--resume`, where the main output's `.partial` is there.
    Flag,
    /// `--resume OUT` alone, where the training run's folder has a state.
    Folder,
}

/// A flag or a positional argument.
#[derive(Clone, Debug)]
pub struct Flag {
    /// As a recipe has it: `grad_accum`.
    pub name: String,
    /// `--grad-accum`; none of a positional argument.
    pub spelled: Option<String>,
    pub takes: Takes,
    pub role: Role,
    /// The flags that it cannot stand beside.
    pub conflicts: Vec<String>,
}

/// How many values a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    One,
    Many,
}

/// What a flag's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Setting,
    /// A path to what is read.
    Reads,
    /// The same, with a name before it: `NAME=PATH`.
    ReadsNamed,
    /// A path to a base, or the id of one.
    ReadsBase,
    /// A file that is written, by that name; whether it always is.
    Writes(&'static str, bool),
    /// A setting of each value of another flag, behind which it stands.
    Behind(&'static str),
    /// Not for a recipe, and why.
    Refused(&'static str),
}

impl Commands {
    /// The command of those words; what to say where there is none.
    pub fn find(&self, words: &str) -> Result<&Command, String> {
        let found = self.all.iter().find(|command| command.name() == words);
        found.ok_or_else(|| {
            let names: Vec<String> = self.all.iter().map(Command::name).collect();
            let near = nearest(words, names.iter().map(String::as_str));
            format!("{words:?} is no command that writes something{near}")
        })
    }
}

impl Command {
    /// `adapter merge`
    pub fn name(&self) -> String {
        self.words.join(" ")
    }

    /// The flag that a key stands for: `grad_accum` or `grad-accum`; what to say where a recipe cannot have it.
    pub fn flag(&self, key: &str) -> Result<&Flag, String> {
        let name = key.replace('-', "_");
        if self.main.flag.as_deref() == Some(&name) {
            return Err(format!(
                "{key} is given by the program: the output lies in the stage's folder, and other stages name it {{STAGE}}"
            ));
        }
        match self.flags.iter().find(|flag| flag.name == name) {
            Some(flag) => match flag.role {
                Role::Refused(why) => Err(format!("{key} has no place in a recipe: {why}")),
                _ => Ok(flag),
            },
            None => {
                let usable = |flag: &&Flag| !matches!(flag.role, Role::Refused(_));
                let names = self.flags.iter().filter(usable);
                let mut names: Vec<&str> = names.map(|flag| flag.name.as_str()).collect();
                names.extend(["command", "after", "reads"]);
                let near = nearest(&name, names);
                Err(format!("factory {} has no {key}{near}", self.name()))
            }
        }
    }

    /// The names of what it can write beside its main output.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        let writes = |flag: &&Flag| matches!(flag.role, Role::Writes(..));
        self.flags
            .iter()
            .filter(writes)
            .map(|flag| flag.name.as_str())
    }
}
