//! `--config FILE.toml`: the keys are the command's flags. Its settings become flags that stand
//! before the ones given, so that one parser knows names, types and conflicts. `--resume OUT` reads those of the run.

use super::{Cli, UsageError};
use crate::run::files::partial;
use crate::run::nearest::nearest;
use anyhow::{Context, Result, anyhow, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, Parser};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::Value;

/// Parses the command line together with the file its `--config` names. Mistakes of the command
/// line alone are reported by clap, which ends the program.
pub fn parse(args: Vec<OsString>) -> Result<Cli> {
    let mut command = Cli::command();
    command.build();
    // What the command line lacks may be in the file.
    let matches = command
        .clone()
        .ignore_errors(true)
        .try_get_matches_from(&args)
        .unwrap_or_else(|e| e.exit());
    let Some((name, given)) = matches.subcommand() else {
        return Ok(Cli::parse_from(args));
    };
    let given_path = |flag| given.try_get_one::<PathBuf>(flag).ok().flatten();
    // The other command with a --resume has no settings.
    let resumed = given_path("resume").map(|out| partial(out).join("config.toml"));
    let file = given_path("config")
        .cloned()
        .or(resumed.filter(|file| file.exists()));
    let (Some(file), Some(command)) = (file, command.find_subcommand(name)) else {
        return Ok(Cli::parse_from(args));
    };
    let wrong = |e: anyhow::Error| UsageError(format!("{}: {e:#}", file.display()));
    let flags = flags(&file, command, given).map_err(wrong)?;
    let at = args.iter().position(|a| a == name).map_or(1, |i| i + 1);
    let mut both = args.clone();
    both.splice(at..at, flags);
    Cli::try_parse_from(both).map_err(|error| {
        let alone = Cli::try_parse_from(args).err();
        match alone.filter(|alone| message(alone) == message(&error)) {
            Some(own) => own.exit(),
            None => wrong(anyhow!("{}", message(&error))).into(),
        }
    })
}

/// clap's error without its usage and tips, on one line.
pub fn message(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim);
    let lines = lines.take_while(|l| !l.starts_with("Usage:") && !l.starts_with("tip:"));
    let lines: Vec<&str> = lines.filter(|l| !l.is_empty()).collect();
    lines.join(" ").trim_start_matches("error: ").to_string()
}

/// The file's settings as flags, those left out that the command line overrides.
fn flags(file: &Path, command: &Command, given: &ArgMatches) -> Result<Vec<OsString>> {
    let text = std::fs::read_to_string(file).context("cannot be read")?;
    let table: toml::Table = toml::from_str(&text).map_err(|e| {
        let before = e.span().map_or(0, |s| s.start);
        let line = text[..before].matches('\n').count() + 1;
        anyhow!("line {line}: {}", e.message())
    })?;
    let typed: Vec<&Arg> = command
        .get_arguments()
        .filter(|a| given.value_source(a.get_id().as_str()) == Some(ValueSource::CommandLine))
        .collect();
    let mut flags = Vec::new();
    for (key, value) in &table {
        let arg = known(command, key)?;
        let excludes = |a: &Arg, b: &Arg| {
            let excluded = command.get_arg_conflicts_with(a);
            excluded.iter().any(|e| e.get_id() == b.get_id())
        };
        let overridden =
            |t: &&Arg| t.get_id() == arg.get_id() || excludes(t, arg) || excludes(arg, t);
        if !typed.iter().any(overridden) {
            let values = values(key, value, arg)?;
            flags.extend(values.into_iter().map(OsString::from));
        }
    }
    Ok(flags)
}

/// The flag a key stands for: `grad_accum` or `grad-accum`.
fn known<'a>(command: &'a Command, key: &str) -> Result<&'a Arg> {
    let name = key.replace('_', "-");
    let longs = || {
        let args = command.get_arguments();
        args.filter_map(|a| Some((a.get_long()?, a)))
            .filter(|(long, _)| !["config", "help"].contains(long))
    };
    if let Some((_, arg)) = longs().find(|(long, _)| *long == name) {
        return Ok(arg);
    }
    match nearest(&name, longs().map(|(long, _)| long)) {
        Some(long) => bail!(
            "unknown key {key}; did you mean {}?",
            long.replace('-', "_")
        ),
        None => bail!(
            "unknown key {key}; the keys are the flags of factory {}",
            command.get_name()
        ),
    }
}

/// A setting as command-line flags.
fn values(key: &str, value: &Value, arg: &Arg) -> Result<Vec<String>> {
    let long = arg.get_long().unwrap_or_default();
    let flag = |text: String| format!("--{long}={text}");
    let switch = matches!(arg.get_action(), ArgAction::SetTrue);
    Ok(match value {
        Value::Boolean(true) if switch => vec![format!("--{long}")],
        Value::Boolean(false) if switch => Vec::new(),
        _ if switch => bail!("{key} must be true or false"),
        Value::Array(items) => items
            .iter()
            .map(|v| Ok(flag(scalar(key, v)?)))
            .collect::<Result<_>>()?,
        Value::Table(table) => table
            .iter()
            .map(|(k, v)| Ok(flag(format!("{k}={}", scalar(key, v)?))))
            .collect::<Result<_>>()?,
        scalar_value => vec![flag(scalar(key, scalar_value)?)],
    })
}

fn scalar(key: &str, value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(s) => s.clone(),
        Value::Integer(n) => n.to_string(),
        // "8.0", which a whole-number flag refuses.
        Value::Float(x) => format!("{x:?}"),
        _ => bail!("{key} is {}, expected text or a number", value.type_str()),
    })
}
