//! Which modules of a base a PEFT config chooses.

use super::pattern::MAX_COMPILED;
use crate::model::linear::{Projection, Site};
use anyhow::{Result, bail, ensure};
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The choice that `target_modules`, `exclude_modules`, `layers_to_transform` and `layers_pattern` make, as PEFT's
/// `check_target_module_exists`.
#[derive(Debug, Clone)]
pub struct Selection {
    targets: Names,
    excluded: Option<Names>,
    /// Layers by number; all without.
    layers: Option<BTreeSet<u64>>,
    /// What the list of layers may be called; anything without.
    lists: Vec<Names>,
}

/// Modules outside the blocks that a list of targets may name.
const OUTSIDE: [&str; 2] = ["lm_head", "embed_tokens"];

impl Selection {
    /// Reads the fields of an adapter config.
    pub fn from_json(fields: &Map<String, Value>) -> Result<Self> {
        let set = |name: &str| fields.get(name).filter(|value| !value.is_null());
        let names = |name: &str| {
            set(name)
                .map(|value| Names::from_json(name, value))
                .transpose()
        };
        let Some(targets) = names("target_modules")? else {
            bail!("target_modules is missing");
        };
        let selection = Self {
            targets,
            excluded: names("exclude_modules")?,
            layers: set("layers_to_transform")
                .map(layers)
                .transpose()?
                .flatten(),
            lists: match set("layers_pattern") {
                None => Vec::new(),
                Some(Value::Array(all)) => {
                    let one = |value: &Value| Names::from_json("layers_pattern", value);
                    all.iter().map(one).collect::<Result<_>>()?
                }
                Some(one) => vec![Names::from_json("layers_pattern", one)?],
            },
        };
        if let Names::Listed(listed) = &selection.targets {
            let outside = listed.iter().filter(|name| OUTSIDE.contains(&last(name)));
            let outside: Vec<_> = outside
                .filter(|name| {
                    let excluded = selection.excluded.as_ref();
                    excluded.and_then(|names| names.has(name)) != Some(true)
                })
                .map(String::as_str)
                .collect();
            ensure!(
                outside.is_empty(),
                "target module {} is not supported: only the projections of the blocks are",
                outside.join(", ")
            );
            ensure!(
                listed
                    .iter()
                    .any(|name| Projection::from_name(last(name)).is_some()),
                "target module {} is not supported",
                Vec::from_iter(listed.iter().map(String::as_str)).join(", ")
            );
        }
        Ok(selection)
    }

    /// Projections that may be chosen: those that are listed, else all.
    pub fn projections(&self) -> Vec<Projection> {
        match &self.targets {
            Names::Listed(listed) => {
                let named: BTreeSet<Projection> = listed
                    .iter()
                    .filter_map(|name| Projection::from_name(last(name)))
                    .collect();
                named.into_iter().collect()
            }
            Names::Matching(_) => Projection::ALL.to_vec(),
        }
    }

    /// Whether the module at `site` is chosen, whose name starts with `before`. `None` where a pattern is one of Python's that
    /// cannot be read here: the file has the modules that PEFT chose.
    pub fn chooses(&self, site: Site, before: &str) -> Option<bool> {
        let name = format!("{before}{site}");
        if let Some(excluded) = &self.excluded
            && excluded.has(&name)?
        {
            return Some(false);
        }
        if !self.targets.has(&name)? {
            return Some(false);
        }
        let Some(layers) = &self.layers else {
            return Some(true);
        };
        let list = format!("{before}layers");
        let mut called = self.lists.is_empty();
        for pattern in &self.lists {
            called |= pattern.has(&list)? || pattern.has("layers")?;
        }
        Some(called && layers.contains(&(site.layer as u64)))
    }
}

/// Modules by name.
#[derive(Debug, Clone)]
enum Names {
    /// Whole names, or their ends from a dot on.
    Listed(BTreeSet<String>),
    /// A regular expression for whole names; none where it cannot be read.
    Matching(Option<Regex>),
}

impl Names {
    fn from_json(field: &str, value: &Value) -> Result<Self> {
        match value {
            Value::String(text) if field == "target_modules" && text == "all-linear" => {
                Self::matching(".*")
            }
            Value::String(pattern) => Self::matching(pattern),
            Value::Array(names) => {
                let names = names.iter().map(|name| name.as_str().map(str::to_owned));
                match names.collect() {
                    Some(names) => Ok(Self::Listed(names)),
                    None => bail!("{field} is {value}, expected names"),
                }
            }
            _ => bail!("{field} is {value}, expected a list of names or a regular expression"),
        }
    }

    fn matching(pattern: &str) -> Result<Self> {
        let whole = RegexBuilder::new(&format!("^(?:{pattern})$"))
            .size_limit(MAX_COMPILED)
            .build();
        match whole {
            Ok(regex) => Ok(Self::Matching(Some(regex))),
            Err(regex::Error::CompiledTooBig(_)) => {
                bail!("the regular expression {pattern:?} is too large")
            }
            // Python has kinds that are not here, such as look-around.
            Err(_) => Ok(Self::Matching(None)),
        }
    }

