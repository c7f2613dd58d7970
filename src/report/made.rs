//! How a run was made: commands, hashes, versions, times, memory.

use super::fact::{Fact, State, word};
use super::say;
use serde::Serialize;
use serde_json::Value;

/// Most stages, inputs of a stage, and characters of a command that are shown.
const STAGES: usize = 200;
const INPUTS: usize = 50;
const COMMAND: usize = 8_000;

/// A stage that was run.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    pub name: String,
    pub command: String,
    pub time: Fact,
    pub memory: Fact,
    pub version: Option<String>,
    pub program: Option<String>,
    pub finished: Option<String>,
    pub key: Option<String>,
    pub inputs: Vec<Input>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Input {
    pub path: String,
    pub sha256: Option<String>,
    pub rows: Option<String>,
}

/// A command with what it is for.
#[derive(Clone, Debug, Serialize)]
pub struct Command {
    pub what: String,
    pub command: String,
}

/// By stages.jsonl.
pub fn stages(lines: &[Value]) -> Vec<Stage> {
    let text = |value: &Value| word(value).unwrap_or_default();
    let input = |input: &Value| Input {
        path: text(&input["path"]),
        sha256: word(&input["sha256"]),
        rows: word(&input["rows"]),
    };
    let stage = |stage: &Value| Stage {
        name: text(&stage["stage"]),
        command: command(&stage["command"]),
        time: Fact::of(stage, "seconds", say::seconds),
        memory: Fact::of(stage, "peak_rss_mb", say::megabytes),
        version: word(&stage["version"]),
        program: word(&stage["program_sha256"]),
        finished: word(&stage["finished"]),
        key: word(&stage["key"]),
        inputs: stage["inputs"]
            .as_array()
            .into_iter()
            .flatten()
            .take(INPUTS)
            .map(input)
            .collect(),
    };
    lines.iter().take(STAGES).map(stage).collect()
}

/// A command as a shell takes it: words, or a text that is one already.
fn command(value: &Value) -> String {
    let text = match value {
        Value::Array(words) => {
            let words = words.iter().filter_map(Value::as_str);
            // A NUL byte cannot be quoted, and no command line has one.
            shlex::try_join(words.filter(|word| !word.contains('\0'))).unwrap_or_default()
        }
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    say::short(&text, COMMAND)
}

/// Those that provenance.json names.
pub fn commands(provenance: &Value) -> Vec<Command> {
    let named = provenance["commands"]
        .as_object()
        .into_iter()
        .flatten()
        .take(STAGES);
    let named = named.map(|(what, value)| Command {
        what: what.replace('_', " "),
        command: command(value),
    });
    named.filter(|one| !one.command.is_empty()).collect()
}

/// Times and costs, by cost.json and the stages.
pub fn costs(cost: &Value, stages: &[Value]) -> Vec<(&'static str, Fact)> {
    let of = |what, key, show: fn(f64) -> String| (what, Fact::of(cost, key, show));
    let numbers = |key: &str| {
        stages
            .iter()
            .filter_map(|stage| stage[key].as_f64())
            .collect::<Vec<_>>()
    };
    let total = match numbers("seconds") {
        seconds if seconds.is_empty() => Fact::none(State::Missing, "no stage says its time"),
        seconds => Fact::derived(say::seconds(seconds.iter().sum())),
    };
    let largest = match numbers("peak_rss_mb").into_iter().reduce(f64::max) {
        None => Fact::none(State::Missing, "no stage says its memory"),
        Some(mb) => Fact::derived(say::megabytes(mb)),
    };
    vec![
        of("time of training", "training_time_seconds", say::seconds),
        of("time of evaluation", "eval_time_seconds", say::seconds),
        of("cost of training", "training_cost_usd", |usd| {
            format!("{usd:.2} USD")
        }),
        ("time of all stages", total),
        ("largest memory of a stage", largest),
    ]
}

/// What config, provenance, artifact and status say about model, program and artifact.
pub fn identity(
    config: &Value,
    provenance: &Value,
    artifact: &Value,
    status: &Value,
) -> Vec<(&'static str, String)> {
    let base = &config["base_model"];
    let git = &provenance["git"];
    // A report is written just before its run is decided.
    let phase = word(&status["phase"]);
    let phase = phase.filter(|phase| !["reporting", "decided"].contains(&phase.as_str()));
    let named = [
        ("base model", word(&base["id"])),
        ("revision", word(&base["revision"])),
        ("precision", word(&base["precision"])),
        ("method", word(&config["candidate"]["method"])),
        (
            "adapter format",
            word(&config["candidate"]["adapter_format"]),
        ),
        ("artifact", word(&artifact["path"])),
        ("kind of artifact", word(&artifact["kind"])),
        ("shipped", word(&artifact["shipped"])),
        ("package", word(&artifact["package_dir"])),
        ("routing", word(&artifact["routing_constraint"])),
        (
            "commit",
            word(&git["commit"]).map(|commit| match git["dirty"] == true {
                true => format!("{commit}, with local changes"),
                false => commit,
            }),
        ),
        ("branch", word(&git["branch"])),
        ("sources", word(&git["note"])),
        ("phase", phase),
        ("made from run", word(&status["parent_run_id"])),
        ("followed by run", word(&status["successor_run_id"])),
        ("failed", word(&status["failure"]["summary"])),
    ];
    named
        .into_iter()
        .filter_map(|(what, value)| Some((what, value?)))
        .collect()
}
