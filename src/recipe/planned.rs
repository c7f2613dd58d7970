//! A stage made out whole: its command line, its key, its folder and its files.

use super::arguments::Word;
use super::commands::Resume;
use super::done::{Done, FILE};
use super::draft::{Draft, Drafts, line, main_file, text};
use super::hashes::{Hashed, Hashes};
use super::key::{self, VERSION};
use super::matrix::{Cell, safe};
use super::vars::Part;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A stage for one combination of what it depends on.
#[derive(Clone, Debug)]
pub struct Planned {
    /// `train[rank=4]`
    pub name: String,
    /// `train`
    pub stage: String,
    pub cell: Cell,
    /// The command's own words: `adapter`, `merge`.
    pub words: Vec<String>,
    /// With its flags; the program's name is not in it.
    pub command: Vec<String>,
    pub key: String,
    pub folder: PathBuf,
    /// `main`, and others by the names of their flags.
    pub outputs: BTreeMap<String, PathBuf>,
    /// Whether the main output is what the command prints.
    pub printed: bool,
    pub resume: Resume,
    /// Whether its exit code 3 is a failure.
    pub guard: bool,
    /// The stages that come before, by their places in the plan.
    pub needs: Vec<usize>,
    /// The files and folders that it reads, with their hashes as they were planned with.
    pub inputs: Vec<(PathBuf, Hashed)>,
    /// What it reads of other stages.
    pub behind: Vec<PathBuf>,
}

impl Planned {
    /// What it will be when it is done, as far as that is known before.
    pub fn expected(&self) -> Done {
        Done {
            stage: self.name.clone(),
            key: self.key.clone(),
            command: [vec!["factory".to_owned()], self.command.clone()].concat(),
            version: VERSION.to_owned(),
            program_sha256: String::new(),
            inputs: Vec::new(),
            outputs: self.outputs.clone(),
            sha256: BTreeMap::new(),
            seconds: 0.0,
            peak_rss_mb: None,
            finished: String::new(),
        }
    }
}

/// The stage with its key, its folder and its whole command. `before` are those planned so far.
pub fn plan(
    draft: &Draft,
    drafts: &Drafts,
    before: &[Planned],
    stages: &Path,
    hashes: &mut Hashes,
) -> Result<Planned> {
    let Draft {
        stage,
        command,
        cell,
        arguments,
        needs,
    } = draft;
    // Every stage that a text names is planned: the drafts are in order.
    let of = |name: &str| drafts.find(name, cell).and_then(|at| before.get(at));
    let key_of = |name: &str| of(name).map_or(String::new(), |stage| stage.key.clone());
    let (key, inputs) = key::of(&command.name(), arguments, hashes, key_of)?;
    let name = cell.name(&stage.name);
    let folder = folder(stages, &name, &key);
    let place = |file: &str| folder.join(file);
    let output_of = |name: &str, output: &Option<String>| {
        let output = output.as_deref().unwrap_or("main");
        let path = of(name).and_then(|stage| stage.outputs.get(output));
        path.cloned().unwrap_or_default()
    };
    let main = main_file(command, arguments);
    let others = arguments.outputs.iter();
    let outputs = std::iter::once(("main".to_owned(), place(main)))
        .chain(others.map(|(flag, file)| (flag.clone(), place(file))))
        .collect();
    let reads = |word: &&Word| {
        let mut parts = word.text.parts.iter();
        parts.any(|part| matches!(part, Part::Stage { .. }))
    };
    let behind = arguments.all_words().filter(reads);
    let behind = behind.map(|word| {
        let unnamed = Word {
            prefix: String::new(),
            ..word.clone()
        };
        PathBuf::from(text(&unnamed, &output_of))
    });
    Ok(Planned {
        command: line(command, arguments, &place, &output_of),
        words: command.words.clone(),
        stage: stage.name.clone(),
        cell: cell.clone(),
        needs: needs.clone(),
        printed: command.main.flag.is_none(),
        resume: command.resume,
        guard: command.guard,
        behind: behind.collect(),
        name,
        inputs,
        outputs,
        key,
        folder,
    })
}

/// Hexadecimal digits of a key that stand in a folder's name.
const SHORT: usize = 12;

/// The folder of a stage: one of its key that is there, whatever the stage was called, else that of its name.
fn folder(stages: &Path, name: &str, key: &str) -> PathBuf {
    let short = &key[..SHORT];
    let own = stages.join(format!("{}-{short}", safe(name)));
    if own.exists() {
        return own;
    }
    let entries = fs::read_dir(stages).into_iter().flatten().flatten();
    let mut others: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(&format!("-{short}")) && path.join(FILE).exists()
        })
        .collect();
    others.sort();
    others.into_iter().next().unwrap_or(own)
}
