//! An adapter's hyper-parameters, and `adapter_config.json` as PEFT writes it.

use super::pattern::Patterns;
use crate::model::linear::{Projection, Site};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Hyper-parameters of an adapter.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterConfig {
    /// Inner dimension r of B·A, where no pattern says otherwise.
    pub rank: usize,
    /// Numerator of the scale, where no pattern says otherwise.
    pub alpha: f64,
    /// Ranks of modules by name.
    pub rank_pattern: Patterns<usize>,
    /// Alphas of modules by name.
    pub alpha_pattern: Patterns<f64>,
    /// Share of a module's inputs that training leaves out of A·x.
    pub dropout: f64,
    /// Weight-decomposed: a learned magnitude for every output row.
    pub dora: bool,
    /// Scale by alpha/√rank instead of alpha/rank.
    pub rslora: bool,
    /// Adapted projections.
    pub targets: Vec<Projection>,
    /// Every layer has every target: so when they are listed by their plain names.
    pub complete: bool,
    /// The base the adapter was made for, as its maker called it.
    pub base: Option<String>,
}

/// PEFT fields that change the arithmetic when set, none of which is supported.
const UNSUPPORTED: [&str; 15] = [
    "bias",
    "fan_in_fan_out",
    "lora_bias",
    "modules_to_save",
    "layers_to_transform",
    "layer_replication",
    "exclude_modules",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "use_qalora",
    "use_bdlora",
    "kasa_config",
    "arrow_config",
    "monteclora_config",
];

/// Largest rank; more than any projection of the supported models is wide in its smaller direction.
pub const MAX_RANK: u64 = 4096;

/// Largest alpha, far beyond any in use: the square of a scale must stay finite as f32.
pub const MAX_ALPHA: f64 = 1e9;

impl AdapterConfig {
    /// LoRA on every projection, scaled by alpha/rank.
    pub fn new(rank: usize, alpha: f64) -> Self {
        Self {
            rank,
            alpha,
            rank_pattern: Patterns::default(),
            alpha_pattern: Patterns::default(),
            dropout: 0.0,
            dora: false,
            rslora: false,
            targets: Projection::ALL.to_vec(),
            complete: true,
            base: None,
        }
    }

    /// LoRA of these ranks, which patterns name where they are not the largest; `alpha` everywhere, or at each site its rank,
    /// which is scale 1. Whether every layer has every target is not known.
    pub fn of_ranks(ranks: &BTreeMap<Site, usize>, alpha: Option<f64>) -> Result<Self> {
        let most = ranks.values().copied().max().context("no modules")?;
        let mut config = Self {
            complete: false,
            ..Self::new(most, alpha.unwrap_or(most as f64))
        };
        config.target_sites(ranks.keys().copied());
        let mut patterns = Vec::new();
        for target in &config.targets {
            let of_target = || ranks.iter().filter(|(site, _)| site.projection == *target);
            let different: BTreeSet<usize> = of_target().map(|(_, rank)| *rank).collect();
            match Vec::from_iter(different)[..] {
                [rank] if rank == most => {}
                [rank] => patterns.push((target.name().to_owned(), rank)),
                // No pattern may match another layer too: the dots of a name match any character, the digits only themselves.
                _ => patterns.extend(
                    of_target()
                        .filter(|(_, rank)| **rank != most)
                        .map(|(site, rank)| (site.to_string(), *rank)),
                ),
            }
        }
        if alpha.is_none() {
            let alphas = patterns
                .iter()
                .map(|(name, rank)| (name.clone(), *rank as f64));
            config.alpha_pattern = Patterns::new(alphas)?;
        }
        config.rank_pattern = Patterns::new(patterns)?;
        Ok(config)
    }

    /// Sets the targets to the projections of `sites`.
    pub fn target_sites(&mut self, sites: impl Iterator<Item = Site>) {
        let projections: BTreeSet<_> = sites.map(|site| site.projection).collect();
        self.targets = projections.into_iter().collect();
    }

    /// Sites of a base that are targets by their projection, and that `has` does not know.
    pub fn lacking(
        &self,
        base: impl Iterator<Item = Site>,
        has: impl Fn(Site) -> bool,
    ) -> Vec<Site> {
        base.filter(|site| self.targets.contains(&site.projection) && !has(*site))
            .collect()
    }

