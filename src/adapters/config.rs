//! An adapter's hyper-parameters, and `adapter_config.json` as PEFT writes it.

use crate::model::linear::Projection;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

/// Hyper-parameters of an adapter.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterConfig {
    /// Inner dimension r of B·A.
    pub rank: usize,
    /// Numerator of the scale.
    pub alpha: f64,
    /// Weight-decomposed: a learned magnitude for every output row.
    pub dora: bool,
    /// Scale by alpha/√rank instead of alpha/rank.
    pub rslora: bool,
    /// Adapted projections.
    pub targets: Vec<Projection>,
    /// Every layer has every target: so when they are listed, not given as a pattern.
    pub complete: bool,
    /// The base the adapter was made for, as its maker called it.
    pub base: Option<String>,
}

/// PEFT fields that change the arithmetic when set, none of which is supported.
const UNSUPPORTED: [&str; 13] = [
    "bias",
    "fan_in_fan_out",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "layers_to_transform",
    "layer_replication",
    "exclude_modules",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "use_qalora",
];

impl AdapterConfig {
    /// The factor of B·A·x.
    pub fn scale(&self) -> f64 {
        match self.rslora {
            true => self.alpha / (self.rank as f64).sqrt(),
            false => self.alpha / self.rank as f64,
        }
    }

    /// Reads the text of an `adapter_config.json`. Fields of no consequence are passed over; one
    /// that would change the arithmetic and is not supported is refused by name.
    pub fn from_json(text: &str) -> Result<Self> {
        let fields: Map<String, Value> = serde_json::from_str(text).context("not a JSON object")?;
        let kind = fields.get("peft_type").and_then(Value::as_str);
        ensure!(
            kind == Some("LORA"),
            "peft_type is {kind:?}, expected \"LORA\""
        );
        for name in UNSUPPORTED {
            if let Some(value) = fields.get(name)
                && !is_off(value)
            {
                bail!("{name} = {value} is not supported");
            }
        }
        let flag = |name: &str| match fields.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(b)) => Ok(*b),
            Some(other) => bail!("{name} is {other}, expected true or false"),
        };
        let rank = fields
            .get("r")
            .and_then(Value::as_u64)
            .context("r is missing or no whole number")?;
        ensure!(
            (1..=4096).contains(&rank),
            "r is {rank}, expected 1 to 4096"
        );
        let alpha = fields.get("lora_alpha").and_then(Value::as_f64);
        let alpha = alpha.context("lora_alpha is missing or no number")?;
        ensure!(alpha.is_finite(), "lora_alpha is not finite");
        let base = fields
            .get("base_model_name_or_path")
            .and_then(Value::as_str);
        // PiSSA, OLoRA and the like start from a changed base, which is not in the folder.
        let init = fields.get("init_lora_weights");
        let init = init.and_then(Value::as_str).unwrap_or("gaussian");
        ensure!(
            init == "gaussian",
            "init_lora_weights = {init:?} is not supported"
        );
        let listed = fields.get("target_modules");
        Ok(Self {
            complete: listed.is_some_and(|t| t.is_array()),
            rank: rank as usize,
            alpha,
            dora: flag("use_dora")?,
            rslora: flag("use_rslora")?,
            targets: targets(listed)?,
            base: base.map(str::to_string),
        })
    }

    /// `adapter_config.json` with the fields that PEFT needs.
    pub fn to_json(&self) -> Value {
        let targets: Vec<&str> = self.targets.iter().map(|p| p.name()).collect();
        json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.base,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": 0.0,
            "target_modules": targets,
            "bias": "none",
            "fan_in_fan_out": false,
            "use_rslora": self.rslora,
            "use_dora": self.dora,
            "rank_pattern": {},
            "alpha_pattern": {},
            "modules_to_save": null,
            "init_lora_weights": true,
            "inference_mode": true,
        })
    }
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
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| {
                let last = name.as_str().and_then(|n| n.rsplit('.').next());
                last.and_then(Projection::from_name)
                    .with_context(|| format!("target module {name} is not supported"))
            })
            .collect(),
        _ => bail!("target_modules is missing or no list of names"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMUM: &str = r#""peft_type":"LORA","target_modules":["q_proj"],"r":4,"lora_alpha":12"#;

    #[test]
    fn reads_the_minimum() {
        let c = AdapterConfig::from_json(&format!("{{{MINIMUM}}}")).unwrap();
        assert_eq!((c.rank, c.scale(), c.dora), (4, 3.0, false));
        assert_eq!(c.targets, [Projection::Q]);
        let rs = format!(r#"{{{MINIMUM},"use_rslora":true}}"#);
        assert_eq!(AdapterConfig::from_json(&rs).unwrap().scale(), 6.0);
    }

    #[test]
    fn what_it_writes_it_reads() {
        let c = AdapterConfig {
            rank: 8,
            alpha: 20.0,
            dora: true,
            rslora: false,
            targets: Projection::ALL.to_vec(),
            complete: true,
            base: Some("owner/base".into()),
        };
        assert_eq!(
            AdapterConfig::from_json(&c.to_json().to_string()).unwrap(),
            c
        );
    }

    #[test]
    fn refuses_by_name() {
        for (extra, name) in [
            (r#""bias":"all""#, "bias"),
            (r#""modules_to_save":["lm_head"]"#, "modules_to_save"),
            (r#""rank_pattern":{"q_proj":8}"#, "rank_pattern"),
            (r#""use_dora":"yes""#, "use_dora"),
            (r#""init_lora_weights":"pissa""#, "pissa"),
        ] {
            let error = AdapterConfig::from_json(&format!("{{{MINIMUM},{extra}}}")).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
