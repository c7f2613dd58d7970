//! The recipe that goes on from a run: its adapter, its training rows and those that its failures ask for.

use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;
use toml::Table;

/// What the next recipe is made of. Paths are as the recipe is to have them, relative to the folder that it lies in.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The run's name.
    pub name: String,
    /// Its id: the name of its folder.
    pub run_id: String,
    pub target: String,
    pub base: String,
    /// The run's adapter, which the next training goes on from.
    pub adapter: String,
    /// What it was trained on.
    pub training: String,
    /// Rows chosen for its failures.
    pub targeted: String,
    /// Rows it is asked, with reference queries.
    pub heldout: String,
    /// Their databases, where they do not lie beside the rows.
    pub db_dir: Option<String>,
    /// How it is scored: modes of eval-sql.
    pub modes: Vec<String>,
    /// Other settings of the stage that scores, by the names of eval-sql's flags.
    pub scoring: BTreeMap<String, Value>,
    /// Settings of the training stage to keep, by the names of sft's flags, but for those that belong to the adapter.
    pub settings: BTreeMap<String, Value>,
    /// The same of the stage that answers, by the names of generate's flags, but for what is asked and by whom.
    pub answering: BTreeMap<String, Value>,
    /// The gates as a recipe has them, without candidate and baseline.
    pub gates: Vec<Table>,
}

/// Flags of generate that the recipe sets itself, or that belong to other adapters.
const ASKED: [&str; 11] = [
    "data",
    "base",
    "out",
    "lora",
    "lora_weight",
    "route",
    "default_route",
    "min_confidence",
    "trust_route_field",
    "adapter",
    "resume",
];

/// Flags of eval-sql that decide verdicts, beside its modes and databases.
const RULES: [&str; 6] = [
    "extract",
    "follow_links",
    "keep_distinct",
    "keep_going",
    "now",
    "timeout_ms",
];

/// Flags of sft that an adapter to go on from has already, or that this recipe sets itself.
const SET: [&str; 12] = [
    "data",
    "base",
    "out",
    "init",
    "rank",
    "alpha",
    "dora",
    "rslora",
    "dropout",
    "target_modules",
    "rank_pattern",
    "alpha_pattern",
];

/// The recipe as TOML.
///
/// Errors where a setting has no form in TOML.
pub fn next_recipe(facts: &Facts) -> Result<String> {
    let name = format!("{}-next", facts.name);
    let mut stages = Table::new();
    let mut stage = |name: &str, command: &str, keys: &[(&str, toml::Value)]| {
        let mut table = Table::new();
        table.insert("command".to_owned(), command.into());
        let keys = keys
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()));
        table.extend(keys);
        stages.insert(name.to_owned(), table.into());
    };
    let text = |text: &str| toml::Value::from(text);
    let fact = |text: &str| literal(text.into());
    let both = vec![fact(&facts.training), fact(&facts.targeted)];
    stage("rows", "data blend", &[("source", both.into())]);
    let mut training = vec![
        ("data", text("{rows}")),
        ("base", text("{base}")),
        ("init", text("{before}")),
    ];
    for (key, value) in &facts.settings {
        if !SET.contains(&key.replace('-', "_").as_str()) && !value.is_null() {
            training.push((key, literal(toml::Value::try_from(value)?)));
        }
    }
    stage("train", "sft", &training);
    for (answers, scored, lora) in [
        ("before-answers", "before-scored", "{before}"),
        ("answers", "scored", "{train}"),
    ] {
        let mut asked = vec![
            ("data", fact(&facts.heldout)),
            ("base", text("{base}")),
            ("lora", text(lora)),
        ];
        for (key, value) in &facts.answering {
            if !ASKED.contains(&key.replace('-', "_").as_str()) {
                asked.push((key, literal(toml::Value::try_from(value)?)));
            }
        }
        stage(answers, "generate", &asked);
        let mut keys = vec![("data", text(&format!("{{{answers}}}")))];
        keys.extend(facts.db_dir.as_deref().map(|dir| ("db_dir", fact(dir))));
        if !facts.modes.is_empty() {
            keys.push(("mode", facts.modes.clone().into()));
        }
        for (key, value) in &facts.scoring {
            if RULES.contains(&key.replace('-', "_").as_str()) {
                keys.push((key, literal(toml::Value::try_from(value)?)));
            }
        }
        stage(scored, "eval-sql", &keys);
    }
    let gate = |gate: &Table| {
        let ours = [("candidate", "scored"), ("baseline", "before-scored")];
        let ours = ours.map(|(key, stage)| (key.to_owned(), text(stage)));
        let theirs = gate
            .iter()
            .map(|(key, value)| (key.clone(), literal(value.clone())));
        toml::Value::Table(theirs.chain(ours).collect())
    };
    let gates: Vec<toml::Value> = facts.gates.iter().map(gate).collect();
    let mut run = Table::new();
    run.insert("target".to_owned(), fact(&facts.target));
    run.insert("follows".to_owned(), text(&facts.run_id));
    run.insert("training".to_owned(), text("train"));
    run.insert("heldout".to_owned(), fact(&facts.heldout));
    run.insert("gates".to_owned(), gates.into());

    let mut recipe = Table::new();
    recipe.insert("name".to_owned(), text(&name));
    let description = format!(
        "Goes on from {}: the adapter it made, on its training rows and those that its failures ask for.",
        facts.name
    );
    recipe.insert("description".to_owned(), text(&description));
    let table = |entries: Vec<(&str, toml::Value)>| -> toml::Value {
        let entries = entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        Table::from_iter(entries).into()
    };
    recipe.insert(
        "vars".to_owned(),
        table(vec![
            ("base", text(&facts.base)),
            ("before", text(&facts.adapter)),
        ]),
    );
    recipe.insert("stages".to_owned(), stages.into());
    recipe.insert("runs".to_owned(), table(vec![(&name, run.into())]));
    Ok(toml::to_string_pretty(&recipe)?)
}

