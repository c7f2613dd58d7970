//! The commands that may be stages of a recipe, described from the flags that they have.

use crate::adapters::stored;
use crate::cli::Cli;
use crate::cli::config_file::message;
use crate::data::synth;
use crate::eval::gates;
use crate::model::load;
use crate::recipe::commands::{Command, Commands, Flag, Main, Resume, Role, Takes};
use anyhow::Result;
use clap::{Arg, ArgAction, CommandFactory, Parser};
use std::any::TypeId;
use std::path::{Path, PathBuf};

/// Commands that write something, with the flag of their main output and its name in a stage's folder. One without a flag prints
/// it.
const STAGES: &[(&str, Option<&str>, &str)] = &[
    ("sft", Some("out"), "adapter"),
    ("dpo", Some("out"), "adapter"),
    ("grpo", Some("out"), "adapter"),
    ("rft", Some("out"), "adapter"),
    ("generate", Some("out"), "predictions.jsonl"),
    ("eval-sql", Some("out"), "rows.jsonl"),
    ("eval-compare", Some("out"), "comparison.json"),
    ("eval-choices", Some("out"), "rows.jsonl"),
    ("gate", Some("out"), "verdicts.json"),
    ("episodes run", Some("out"), "episodes.jsonl"),
    ("episodes make", Some("out"), "rows.jsonl"),
    ("headroom", Some("out"), "rows.jsonl"),
    ("route", Some("routes_out"), "routed.jsonl"),
    ("route fit", Some("out"), "router.json"),
    ("sweep", Some("out"), "sweep"),
    ("data synth", Some("out"), "set"),
    ("data blend", Some("out"), "rows.jsonl"),
    ("data hint", Some("out"), "rows.jsonl"),
    ("data merge", Some("out"), "rows.jsonl"),
    ("data target", Some("out"), "rows.jsonl"),
    ("data check", Some("out"), "check.json"),
    ("data correct", Some("out"), "rows.jsonl"),
    ("data repair", Some("out"), "rows.jsonl"),
    ("data convert", Some("out"), "rows.jsonl"),
    ("data public", Some("out"), "set"),
    ("data spider", Some("out"), "set"),
    ("data bird", Some("out"), "set"),
    ("data choices", Some("out"), "choices.jsonl"),
    ("adapter inspect", None, "inspect.txt"),
    ("adapter diff", None, "diff.txt"),
    ("adapter convert", Some("out"), "adapter"),
    ("adapter compose", Some("out"), "adapter"),
    ("adapter merge", Some("out"), "model"),
];

/// Other outputs: their names, and whether a recipe's stage always has them.
const OUTPUTS: [(&str, &str, bool); 9] = [
    ("calibration", "calibration.json", false),
    ("lengths_out", "lengths.svg", false),
    ("metrics_out", "metrics.json", false),
    ("prefs_out", "prefs.jsonl", false),
    ("labels_out", "labels.jsonl", true),
    ("summary_out", "summary.json", true),
    ("slices_out", "slices.json", true),
    ("clean_out", "clean.jsonl", false),
    ("review_out", "review.md", true),
];

/// Flags that have no place in a recipe.
const REFUSED: [(&str, &str); 5] = [
    ("resume", "factory run goes on by itself"),
    ("config", "write its settings into the stage"),
    ("prompt", "an answer to a terminal is no output"),
    ("dry_run", "nothing is written"),
    ("inspect_batch", "nothing is written"),
];

/// Flags that are paths with a name before them, `NAME=PATH`.
const NAMED: [&str; 2] = ["lora", "adapter"];

/// All commands that may be stages.
pub fn commands() -> Commands {
    let mut program = Cli::command();
    program.build();
    let described = STAGES.iter().filter_map(|(words, flag, file)| {
        let mut command = &program;
        for word in words.split(' ') {
            command = command.find_subcommand(word)?;
        }
        Some(Command {
            words: words.split(' ').map(str::to_owned).collect(),
            flags: flags(command),
            main: Main {
                flag: flag.map(str::to_owned),
                file,
                instead: (*words == "adapter convert").then_some(("to", "gguf", "adapter.gguf")),
            },
            resume: match *words {
                "sft" | "dpo" | "grpo" | "rft" => Resume::Folder,
                "generate" | "eval-sql" | "headroom" | "episodes run" => Resume::Flag,
                _ => Resume::Never,
            },
            guard: *words == "data check",
            folder_of: (*words == "eval-sql").then_some(("db_dir", &["predictions", "data"])),
        })
    });
    Commands {
        all: described.collect(),
        check,
        is_id: |base| !Path::new(base).exists() && load::may_exist(base),
        beside,
    }
}

