//! A small recipe with its rows and its database, and `factory run` there. Included by path: not every file uses all of it.
#![allow(dead_code)]

use crate::common::tiny;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

pub const RECIPE: &str = r#"
name = "tickets"
[vars]
base = { help = "the model to begin with" }
steps = 6
[stages.train]
command = "sft"
data = "train.jsonl"
base = "{base}"
steps = "{steps}"
batch = 2
device = "cpu"
[stages.answers]
command = "generate"
lora = "{train}"
data = "dev.jsonl"
max-tokens = 8
device = "cpu"
[stages.scored]
command = "eval-sql"
predictions = "{answers}"
db_dir = "db"
prefs_out = true
[stages.base-answers]
command = "generate"
base = "{base}"
data = "dev.jsonl"
max_tokens = 8
device = "cpu"
[stages.base-scored]
command = "eval-sql"
predictions = "{base-answers}"
db_dir = "db"
[stages.compared]
command = "eval-compare"
a = "{base-scored}"
b = "{scored}"
[stages.shown]
command = "adapter inspect"
adapter = "{train}"
[runs.first]
target = "tickets, {steps} steps"
training = "train"
# The questions are those that were learned.
allow_overlap = true
[[runs.first.gates]]
name = "all"
candidate = "scored"
baseline = "base-scored"
max_drop = 3
"#;

/// A folder with a recipe, its rows and its database.
pub struct Place(pub TempDir);

impl Place {
    pub fn new(recipe: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Self(dir);
        let rows = |row: &dyn Fn(usize) -> String| (0..6).map(row).collect::<String>();
        let train =
            |i| format!("{{\"instruction\":\"ticket {i}\",\"response\":\"select {i};\"}}\n");
        let dev = |i| {
            format!(
                "{{\"id\":\"t{i}\",\"prompt\":\"ticket {i}\",\"gold_sql\":\"select {i};\",\"db\":\"desk\"}}\n"
            )
        };
        place.write("train.jsonl", &rows(&train));
        place.write("dev.jsonl", &rows(&dev));
        fs::create_dir(place.path("db")).unwrap();
        place.write("db/desk.sql", "CREATE TABLE tickets (id INTEGER);");
        place.write("r.toml", recipe);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_factory"));
        command
            .current_dir(self.0.path())
            .env("HF_HUB_OFFLINE", "1")
            .args(["run", "r.toml", "--set"])
            .arg(format!("base={}", tiny()))
            .args(args);
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs, and says which stages began, sorted.
    pub fn ran(&self, args: &[&str]) -> Vec<String> {
        let output = self.run(args);
        assert!(output.status.success(), "{}", errors(&output));
        began(&output)
    }

    /// The one error line of a run that must fail with `code`.
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        let line = errors.lines().find(|line| line.starts_with("error: "));
        line.unwrap_or_else(|| panic!("no error: {errors}"))
            .to_owned()
    }

    /// The folder of a stage.
    pub fn stage(&self, runs: &str, stage: &str) -> PathBuf {
        let entries = fs::read_dir(self.path(runs).join("stages")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let named = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.rsplit_once('-').is_some_and(|(name, _)| name == stage)
        };
        let mut found: Vec<_> = paths.filter(named).collect();
        assert_eq!(found.len(), 1, "{stage}: {found:?}");
        found.remove(0)
    }
}

pub fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn began(output: &Output) -> Vec<String> {
    let errors = errors(output);
    let stage = |line: &str| {
        let (stage, rest) = line.split_once(": ")?;
        let begins = rest.starts_with("begins: ") || rest.starts_with("goes on: ");
        begins.then(|| stage.to_owned())
    };
    let mut stages: Vec<String> = errors.lines().filter_map(stage).collect();
    stages.sort();
    stages
}
