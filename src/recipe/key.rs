//! What a stage's outputs depend on, as one hash.

use super::arguments::{Arguments, Word};
use super::hashes::{Hashed, Hashes};
use super::vars::Part;
use crate::run::words::hex;
use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// The program's version, which every key holds.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Of a command with its arguments. `stage` gives the key of a stage that they name. Also what was read, with its hashes.
pub fn of(
    command: &str,
    arguments: &Arguments,
    hashes: &mut Hashes,
    stage: impl Fn(&str) -> String,
) -> Result<(String, Vec<(PathBuf, Hashed)>)> {
    let mut inputs: Vec<(PathBuf, Hashed)> = Vec::new();
    let mut said = |word: &Word| -> Result<Value> {
        if let Some(path) = &word.path {
            let known = inputs.iter().find(|(other, _)| other == path);
            let hashed = match known {
                Some((_, hashed)) => hashed.clone(),
                None => hashes.of(path)?,
            };
            let sha256 = hashed.sha256.clone();
            if known.is_none() {
                inputs.push((path.clone(), hashed));
            }
            return Ok(json!([word.prefix, {"sha256": sha256}]));
        }
        let part = |part: &Part| match part {
            Part::Text(text) => json!(text),
            Part::Stage { name, output } => json!({"stage": stage(name), "output": output}),
        };
        let parts = word.text.parts.iter().map(part);
        Ok(std::iter::once(json!(word.prefix)).chain(parts).collect())
    };
    let mut flags = Vec::new();
    for argument in &arguments.all {
        let value = argument.word.as_ref().map_or(Ok(json!(true)), &mut said)?;
        flags.push((argument.flag.clone(), value));
    }
    let beside = arguments.beside.iter().map(&mut said);
    let beside: Vec<Value> = beside.collect::<Result<_>>()?;
    // The order of different flags says nothing; that of one flag's values does.
    flags.sort_by(|a, b| a.0.cmp(&b.0));
    let mut outputs: Vec<&str> = arguments
        .outputs
        .iter()
        .map(|(flag, _)| flag.as_str())
        .collect();
    outputs.sort();
    let all = json!({
        "version": VERSION,
        "command": command,
        "flags": flags,
        "beside": beside,
        "outputs": outputs,
    });
    Ok((hex(&Sha256::digest(all.to_string())), inputs))
}