    /// Inner dimension at `site`.
    pub fn rank_of(&self, site: Site) -> usize {
        self.rank_pattern.get(site).unwrap_or(self.rank)
    }

    /// The factor of B·A·x at `site`.
    pub fn scale_of(&self, site: Site) -> f64 {
        let alpha = self.alpha_pattern.get(site).unwrap_or(self.alpha);
        let rank = self.rank_of(site) as f64;
        match self.rslora {
            true => alpha / rank.sqrt(),
            false => alpha / rank,
        }
    }

    /// Reads the text of an `adapter_config.json`. Fields of no consequence are passed over; those
    /// that would change the arithmetic and are not supported are refused by name.
    pub fn from_json(text: &str) -> Result<Self> {
        let fields: Map<String, Value> = serde_json::from_str(text).context("not a JSON object")?;
        let kind = fields.get("peft_type").and_then(Value::as_str);
        ensure!(
            kind == Some("LORA"),
            "peft_type is {kind:?}, expected \"LORA\""
        );
        let on = |name: &&str| fields.get(*name).is_some_and(|value| !is_off(value));
        let unsupported = UNSUPPORTED.into_iter().filter(on);
        let mut unsupported: Vec<String> = unsupported
            .map(|name| format!("{name} = {}", fields[name]))
            .collect();
        // PiSSA, OLoRA and the like start from a changed base, which is not in the folder.
        let init = fields.get("init_lora_weights").and_then(Value::as_str);
        if let Some(init) = init.filter(|init| *init != "gaussian") {
            unsupported.push(format!("init_lora_weights = {init:?}"));
        }
        ensure!(
            unsupported.is_empty(),
            "{} is not supported",
            unsupported.join(", ")
        );
        let flag = |name: &str| match fields.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(b)) => Ok(*b),
            Some(other) => bail!("{name} is {other}, expected true or false"),
        };
        let rank = rank_value(fields.get("r").unwrap_or(&Value::Null)).context("r")?;
        let alpha =
            alpha_value(fields.get("lora_alpha").unwrap_or(&Value::Null)).context("lora_alpha")?;
        let dropout = match fields.get("lora_dropout") {
            None | Some(Value::Null) => 0.0,
            Some(value) => value
                .as_f64()
                .filter(|p| (0.0..1.0).contains(p))
                .with_context(|| format!("lora_dropout is {value}, expected 0 to below 1"))?,
        };
        let base = fields
            .get("base_model_name_or_path")
            .and_then(Value::as_str);
        let listed = fields.get("target_modules");
        Ok(Self {
            complete: listed.and_then(Value::as_array).is_some_and(|names| {
                let plain = |n: &Value| n.as_str().is_some_and(|n| !n.contains('.'));
                names.iter().all(plain)
            }),
            rank,
            alpha,
            rank_pattern: Patterns::from_json(fields.get("rank_pattern"), rank_value)
                .context("rank_pattern")?,
            alpha_pattern: Patterns::from_json(fields.get("alpha_pattern"), alpha_value)
                .context("alpha_pattern")?,
            dropout,
            dora: flag("use_dora")?,
            rslora: flag("use_rslora")?,
            targets: targets(listed)?,
            base: base.map(str::to_string),
        })
    }

    /// `adapter_config.json`, with the fields that PEFT needs, of an adapter on `sites`.
    pub fn to_json(&self, sites: impl Iterator<Item = Site>) -> Value {
        let targets: Vec<String> = match self.complete {
            true => self.targets.iter().map(|p| p.name().to_string()).collect(),
            // Plain names would stand for every layer.
            false => sites.map(|site| site.to_string()).collect(),
        };
        json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.base,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": targets,
            "bias": "none",
            "fan_in_fan_out": false,
            "use_rslora": self.rslora,
            "use_dora": self.dora,
            "rank_pattern": self.rank_pattern.to_json(),
            "alpha_pattern": self.alpha_pattern.to_json(),
            "modules_to_save": null,
            "init_lora_weights": true,
            "inference_mode": true,
        })
    }
}

/// A rank in a config.
pub fn rank_value(value: &Value) -> Result<usize> {
    let rank = value.as_u64().filter(|r| (1..=MAX_RANK).contains(r));
    let rank =
        rank.with_context(|| format!("is {value}, expected a whole number from 1 to {MAX_RANK}"))?;
    Ok(rank as usize)
}

