//! Settings of modules by name, as PEFT's `rank_pattern` and `alpha_pattern`.

use crate::model::linear::Site;
use anyhow::{Context, Result, bail};
use regex::{Regex, RegexBuilder};
use serde::Serialize;
use serde_json::{Map, Value};

/// Largest compiled pattern in bytes: patterns come with other people's adapters.
const MAX_PATTERN: usize = 1 << 20;

/// Values for the modules whose name a pattern matches; the first match counts. A pattern is a
/// regular expression for the end of the name, from a dot on: `q_proj`, `layers.3.mlp.up_proj`.
#[derive(Debug, Clone)]
pub struct Patterns<T> {
    entries: Vec<(String, Regex, T)>,
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
        }
    }
}

impl<T: Copy + Serialize> Patterns<T> {
    /// Patterns in their order.
    pub fn new(entries: impl IntoIterator<Item = (String, T)>) -> Result<Self> {
        let compile = |(pattern, value): (String, T)| {
            // As PEFT's get_pattern_key.
            let regex = RegexBuilder::new(&format!(r"^(.*\.)?({pattern})$"))
                .size_limit(MAX_PATTERN)
                .build();
            match regex {
                Ok(regex) => Ok((pattern, regex, value)),
                Err(_) => bail!("{pattern:?} is no regular expression, or a too large one"),
            }
        };
        let entries = entries.into_iter().map(compile).collect::<Result<_>>()?;
        Ok(Self { entries })
    }

    /// Reads the object of an adapter config.
    pub fn from_json(field: Option<&Value>, value: fn(&Value) -> Result<T>) -> Result<Self> {
        match field {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(Value::Object(map)) => {
                let entry = |(pattern, v): (&String, &Value)| {
                    Ok((pattern.clone(), value(v).context(pattern.clone())?))
                };
                Self::new(map.iter().map(entry).collect::<Result<Vec<_>>>()?)
            }
            Some(other) => bail!("is {other}, expected an object"),
        }
    }

    /// As in an adapter config.
    pub fn to_json(&self) -> Value {
        let entry =
            |(pattern, _, value): &(String, Regex, T)| (pattern.clone(), serde_json::json!(value));
        Value::Object(self.entries.iter().map(entry).collect::<Map<_, _>>())
    }

    /// The value for `site`.
    pub fn get(&self, site: Site) -> Option<T> {
        if self.entries.is_empty() {
            return None;
        }
        let name = format!("model.{site}");
        let entry = self.entries.iter().find(|(_, r, _)| r.is_match(&name))?;
        Some(entry.2)
    }

    /// Patterns that match none of `sites`: most often a slip of the pen.
    pub fn idle(&self, sites: &[Site]) -> Vec<&str> {
        let names: Vec<String> = sites.iter().map(|s| format!("model.{s}")).collect();
        let idle = |(_, regex, _): &&(String, Regex, T)| !names.iter().any(|n| regex.is_match(n));
        let idle = self.entries.iter().filter(idle);
        idle.map(|(pattern, _, _)| pattern.as_str()).collect()
    }
}

impl<T: Copy + Serialize + PartialEq> PartialEq for Patterns<T> {
    fn eq(&self, other: &Self) -> bool {
        let pairs = |p: &Self| -> Vec<(String, T)> {
            p.entries.iter().map(|(k, _, v)| (k.clone(), *v)).collect()
        };
        pairs(self) == pairs(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::linear::Projection;

    #[test]
    fn the_first_match_of_a_whole_name_part_counts() {
        let patterns = [
            ("layers.1.mlp.up_proj", 1),
            (r"layers\.\d\.mlp.*", 2),
            ("proj", 3),
        ];
        let patterns = Patterns::new(patterns.map(|(k, v)| (k.to_string(), v))).unwrap();
        let get = |layer, projection| patterns.get(Site { layer, projection });
        assert_eq!(get(1, Projection::Up), Some(1));
        assert_eq!(get(0, Projection::Up), Some(2));
        // "proj" is only part of a name.
        assert_eq!(get(0, Projection::Q), None);
        let q = Site {
            layer: 0,
            projection: Projection::Q,
        };
        assert_eq!(patterns.idle(&[q]).len(), 3);
    }
}
