//! An overview's parts from run folders and recipes.

use super::shape::{Reference, Rung};
use crate::report::fact::word;
use crate::report::folder::Folder;
use crate::report::made;
use crate::report::say;
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// The run in `folder` as a rung. `name` is what references know it by [default: its run id]; `beside` is the folder that the
/// overview lies in, for the link.
///
/// Errors where `folder` is no run folder.
pub fn rung(folder: &Path, name: Option<&str>, beside: &Path) -> Result<Rung> {
    let mut run = Folder::open(folder)?;
    let config = run.json("config.json");
    let provenance = run.json("provenance.json");
    let artifact = run.json("artifact.json");
    let commands = made::commands(&provenance);
    let command = |what: &str| {
        let named = commands.iter().find(|command| command.what == what);
        named.map(|command| command.command.clone())
    };
    let id = word(&config["run_id"]).unwrap_or_else(|| run.name());
    let base = word(&config["base_model"]["id"]).unwrap_or_default();
    let base = file_name(Path::new(&base));
    // The folder of a stage says which one it is; in it every adapter has the same name.
    let artifact = word(&artifact["path"]);
    let artifact = artifact.and_then(|path| Path::new(&path).parent().map(file_name));
    let inside = folder.strip_prefix(beside).ok();
    Ok(Rung {
        name: name.map_or(id, str::to_owned),
        link: inside.map(|inside| format!("./{}/report.html", inside.display())),
        model: [Some(base), artifact]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" + "),
        recipe: word(&config["target"]).map(|target| say::short(&target, 200)),
        gates: run.shaped("gates.json").unwrap_or_default(),
        decision: word(&run.json("decision.json")["decision"]),
        command: command("training").or_else(|| command("candidate")),
    })
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The `[reference]` table of a recipe: `[reference."whose"]`, in it a rung's name and its gates' values, as in
/// `routed = { synthetic = 0.86, public = 0.531 }`.
pub fn references(table: &toml::Table) -> Result<Vec<Reference>> {
    let one = |(name, rungs): (&String, &toml::Value)| {
        let values = rungs.clone().try_into();
        let values = values.with_context(|| {
            format!("[reference.{name:?}]: expected rungs and their gates' values, as in routed = {{ synthetic = 0.86 }}")
        })?;
        let reference = Reference {
            name: name.clone(),
            values,
        };
        let mut all = reference.values.values().flat_map(|gates| gates.values());
        ensure!(
            all.all(|value| value.is_finite()),
            "[reference.{name:?}]: a value is no number"
        );
        Ok(reference)
    };
    table.iter().map(one).collect()
}