/// An alpha, or a scale, in a config.
pub fn alpha_value(value: &Value) -> Result<f64> {
    let alpha = value.as_f64().filter(|a| a.abs() <= MAX_ALPHA);
    alpha.with_context(|| format!("is {value}, expected a number of at most {MAX_ALPHA}"))
}

/// Null, false, empty or "none".
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(s) => s.is_empty() || s == "none",
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        _ => false,
    }
}

/// Projections a list names. A pattern (string) says nothing here: the tensors in the file decide.
fn targets(field: Option<&Value>) -> Result<Vec<Projection>> {
    match field {
        Some(Value::String(_)) => Ok(Projection::ALL.to_vec()),
        Some(Value::Array(names)) => {
            let known = |name: &Value| {
                let last = name.as_str().and_then(|n| n.rsplit('.').next());
                last.and_then(Projection::from_name)
            };
            let unknown = names.iter().filter(|name| known(name).is_none());
            let unknown: Vec<_> = unknown.map(Value::to_string).collect();
            ensure!(
                unknown.is_empty(),
                "target module {} is not supported",
                unknown.join(", ")
            );
            Ok(names.iter().filter_map(known).collect())
        }
        _ => bail!("target_modules is missing or no list of names"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: Site = Site {
        layer: 1,
        projection: Projection::Q,
    };
    const MINIMUM: &str = r#""peft_type":"LORA","target_modules":["q_proj"],"r":4,"lora_alpha":12"#;

    #[test]
    fn reads_the_minimum() {
        let c = AdapterConfig::from_json(&format!("{{{MINIMUM}}}")).unwrap();
        assert_eq!((c.rank, c.scale_of(SITE), c.dora), (4, 3.0, false));
        assert_eq!(c.targets, [Projection::Q]);
        let rs = format!(r#"{{{MINIMUM},"use_rslora":true}}"#);
        assert_eq!(AdapterConfig::from_json(&rs).unwrap().scale_of(SITE), 6.0);
    }

    #[test]
    fn patterns_change_the_rank_and_scale_of_what_they_match() {
        let json = format!(
            r#"{{{MINIMUM},"rank_pattern":{{"q_proj":8}},"alpha_pattern":{{"layers.1.self_attn.q_proj":2.0}}}}"#
        );
        let c = AdapterConfig::from_json(&json).unwrap();
        assert_eq!((c.rank_of(SITE), c.scale_of(SITE)), (8, 0.25));
        let other = Site { layer: 0, ..SITE };
        assert_eq!((c.rank_of(other), c.scale_of(other)), (8, 1.5));
    }

    #[test]
    fn what_it_writes_it_reads() {
        let c = AdapterConfig {
            dora: true,
            dropout: 0.125,
            rank_pattern: Patterns::new([("q_proj".to_string(), 2)]).unwrap(),
            base: Some("owner/base".into()),
            ..AdapterConfig::new(8, 20.0)
        };
        let written = |c: &AdapterConfig| c.to_json([SITE].into_iter()).to_string();
        assert_eq!(AdapterConfig::from_json(&written(&c)).unwrap(), c);
        let partly = AdapterConfig {
            complete: false,
            targets: vec![Projection::Q],
            ..c
        };
        assert!(written(&partly).contains("[\"layers.1.self_attn.q_proj\"]"));
        assert_eq!(AdapterConfig::from_json(&written(&partly)).unwrap(), partly);
    }

    #[test]
    fn refuses_by_name() {
        for (extra, name) in [
            (r#""bias":"all""#, "bias"),
            (r#""modules_to_save":["lm_head"]"#, "modules_to_save"),
            (r#""kasa_config":{"beta":1}"#, "kasa_config"),
            (r#""rank_pattern":{"q_proj":0}"#, "rank_pattern"),
            (r#""alpha_pattern":{"(":8}"#, "alpha_pattern"),
            (r#""lora_dropout":1"#, "lora_dropout"),
            (r#""lora_alpha":1e300"#, "lora_alpha"),
            (r#""use_dora":"yes""#, "use_dora"),
            (r#""init_lora_weights":"pissa""#, "pissa"),
        ] {
            let error = AdapterConfig::from_json(&format!("{{{MINIMUM},{extra}}}")).unwrap_err();
            assert!(format!("{error:#}").contains(name), "{error:#}");
        }
    }
}
