//! An adapter's hyper-parameters, and `adapter_config.json` as PEFT writes it.

use super::pattern::Patterns;
use super::selection::Selection;
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
    /// Every layer has every target, as far as the base is known: they can be listed by their plain names.
    pub complete: bool,
    /// The base the adapter was made for, as its maker called it.
    pub base: Option<String>,
}

/// PEFT fields that change the arithmetic when set, none of which is supported.
const UNSUPPORTED: [&str; 8] = [
    "bias",
    "fan_in_fan_out",
    "lora_bias",
    "modules_to_save",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
];

/// Switches and parts of PEFT's config that are read, or say only how training started. Every other one that is set stands for a
/// kind of LoRA with arithmetic of its own.
const KNOWN: [&str; 7] = [
    "use_dora",
    "use_rslora",
    "eva_config",
    "corda_config",
    "lora_ga_config",
    "loftq_config",
    "runtime_config",
];

/// Ways of starting A and B that leave the base as it is.
const PLAIN_STARTS: [&str; 4] = ["gaussian", "eva", "orthogonal", "mica"];

/// Largest rank; more than any projection of the supported models is wide in its smaller direction.
pub const MAX_RANK: u64 = 4096;

/// Largest alpha, far beyond any in use: the square of a scale must stay finite as f32.
pub const MAX_ALPHA: f64 = 1e9;

impl Default for AdapterConfig {
    fn default() -> Self {
        Self::new(8, Self::default_alpha(8))
    }
}

impl AdapterConfig {
    /// The alpha of who gives a rank alone.
    pub fn default_alpha(rank: usize) -> f64 {
        2.0 * rank as f64
    }

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

    /// Reads the fields of an `adapter_config.json`. Fields of no consequence are passed over; those
    /// that would change the arithmetic and are not supported are refused by name.
    pub fn from_json(fields: &Map<String, Value>) -> Result<Self> {
        let kind = fields.get("peft_type").and_then(Value::as_str);
        ensure!(
            kind == Some("LORA"),
            "peft_type is {}, and only LORA is read",
            kind.unwrap_or("missing")
        );
        let changes = |name: &str| {
            let switch = name.starts_with("use_") || name.ends_with("_config");
            UNSUPPORTED.contains(&name) || switch && !KNOWN.contains(&name)
        };
        let unsupported: Vec<String> = fields
            .iter()
            .filter(|(name, value)| changes(name) && !is_off(value))
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        ensure!(
            unsupported.is_empty(),
            "{} is not supported",
            unsupported.join(", ")
        );
        if let Some(start) = fields.get("init_lora_weights") {
            let text = start.as_str().map(str::to_lowercase);
            let plain = text.map_or(start.is_null() || start.is_boolean(), |text| {
                PLAIN_STARTS.contains(&text.as_str())
            });
            // PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA start from a changed base, which is not in the folder.
            ensure!(
                plain,
                "init_lora_weights = {start} is not supported: it changes the base; save the adapter with PEFT's \
                 path_initial_model_for_weight_conversion, which makes it one for the base as it is"
            );
        }
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
        Ok(Self {
            complete: false,
            rank,
            alpha,
            rank_pattern: Patterns::from_json(fields.get("rank_pattern"), rank_value)
                .context("rank_pattern")?,
            alpha_pattern: Patterns::from_json(fields.get("alpha_pattern"), alpha_value)
                .context("alpha_pattern")?,
            dropout,
            dora: flag("use_dora")?,
            rslora: flag("use_rslora")?,
            targets: Selection::from_json(fields)?.projections(),
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

/// The fields of a config's text, which some editors begin with a byte order mark.
pub fn fields(text: &str) -> Result<Map<String, Value>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str(text).context("not a JSON object")
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

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: Site = Site {
        layer: 1,
        projection: Projection::Q,
    };
    fn read(json: &str) -> Result<AdapterConfig> {
        AdapterConfig::from_json(&fields(json)?)
    }

    const MINIMUM: &str = r#""peft_type":"LORA","target_modules":["q_proj"],"r":4,"lora_alpha":12"#;

    #[test]
    fn reads_the_minimum() {
        let c = read(&format!("{{{MINIMUM}}}")).unwrap();
        assert_eq!((c.rank, c.scale_of(SITE), c.dora), (4, 3.0, false));
        assert_eq!(c.targets, [Projection::Q]);
        let rs = format!(r#"{{{MINIMUM},"use_rslora":true}}"#);
        assert_eq!(read(&rs).unwrap().scale_of(SITE), 6.0);
    }

    #[test]
    fn patterns_change_the_rank_and_scale_of_what_they_match() {
        let json = format!(
            r#"{{{MINIMUM},"rank_pattern":{{"q_proj":8}},"alpha_pattern":{{"layers.1.self_attn.q_proj":2.0}}}}"#
        );
        let c = read(&json).unwrap();
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
        // Whether there is a target in every layer, the tensors say.
        let partial = |c: &AdapterConfig| AdapterConfig {
            complete: false,
            ..c.clone()
        };
        assert_eq!(read(&written(&c)).unwrap(), partial(&c));
        let partly = AdapterConfig {
            targets: vec![Projection::Q],
            ..partial(&c)
        };
        assert!(written(&partly).contains("[\"layers.1.self_attn.q_proj\"]"));
        assert_eq!(read(&written(&partly)).unwrap(), partly);
    }

    #[test]
    fn how_training_started_changes_nothing() {
        for start in [
            "true",
            "false",
            "null",
            r#""gaussian""#,
            r#""eva""#,
            r#""Orthogonal""#,
            r#""mica""#,
        ] {
            let extra = format!(
                r#""init_lora_weights":{start},"eva_config":{{"rho":3.5}},"use_qalora":false"#
            );
            let c = read(&format!("\u{feff}{{{MINIMUM},{extra}}}")).unwrap();
            assert_eq!(c, read(&format!("{{{MINIMUM}}}")).unwrap(), "{start}");
        }
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
            (
                r#""init_lora_weights":"pissa_niter_4""#,
                "path_initial_model_for_weight_conversion",
            ),
            (r#""init_lora_weights":"OLoRA""#, "OLoRA"),
            (
                r#""init_lora_weights":"corda","corda_config":{"x":1}"#,
                "init_lora_weights = \"corda\"",
            ),
            (r#""init_lora_weights":"loftq""#, "loftq"),
            (r#""init_lora_weights":"lora_ga""#, "lora_ga"),
            (r#""lora_bias":true"#, "lora_bias"),
            (
                r#""trainable_token_indices":[1]"#,
                "trainable_token_indices",
            ),
            (r#""target_parameters":["x"]"#, "target_parameters"),
            (r#""layer_replication":[[0,2]]"#, "layer_replication"),
            (
                r#""alora_invocation_tokens":[7]"#,
                "alora_invocation_tokens",
            ),
            (r#""megatron_config":{"a":1}"#, "megatron_config"),
            (r#""use_qalora":true"#, "use_qalora"),
            // One that does not exist yet.
            (r#""use_novel":true"#, "use_novel"),
        ] {
            let error = read(&format!("{{{MINIMUM},{extra}}}")).unwrap_err();
            assert!(format!("{error:#}").contains(name), "{error:#}");
        }
    }
}
