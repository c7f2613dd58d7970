//! Settings of modules by name, as PEFT's `rank_pattern` and `alpha_pattern`.

use crate::model::linear::Site;
use anyhow::{Context, Result, anyhow, bail, ensure};
use regex::{RegexSet, RegexSetBuilder};
use serde::Serialize;
use serde_json::{Map, Value};

/// Most bytes that all patterns may compile to: they come with other people's adapters, and ten
/// letters can ask for a megabyte.
pub const MAX_COMPILED: usize = 1 << 24;

/// Values for the modules whose name a pattern matches; the first match counts. A pattern is a
/// regular expression for the end of the name, from a dot on: `q_proj`, `layers.3.mlp.up_proj`.
#[derive(Debug, Clone)]
pub struct Patterns<T> {
    entries: Vec<(String, T)>,
    set: RegexSet,
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            set: RegexSet::empty(),
        }
    }
}

impl<T: Copy + Serialize> Patterns<T> {
    /// Patterns in their order.
    pub fn new(entries: impl IntoIterator<Item = (String, T)>) -> Result<Self> {
        let entries: Vec<(String, T)> = entries.into_iter().collect();
        for (i, (pattern, _)) in entries.iter().enumerate() {
            let again = entries[..i].iter().any(|(p, _)| p == pattern);
            ensure!(!again, "{pattern:?} is there twice");
        }
        // As PEFT's get_pattern_key.
        let whole = entries.iter().map(|(p, _)| format!(r"^(.*\.)?({p})$"));
        let set = RegexSetBuilder::new(whole)
            .size_limit(MAX_COMPILED)
            .build()
            .map_err(|e| anyhow!("no regular expressions, or too large ones: {e}"))?;
        Ok(Self { entries, set })
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
        let entries = self.entries.iter();
        let entries = entries.map(|(pattern, value)| (pattern.clone(), serde_json::json!(value)));
        Value::Object(entries.collect::<Map<_, _>>())
    }

    /// The value for `site`.
    pub fn get(&self, site: Site) -> Option<T> {
        if self.entries.is_empty() {
            return None;
        }
        let first = self.set.matches(&name(site)).iter().next()?;
        Some(self.entries[first].1)
    }

    /// Patterns that match none of `sites`: most often a slip of the pen.
    pub fn idle(&self, sites: &[Site]) -> Vec<&str> {
        let mut used = vec![false; self.entries.len()];
        for &site in sites {
            for i in self.set.matches(&name(site)).iter() {
                used[i] = true;
            }
        }
        let idle = self.entries.iter().zip(used).filter(|(_, used)| !used);
        idle.map(|((pattern, _), _)| pattern.as_str()).collect()
    }
}

fn name(site: Site) -> String {
    format!("model.{site}")
}

impl<T: PartialEq> PartialEq for Patterns<T> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
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

    #[test]
    fn patterns_are_bounded_together() {
        // Each compiles to about a megabyte.
        let patterns = (0..64).map(|i| (format!(r"x{i}\pL{{30}}"), 1));
        let error = Patterns::new(patterns).unwrap_err().to_string();
        assert!(error.contains("too large"), "{error}");
    }
}
