//! What a candidate is: its base, how it was made, and in which files it lies.

use super::done::Done;
use super::evidence::Evidence;
use super::process::quoted;
use super::records::{Artifact, BaseModel, Candidate};
use anyhow::Result;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// PEFT's file, which says what an adapter is.
const ADAPTER: &str = "adapter_config.json";
/// The settings of a training run, in its adapter's folder.
const SETTINGS: &str = "config.toml";
/// Flags of `generate` that say which adapter answers which row.
const SERVING: [&str; 6] = [
    "--lora",
    "--adapter",
    "--route",
    "--default-route",
    "--min-confidence",
    "--trust-route-field",
];

/// The base that the candidate stands on.
pub fn base_model(evidence: &Evidence) -> Result<BaseModel> {
    let answers = evidence.primary()?.answers.as_ref();
    let stages = [
        evidence.training.as_ref(),
        evidence.artifact.as_ref(),
        answers,
    ];
    let stages: Vec<&Done> = stages
        .into_iter()
        .flatten()
        .chain(&evidence.behind)
        .collect();
    let flag = |name: &str| stages.iter().find_map(|done| done.values(name).pop());
    let named = stages.iter().find_map(|done| {
        let config = adapter_config(done.main().ok()?)?;
        Some(config.get("base_model_name_or_path")?.as_str()?.to_owned())
    });
    let id = flag("--base")
        .or(named)
        .unwrap_or_else(|| "unknown".to_owned());
    let inputs = || stages.iter().flat_map(|done| &done.inputs);
    let hash = inputs().find(|input| input.path == Path::new(&id));
    let settings = stages.iter().find_map(|done| {
        let text = fs::read_to_string(done.main().ok()?.join(SETTINGS)).ok()?;
        let table: toml::Table = text.parse().ok()?;
        Some(table.get("dtype")?.as_str()?.to_owned())
    });
    Ok(BaseModel {
        revision: hash.map(|input| format!("sha256:{}", input.sha256)),
        precision: flag("--dtype").or(settings),
        id,
    })
}

/// How the candidate was made.
pub fn candidate(evidence: &Evidence) -> Candidate {
    let of = evidence.artifact.as_ref().or(evidence.training.as_ref());
    let method = match of {
        None => "none".to_owned(),
        Some(done) => {
            let config = done.main().ok().and_then(adapter_config);
            config.map_or_else(|| done.name(), |config| method(&config))
        }
    };
    Candidate {
        method,
        adapter_format: of.map(|done| format(done).to_owned()),
        training_command: evidence.training.as_ref().map(|done| quoted(&done.command)),
    }
}

/// `dora r8 alpha 16`
fn method(config: &Value) -> String {
    let is = |field: &str| config.get(field).and_then(Value::as_bool) == Some(true);
    // A whole number is written as one.
    let number = |field: &str| {
        let number = config.get(field).and_then(Value::as_f64);
        number.map_or("?".to_owned(), |number| number.to_string())
    };
    let kind = match (is("use_dora"), is("use_rslora")) {
        (true, _) => "dora",
        (_, true) => "rslora",
        _ => "lora",
    };
    format!("{kind} r{} alpha {}", number("r"), number("lora_alpha"))
}

/// What would be shipped; `None` where there is nothing.
pub fn artifact(evidence: &Evidence, base: &BaseModel, run_id: &str) -> Result<Option<Artifact>> {
    let Some(done) = &evidence.artifact else {
        return Ok(None);
    };
    let path = done.main()?.to_owned();
    let package = if path.is_dir() {
        path.as_path()
    } else {
        done.folder()?
    };
    let serving = evidence.primary()?.answers.as_ref().map(|answers| {
        let given = SERVING.iter().flat_map(|flag| {
            let values = answers.values(flag).into_iter();
            values.map(move |value| format!("{flag} {value}"))
        });
        given.collect::<Vec<_>>().join(" ")
    });
    Ok(Some(Artifact {
        artifact_id: format!("{run_id}-{}", done.stage),
        kind: kind(done).to_owned(),
        package_dir: Some(package.to_owned()),
        path,
        base_model: base.id.clone(),
        format: format(done).to_owned(),
        shipped: false,
        routing_constraint: serving.filter(|flags| !flags.is_empty()),
    }))
}

fn kind(done: &Done) -> &'static str {
    match format(done) {
        "peft" => "adapter",
        "router" => "router",
        "safetensors" => "model",
        _ => "other",
    }
}

fn format(done: &Done) -> &'static str {
    match done.main() {
        Ok(main) if main.join(ADAPTER).exists() => "peft",
        Ok(main) if main.join("config.json").exists() => "safetensors",
        _ if done.name() == "route fit" => "router",
        _ => "file",
    }
}

fn adapter_config(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(folder.join(ADAPTER)).ok()?).ok()
}