fn flags(command: &clap::Command) -> Vec<Flag> {
    let own = |arg: &&Arg| !["help", "version"].contains(&arg.get_id().as_str());
    let args: Vec<&Arg> = command.get_arguments().filter(own).collect();
    let excludes = |a: &Arg, b: &Arg| {
        let excluded = command.get_arg_conflicts_with(a);
        excluded.iter().any(|other| other.get_id() == b.get_id())
    };
    let flag = |arg: &Arg| {
        let conflicts = args.iter().filter(|b| excludes(arg, b) || excludes(b, arg));
        Flag {
            name: name(arg),
            spelled: arg.get_long().map(|long| format!("--{long}")),
            takes: match arg.get_action() {
                ArgAction::SetTrue => Takes::Nothing,
                ArgAction::Append => Takes::Many,
                _ => Takes::One,
            },
            role: role(arg),
            conflicts: conflicts.map(|other| name(other)).collect(),
        }
    };
    args.iter().map(|arg| flag(arg)).collect()
}

/// As a recipe has it.
fn name(arg: &Arg) -> String {
    let id = arg.get_id().as_str();
    arg.get_long().unwrap_or(id).replace('-', "_")
}

fn role(arg: &Arg) -> Role {
    let name = name(arg);
    let is_path = arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
    let output = OUTPUTS.iter().find(|(flag, ..)| *flag == name);
    let refused = REFUSED.iter().find(|(flag, _)| *flag == name);
    match (output, refused) {
        (Some((_, file, always)), _) => Role::Writes(file, *always),
        (_, Some((_, why))) => Role::Refused(why),
        _ if is_path => Role::Reads,
        _ if name == "base" => Role::ReadsBase,
        _ if NAMED.contains(&name.as_str()) => Role::ReadsNamed,
        _ if name == "lora_weight" => Role::Behind("lora"),
        _ => Role::Setting,
    }
}

fn check(words: &[String]) -> Result<(), String> {
    let line = std::iter::once("factory").chain(words.iter().map(String::as_str));
    let parsed = Cli::try_parse_from(line).map_err(|error| message(&error))?;
    parsed.command.check().map_err(|error| format!("{error:#}"))
}

/// What a file that a flag names leads to.
fn beside(command: &str, flag: &str, path: &Path) -> Result<Vec<PathBuf>> {
    match (command, flag) {
        ("sweep", "gates") => gates::inputs(path),
        ("gate", "gates") => gates::file::scorings(path),
        ("data synth", "spec") => synth::inputs(path),
        ("route fit", _) => Ok(Vec::new()),
        (_, "lora" | "adapter" | "init" | "one" | "other") => {
            let base = stored::base_of(path)?.map(PathBuf::from);
            // A hub id, or a base that a flag names instead.
            Ok(base.filter(|base| base.exists()).into_iter().collect())
        }
        _ => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands that write nothing, or not what a stage could leave.
    const OTHERS: &[&str] = &[
        "episodes replay",
        "model inspect",
        "doctor",
        "db list",
        "db test",
        "db schema",
        "db query",
        "db notes",
        "mcp serve",
        "mcp call",
        "completions",
        "man",
        "report",
        "package check",
        "package upload",
        "run",
        "runs list",
        "runs show",
        "runs validate",
        "runs publish-check",
        "runs compare",
        "runs decide",
        "runs reconcile",
        "runs advance",
        "sql-worker",
        "db-worker",
        "serve",
        "ask",
        "chat",
    ];

    fn leaves(command: &clap::Command, words: &str, all: &mut Vec<String>) {
        let inner: Vec<_> = command
            .get_subcommands()
            .filter(|c| c.get_name() != "help")
            .collect();
        for command in &inner {
            let words = format!("{words} {}", command.get_name());
            leaves(command, words.trim(), all);
        }
        if inner.is_empty() {
            all.push(words.to_owned());
        }
    }

    #[test]
    fn every_command_is_a_stage_or_known_to_be_none() {
        let (mut program, mut all) = (Cli::command(), Vec::new());
        program.build();
        leaves(&program, "", &mut all);
        let stages: Vec<String> = commands().all.iter().map(Command::name).collect();
        for command in all {
            let known = stages.contains(&command) || OTHERS.contains(&&*command);
            assert!(known, "{command}: add it to STAGES, or to OTHERS here");
        }
        assert_eq!(stages.len(), STAGES.len());
    }

    #[test]
    fn flags_that_write_are_told_from_those_that_read() {
        for command in commands().all {
            let name = command.name();
            for flag in &command.flags {
                let writes = matches!(flag.role, Role::Writes(..))
                    || command.main.flag.as_ref() == Some(&flag.name);
                let out = flag.name == "out" || flag.name.ends_with("_out");
                let named = out || flag.name == "calibration";
                assert_eq!(writes, named, "{name} {}", flag.name);
            }
        }
        let all = commands();
        let role = |words: &str, flag: &str| all.find(words).unwrap().flag(flag).unwrap().role;
        assert_eq!(role("sft", "val-data"), Role::Reads);
        assert_eq!(role("generate", "base"), Role::ReadsBase);
        assert_eq!(role("adapter inspect", "adapter"), Role::Reads);
        assert_eq!(role("route fit", "adapter"), Role::ReadsNamed);
        assert_eq!(role("eval-sql", "db_dir"), Role::Reads);
        assert_eq!(role("sft", "rank"), Role::Setting);
    }
}