    fn has(&self, name: &str) -> Option<bool> {
        match self {
            Self::Listed(listed) => {
                let ends = |end: &String| {
                    let before = name.strip_suffix(end.as_str());
                    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
                };
                Some(listed.iter().any(ends))
            }
            Self::Matching(regex) => regex.as_ref().map(|regex| regex.is_match(name)),
        }
    }
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// One number or several; an empty list is no choice.
fn layers(value: &Value) -> Result<Option<BTreeSet<u64>>> {
    let numbers = match value {
        Value::Array(numbers) => numbers.iter().map(Value::as_u64).collect(),
        one => one.as_u64().map(|layer| BTreeSet::from([layer])),
    };
    let Some(numbers) = numbers else {
        bail!("layers_to_transform is {value}, expected numbers of layers");
    };
    Ok(Some(numbers).filter(|numbers| !numbers.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The sites of two layers that a config chooses, as `0.q_proj`.
    fn chosen(config: Value) -> Result<String> {
        let selection = Selection::from_json(config.as_object().unwrap())?;
        let mut found = Vec::new();
        for layer in 0..2 {
            for projection in [Projection::Q, Projection::V, Projection::Down] {
                let site = Site { layer, projection };
                match selection.chooses(site, "model.") {
                    Some(true) => found.push(format!("{layer}.{}", projection.name())),
                    Some(false) => {}
                    None => return Ok("what is there".into()),
                }
            }
        }
        Ok(found.join(" "))
    }

    #[test]
    fn chooses_as_peft_does() {
        let all = "0.q_proj 0.v_proj 0.down_proj 1.q_proj 1.v_proj 1.down_proj";
        for (config, expected) in [
            (json!({"target_modules": "all-linear"}), all),
            (
                json!({"target_modules": ["q_proj", "fc_in"]}),
                "0.q_proj 1.q_proj",
            ),
            // A part of a name is none.
            (
                json!({"target_modules": ["proj", "v_proj"]}),
                "0.v_proj 1.v_proj",
            ),
            (
                json!({"target_modules": ["1.mlp.down_proj"]}),
                "1.down_proj",
            ),
            (
                json!({"target_modules": r"model\.layers\.1\..*(q|v)_proj"}),
                "1.q_proj 1.v_proj",
            ),
            (json!({"target_modules": r"layers\.1\..*"}), ""),
            (
                json!({"target_modules": "all-linear", "exclude_modules": ["self_attn.v_proj", "layers.0.mlp.down_proj"]}),
                "0.q_proj 1.q_proj 1.down_proj",
            ),
            (
                json!({"target_modules": "all-linear", "exclude_modules": r".*(v|down)_proj"}),
                "0.q_proj 1.q_proj",
            ),
            (
                json!({"target_modules": ["q_proj", "lm_head"], "exclude_modules": ["lm_head"]}),
                "0.q_proj 1.q_proj",
            ),
            (
                json!({"target_modules": ["q_proj"], "layers_to_transform": 1}),
                "1.q_proj",
            ),
            (
                json!({"target_modules": ["q_proj"], "layers_to_transform": [0, 9], "layers_pattern": ["h", "layers"]}),
                "0.q_proj",
            ),
            (
                json!({"target_modules": ["q_proj"], "layers_to_transform": [0], "layers_pattern": "h"}),
                "",
            ),
            (
                json!({"target_modules": ["q_proj"], "layers_to_transform": []}),
                "0.q_proj 1.q_proj",
            ),
            (json!({"target_modules": "(?!x).*"}), "what is there"),
        ] {
            assert_eq!(chosen(config.clone()).unwrap(), expected, "{config}");
        }
    }

    #[test]
    fn refuses_by_name() {
        for (config, part) in [
            (json!({}), "target_modules is missing"),
            (json!({"target_modules": 3}), "target_modules is 3"),
            (
                json!({"target_modules": ["c_attn"]}),
                "c_attn is not supported",
            ),
            (
                json!({"target_modules": ["q_proj", "lm_head"]}),
                "lm_head is not supported",
            ),
            (
                json!({"target_modules": ["q_proj", "model.embed_tokens"]}),
                "embed_tokens is not",
            ),
            (
                json!({"target_modules": ["q_proj"], "exclude_modules": [1]}),
                "exclude_modules is [1]",
            ),
            (
                json!({"target_modules": ["q_proj"], "layers_to_transform": -1}),
                "layers_to_transform is -1",
            ),
            (
                json!({"target_modules": format!("x{}", r"\pL{90}".repeat(90))}),
                "too large",
            ),
        ] {
            let error = chosen(config).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
