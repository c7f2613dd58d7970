//! A stage's flags with their values, as they are before anything is known of other stages' folders.

use super::commands::{Command, Commands, Flag, Role, Takes};
use super::document::{Entry, Faults, Value};
use super::file::{Stage, list};
use super::vars::{Filled, Part, Reader, Scope, Text};
use crate::run::files::{direct, folder_of};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a stage is told and what it reads.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// In the order of a command line: positional ones first.
    pub all: Vec<Argument>,
    /// What is read though no flag names it.
    pub beside: Vec<Word>,
    /// The outputs that it writes beside the main one: flags and file names.
    pub outputs: Vec<(String, &'static str)>,
    /// The variables of the matrix that it depends on by itself.
    pub axes: BTreeSet<String>,
    /// A value of it is not known, which is said elsewhere.
    pub unknown: bool,
}

/// A flag with one of its values.
#[derive(Clone, Debug)]
pub struct Argument {
    pub flag: String,
    /// None of a positional argument.
    pub spelled: Option<String>,
    /// None of a switch.
    pub word: Option<Word>,
}

/// A value.
#[derive(Clone, Debug)]
pub struct Word {
    /// What stands before a path: `NAME=`.
    pub prefix: String,
    pub text: Text,
    /// What is read, where it is no stage's.
    pub path: Option<PathBuf>,
}

impl Arguments {
    /// The values of a flag that are no stage's, as they will be given.
    pub fn values(&self, flag: &str) -> Vec<String> {
        let own = self.all.iter().filter(|argument| argument.flag == flag);
        own.filter_map(|argument| argument.word.as_ref()?.text.as_plain())
            .collect()
    }

    /// The words of a flag.
    pub fn words(&self, flag: &str) -> impl Iterator<Item = &Word> {
        let own = self
            .all
            .iter()
            .filter(move |argument| argument.flag == flag);
        own.filter_map(|argument| argument.word.as_ref())
    }

    /// Every value, of flags and beside them.
    pub fn all_words(&self) -> impl Iterator<Item = &Word> {
        let told = self
            .all
            .iter()
            .filter_map(|argument| argument.word.as_ref());
        told.chain(&self.beside)
    }
}

/// Reads the arguments of `stage`, whose paths begin in `folder`.
pub fn read(
    stage: &Stage,
    command: &Command,
    commands: &Commands,
    scope: &Scope,
    folder: &Path,
    faults: &mut Faults,
) -> Arguments {
    let mut reading = Reading {
        commands,
        folder,
        reader: Reader::new(scope, "a flag"),
        faults,
    };
    let mut arguments = Arguments::default();
    let mut given: Vec<(&Flag, &Entry, Vec<Option<Word>>)> = Vec::new();
    for entry in &stage.flags {
        match command.flag(&entry.key) {
            Ok(flag) if given.iter().any(|(other, ..)| other.name == flag.name) => {
                reading
                    .faults
                    .add(entry.line, format!("{} is there twice", flag.name));
            }
            Ok(flag) => {
                let words = reading.values(flag, entry, &mut arguments);
                given.push((flag, entry, words));
            }
            Err(fault) => reading.faults.add(entry.line, fault),
        }
    }
    // As people type them: what has no name first.
    let (placed, named): (Vec<_>, Vec<_>) =
        given.iter().partition(|(flag, ..)| flag.spelled.is_none());
    for flag in command.flags.iter().filter(|flag| flag.spelled.is_none()) {
        let own = placed.iter().find(|(given, ..)| given.name == flag.name);
        for word in own.map_or(&[][..], |(_, _, words)| words) {
            arguments.all.push(argument(flag, word.clone()));
        }
    }
    for (flag, entry, words) in &named {
        if let Role::Behind(other) = flag.role {
            if !named.iter().any(|(flag, ..)| flag.name == other) {
                let fault = format!("{} needs {other}", flag.name);
                reading.faults.add(entry.line, fault);
            }
            continue;
        }
        let stands = |other: &Flag| matches!(other.role, Role::Behind(of) if of == flag.name);
        let behind: Vec<_> = named.iter().filter(|(other, ..)| stands(other)).collect();
        for (other, entry, values) in &behind {
            if values.len() != words.len() {
                let (name, count) = (&other.name, words.len());
                let fault = format!("{name}: give one for each {}, which are {count}", flag.name);
                reading.faults.add(entry.line, fault);
            }
        }
        for (at, word) in words.iter().enumerate() {
            arguments.all.push(argument(flag, word.clone()));
            for (other, _, values) in &behind {
                let value = values.get(at).cloned();
                arguments
                    .all
                    .extend(value.map(|value| argument(other, value)));
            }
        }
    }
    for flag in &command.flags {
        let Role::Writes(file, always) = flag.role else {
            continue;
        };
        let asked = arguments.outputs.iter().any(|(name, _)| *name == flag.name);
        let hindered = given
            .iter()
            .any(|(other, ..)| flag.conflicts.contains(&other.name));
        if always && !asked && !hindered {
            arguments.outputs.push((flag.name.clone(), file));
        }
    }
    for value in &stage.reads {
        let words = reading.words(value, Role::Reads, "reads");
        arguments.beside.extend(words.into_iter().flatten());
    }
    reading.implied_folder(stage, command, &mut arguments);
    reading.beside(command, stage.line, &mut arguments);
    arguments.axes = reading.reader.axes;
    let unknown = arguments.all_words().any(|word| word.text.unknown);
    arguments.unknown = unknown;
    arguments
}