/// A value whose texts mean themselves: a recipe reads names in braces.
fn literal(value: toml::Value) -> toml::Value {
    match value {
        toml::Value::String(text) => text.replace('{', "{{").replace('}', "}}").into(),
        toml::Value::Array(values) => values.into_iter().map(literal).collect::<Vec<_>>().into(),
        toml::Value::Table(table) => {
            let entries = table.into_iter().map(|(key, value)| (key, literal(value)));
            toml::Value::Table(entries.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts() -> Facts {
        let gate = "name = \"own\"\nmin = 0.5\nrole = \"primary\"\nwhere = { route = \"pens\" }";
        Facts {
            name: "pens".to_owned(),
            run_id: "2026-01-01-pens".to_owned(),
            target: "queries on \"pens\" {new}".to_owned(),
            base: "base.gguf".to_owned(),
            adapter: "../adapter".to_owned(),
            training: "../train.jsonl".to_owned(),
            targeted: "targeted.jsonl".to_owned(),
            heldout: "../dev.jsonl".to_owned(),
            db_dir: Some("../db".to_owned()),
            modes: vec!["factory".to_owned(), "bird-ex".to_owned()],
            scoring: [("keep-going", json!(true)), ("out", json!("x"))]
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
            settings: [
                ("batch", json!(2)),
                ("lr", json!(1e-4)),
                ("rank", json!(16)),
                ("target-modules", json!("q_proj")),
                ("epochs", Value::Null),
            ]
            .map(|(key, value)| (key.to_owned(), value))
            .into(),
            answering: [("max-tokens", json!(64)), ("lora", json!("../adapter"))]
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
            gates: vec![toml::from_str(gate).unwrap()],
        }
    }

    #[test]
    fn it_trains_on_from_the_adapter_on_old_and_targeted_rows() {
        let recipe: Table = toml::from_str(&next_recipe(&facts()).unwrap()).unwrap();
        let json = serde_json::to_value(&recipe).unwrap();
        assert_eq!(json["name"], "pens-next");
        assert_eq!(
            json["vars"],
            json!({"base": "base.gguf", "before": "../adapter"})
        );
        let stages = &json["stages"];
        assert_eq!(
            stages["rows"],
            json!({"command": "data blend", "source": ["../train.jsonl", "targeted.jsonl"]})
        );
        assert_eq!(
            stages["train"],
            json!({"command": "sft", "data": "{rows}", "base": "{base}", "init": "{before}", "batch": 2, "lr": 1e-4})
        );
        assert_eq!(
            stages["before-answers"],
            json!({"command": "generate", "data": "../dev.jsonl", "base": "{base}", "lora": "{before}", "max-tokens": 64})
        );
        assert_eq!(
            stages["scored"],
            json!({"command": "eval-sql", "data": "{answers}", "db_dir": "../db", "mode": ["factory", "bird-ex"], "keep-going": true})
        );
        let run = &json["runs"]["pens-next"];
        assert_eq!(
            (&run["training"], &run["target"], &run["follows"]),
            (
                &json!("train"),
                &json!("queries on \"pens\" {{new}}"),
                &json!("2026-01-01-pens")
            )
        );
        assert_eq!(
            run["gates"][0],
            json!({"name": "own", "min": 0.5, "role": "primary", "where": {"route": "pens"}, "candidate": "scored", "baseline": "before-scored"})
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let facts = Facts {
            db_dir: None,
            modes: Vec::new(),
            scoring: BTreeMap::new(),
            settings: BTreeMap::new(),
            ..facts()
        };
        let recipe: Table = toml::from_str(&next_recipe(&facts).unwrap()).unwrap();
        let scored = &recipe["stages"]["scored"];
        assert_eq!(
            scored.as_table().unwrap().keys().collect::<Vec<_>>(),
            ["command", "data"]
        );
    }
}