fn argument(flag: &Flag, word: Option<Word>) -> Argument {
    Argument {
        flag: flag.name.clone(),
        spelled: flag.spelled.clone(),
        word,
    }
}

struct Reading<'a> {
    commands: &'a Commands,
    folder: &'a Path,
    reader: Reader<'a>,
    faults: &'a mut Faults,
}

impl Reading<'_> {
    /// The words that a flag is given; a switch that is on is one without a value.
    fn values(&mut self, flag: &Flag, entry: &Entry, to: &mut Arguments) -> Vec<Option<Word>> {
        let (key, line) = (&entry.key, entry.value.line);
        if let Role::Writes(file, always) = flag.role {
            match self.switch(&entry.value) {
                Some(true) => to.outputs.push((flag.name.clone(), file)),
                Some(false) if always => {
                    self.faults.add(line, format!("{key} is always written"));
                }
                Some(false) => {}
                None => self.faults.add(
                    line,
                    format!("{key} must be true or false: its file lies in the stage's folder"),
                ),
            }
            return Vec::new();
        }
        if flag.takes == Takes::Nothing {
            return match self.switch(&entry.value) {
                Some(true) => vec![None],
                Some(false) => Vec::new(),
                None => {
                    self.faults
                        .add(line, format!("{key} must be true or false"));
                    Vec::new()
                }
            };
        }
        let words = self.words(&entry.value, flag.role, key);
        if flag.takes == Takes::One && words.len() > 1 {
            self.faults.add(line, format!("{key} takes one value"));
        }
        words
    }

    /// What a switch is set to; a variable may say it as text.
    fn switch(&mut self, value: &Value) -> Option<bool> {
        match self.reader.fill(value, false).ok()? {
            Filled::Switch(on) => Some(on),
            Filled::Text(text) if text.unknown => Some(false),
            Filled::Text(text) => text.as_plain()?.parse().ok(),
            Filled::List(_) | Filled::Table(_) => None,
        }
    }

    fn words(&mut self, value: &Value, role: Role, key: &str) -> Vec<Option<Word>> {
        let filled = match self.reader.fill(value, true) {
            Ok(filled) => filled,
            Err(fault) => {
                self.faults.add(value.line, fault);
                return Vec::new();
            }
        };
        let texts = match filled {
            Filled::Text(text) => vec![(String::new(), text)],
            Filled::List(items) => items.into_iter().filter_map(one).collect(),
            Filled::Table(entries) => {
                let named = |(name, item)| Some((format!("{name}="), one(item)?.1));
                entries.into_iter().filter_map(named).collect()
            }
            Filled::Switch(on) => {
                self.faults.add(
                    value.line,
                    format!("{key} is {on}, expected text or a number"),
                );
                return Vec::new();
            }
        };
        let expected = match &value.kind {
            super::document::Kind::List(items) => items.len(),
            super::document::Kind::Table(entries) => entries.len(),
            _ => texts.len(),
        };
        if texts.len() != expected {
            self.faults.add(
                value.line,
                format!("{key} holds a list or a table in a list"),
            );
        }
        let word = |(prefix, text)| Some(self.word(prefix, text, role, key, value.line));
        texts.into_iter().map(word).collect()
    }

    /// A value whose path, if it is one, begins where it should and is there.
    fn word(&mut self, prefix: String, text: Text, role: Role, key: &str, line: usize) -> Word {
        let plain = Word {
            prefix,
            text,
            path: None,
        };
        if plain.text.unknown {
            return plain;
        }
        let mut word = plain.clone();
        if role == Role::ReadsNamed && !self.place(&word).is_some_and(|path| path.exists()) {
            split_name(&mut word);
        }
        let path = match role {
            Role::Reads | Role::ReadsNamed | Role::ReadsBase => self.place(&word),
            _ => None,
        };
        let Some(path) = path else {
            return word;
        };
        let text = word.text.as_plain().unwrap_or_default();
        if role == Role::ReadsBase && !path.exists() && (self.commands.is_id)(&text) {
            return plain;
        }
        if !path.exists() {
            self.faults
                .add(line, format!("{key}: {} is not there", path.display()));
        }
        word.text = Text::plain(path.to_string_lossy());
        word.path = Some(path);
        word
    }

    /// Where a path leads that holds no stage.
    fn place(&self, word: &Word) -> Option<PathBuf> {
        let text = word.text.as_plain()?;
        Some(match word.text.given {
            true => PathBuf::from(text),
            false => direct(&self.folder.join(text)),
        })
    }

    /// The folder of what a flag names, where the command looks for want of another flag.
    fn implied_folder(&mut self, stage: &Stage, command: &Command, arguments: &mut Arguments) {
        let Some((flag, of)) = command.folder_of else {
            return;
        };
        if arguments.words(flag).next().is_some() {
            return;
        }
        let mut folders = Vec::new();
        for word in of.iter().flat_map(|of| arguments.words(of)) {
            match &word.path {
                Some(path) => folders.push(folder_of(path).to_owned()),
                None if word.text.unknown => {}
                None => self.faults.add(
                    stage.line,
                    format!(
                        "stage {} needs {flag}: what it reads lies in another stage's folder",
                        stage.name
                    ),
                ),
            }
        }
        arguments
            .beside
            .extend(folders.into_iter().map(read_beside));
    }

    /// Adds what the files that flags name lead to.
    fn beside(&mut self, command: &Command, line: usize, arguments: &mut Arguments) {
        let command = command.name();
        let mut found = Vec::new();
        for argument in &arguments.all {
            let path = argument.word.as_ref().and_then(|word| word.path.as_ref());
            let Some(path) = path.filter(|path| path.exists()) else {
                continue;
            };
            match (self.commands.beside)(&command, &argument.flag, path) {
                Ok(paths) => found.extend(paths),
                Err(error) => self
                    .faults
                    .add(line, format!("{}: {error:#}", argument.flag)),
            }
        }
        for path in &found {
            if !path.exists() {
                self.faults
                    .add(line, format!("{} is not there", path.display()));
            }
        }
        arguments.beside.extend(found.into_iter().map(read_beside));
    }
}

fn read_beside(path: PathBuf) -> Word {
    Word {
        prefix: String::new(),
        text: Text::plain(path.to_string_lossy()),
        path: Some(path),
    }
}

/// One value of a list.
fn one(item: Filled) -> Option<(String, Text)> {
    match item {
        Filled::Text(text) => Some((String::new(), text)),
        Filled::Switch(on) => Some((String::new(), Text::plain(on.to_string()))),
        Filled::List(_) | Filled::Table(_) => None,
    }
}

/// Takes `NAME=` off the beginning of a text.
fn split_name(word: &mut Word) {
    if let Some(Part::Text(first)) = word.text.parts.first()
        && let Some((name, rest)) = first.split_once('=')
    {
        word.prefix += &format!("{name}=");
        let rest = rest.to_owned();
        match rest.is_empty() {
            true => drop(word.text.parts.remove(0)),
            false => word.text.parts[0] = Part::Text(rest),
        }
    }
}

/// Paths that no flag names, of files that are read.
pub fn paths(
    value: &Value,
    what: &str,
    (commands, scope, folder): (&Commands, &Scope, &Path),
    faults: &mut Faults,
) -> Vec<Word> {
    let mut reading = Reading {
        commands,
        folder,
        reader: Reader::new(scope, what),
        faults,
    };
    let words = reading.words(value, Role::Reads, what);
    words.into_iter().flatten().collect()
}

/// Every stage that the texts of a value name.
pub fn stages_in(value: &Value, scope: &BTreeSet<&str>) -> Vec<String> {
    let mut found = Vec::new();
    value.texts(&mut |text| {
        for piece in super::vars::pieces(text).unwrap_or_default() {
            if let super::vars::Piece::Name(name) = piece {
                let stage = name.split('.').next().unwrap_or_default();
                if scope.contains(stage) {
                    found.push(stage.to_owned());
                }
            }
        }
    });
    found
}

/// What a stage is named by in `after`: plain names, or in braces.
pub fn after(stage: &Stage) -> Vec<(String, usize)> {
    let values = stage.after.iter().cloned().flat_map(list);
    values
        .map(|value| {
            let text = value.scalar().unwrap_or_default();
            let text = text
                .trim_start_matches('{')
                .trim_end_matches('}')
                .to_owned();
            (text, value.line)
        })
        .collect()
}
