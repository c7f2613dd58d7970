//! Rotary frequencies: their base, and how a model was stretched to longer texts than it began with. The formulas are
//! transformers' `modeling_rope_utils.py`, in f32 where it computes in f32.

use anyhow::{Result, bail, ensure};
use serde_json::{Map, Value};
use std::f64::consts::TAU;
use std::fmt;

/// Base, scaling and size of the rotation.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    pub scaling: Scaling,
    /// What cosines and sines are multiplied by.
    pub attention_factor: f64,
}

/// How frequencies differ from `theta^(-2i/d)`.
#[derive(Debug, Clone, PartialEq)]
pub enum Scaling {
    Plain,
    /// All are divided by one factor.
    Linear {
        factor: f64,
    },
    /// Long waves are divided, short ones stay, between them it is gradual.
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        original: f64,
    },
    /// The same by a ramp over the dimensions.
    Yarn {
        factor: f64,
        original: f64,
        beta_fast: f64,
        beta_slow: f64,
        /// The ramp begins and ends at whole dimensions.
        truncate: bool,
    },
    /// Each is divided by its own number: the tensor `rope_freqs.weight` of a GGUF file.
    Divided(Vec<f32>),
}

impl Rope {
    /// No scaling.
    pub fn plain(theta: f64) -> Self {
        Self {
            theta,
            scaling: Scaling::Plain,
            attention_factor: 1.0,
        }
    }

    /// What a `config.json` of a model for `max` positions says: `rope_theta`, and `rope_parameters` or `rope_scaling`.
    pub fn from_json(config: &Map<String, Value>, default_theta: f64, max: f64) -> Result<Self> {
        let parameters = Settings::of(config, "rope_parameters")?;
        let scaling = Settings::of(config, "rope_scaling")?;
        let own = |s: &Option<Settings>| match s {
            Some(s) => s.number("rope_theta"),
            None => Ok(None),
        };
        let everywhere = Settings {
            key: "config.json",
            fields: config,
        };
        let theta = own(&scaling)?.or(own(&parameters)?);
        let theta = theta.or(everywhere.number("rope_theta")?);
        let theta = theta.unwrap_or(default_theta);
        let original = everywhere.number(ORIGINAL)?;
        let read = |s: &Settings| s.read(theta, original, max);
        match (&parameters, &scaling) {
            (None, None) => Ok(Self::plain(theta)),
            (Some(one), None) | (None, Some(one)) => read(one),
            (Some(one), Some(other)) => {
                let (one, other) = (read(one)?, read(other)?);
                ensure!(
                    one == other,
                    "rope_parameters ({one}) and rope_scaling ({other}) disagree: keep the one that holds"
                );
                Ok(one)
            }
        }
    }

    /// The `d / 2` frequencies of heads of width `d`.
    pub fn frequencies(&self, d: usize) -> Vec<f32> {
        let power = |i: usize| (self.theta as f32).powf((2 * i) as f32 / d as f32);
        let plain = (0..d / 2).map(|i| 1.0 / power(i));
        match &self.scaling {
            Scaling::Plain => plain.collect(),
            Scaling::Linear { factor } => plain.map(|f| f / *factor as f32).collect(),
            Scaling::Divided(by) => plain.zip(by).map(|(f, by)| f / by).collect(),
            Scaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original,
            } => {
                let [factor, low, high, original] =
                    [*factor, *low_freq_factor, *high_freq_factor, *original].map(|x| x as f32);
                let stretched = |f: f32| {
                    let wave = TAU as f32 / f;
                    if wave > original / low {
                        f / factor
                    } else if wave < original / high {
                        f
                    } else {
                        let smooth = (original / wave - low) / (high - low);
                        (1.0 - smooth) * f / factor + smooth * f
                    }
                };
                plain.map(stretched).collect()
            }
            Scaling::Yarn {
                factor,
                original,
                beta_fast,
                beta_slow,
                truncate,
            } => {
                // The dimension that turns so often within the original length.
                let dimension = |turns: f64| {
                    d as f64 * (original / (turns * TAU)).ln() / (2.0 * self.theta.ln())
                };
                let (low, high) = (dimension(*beta_fast), dimension(*beta_slow));
                let (low, high) = match truncate {
                    true => (low.floor(), high.ceil()),
                    false => (low, high),
                };
                let (low, high) = (low.max(0.0), high.min(d as f64 - 1.0));
                let width = if low == high { 0.001 } else { high - low };
                let mixed = |i: usize| {
                    let ramp = ((i as f32 - low as f32) / width as f32).clamp(0.0, 1.0);
                    let kept = 1.0 - ramp;
                    let interpolated = 1.0 / (*factor as f32 * power(i));
                    interpolated * (1.0 - kept) + 1.0 / power(i) * kept
                };
                (0..d / 2).map(mixed).collect()
            }
        }
    }

    /// Refuses numbers with which no angle could be computed.
    pub fn check(&self) -> Result<()> {
        let positive = |name: &str, value: f64| {
            ensure!(
                value.is_finite() && value > 0.0,
                "{name} is {value}, expected a positive number"
            );
            Ok(())
        };
        positive("rope_theta", self.theta)?;
        positive("the rope's attention factor", self.attention_factor)?;
        match &self.scaling {
            Scaling::Plain => Ok(()),
            Scaling::Linear { factor } => positive("rope scaling factor", *factor),
            Scaling::Divided(by) => by
                .iter()
                .try_for_each(|by| positive("a value of rope_freqs.weight", f64::from(*by))),
            Scaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original,
            } => {
                positive("rope scaling factor", *factor)?;
                positive("low_freq_factor", *low_freq_factor)?;
                positive(ORIGINAL, *original)?;
                ensure!(
                    high_freq_factor > low_freq_factor && high_freq_factor.is_finite(),
                    "high_freq_factor {high_freq_factor} is not above low_freq_factor {low_freq_factor}"
                );
                Ok(())
            }
            Scaling::Yarn {
                factor,
                original,
                beta_fast,
                beta_slow,
                ..
            } => {
                positive("rope scaling factor", *factor)?;
                positive(ORIGINAL, *original)?;
                positive("beta_fast", *beta_fast)?;
                positive("beta_slow", *beta_slow)?;
                ensure!(self.theta > 1.0, "yarn needs a rope_theta above 1");
                Ok(())
            }
        }
    }
}

/// Such as `theta 10000, yarn by 4 from 32768`.
impl fmt::Display for Rope {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "theta {}", self.theta)?;
        match &self.scaling {
            Scaling::Plain => {}
            Scaling::Linear { factor } => write!(f, ", linear by {factor}")?,
            Scaling::Llama3 {
                factor, original, ..
            } => write!(f, ", llama3 by {factor} from {original}")?,
            Scaling::Yarn {
                factor, original, ..
            } => write!(f, ", yarn by {factor} from {original}")?,
            Scaling::Divided(_) => write!(f, ", scaled by rope_freqs.weight")?,
        }
        match self.attention_factor {
            1.0 => Ok(()),
            factor => write!(f, ", attention factor {:.4}", factor),
        }
    }
}

/// YaRN's attention factor for a stretch by `scale`.
pub fn yarn_attention(scale: f64, mscale: f64) -> f64 {
    match scale <= 1.0 {
        true => 1.0,
        false => 0.1 * mscale * scale.ln() + 1.0,
    }
}

const ORIGINAL: &str = "original_max_position_embeddings";

/// Fields that mean something in some scaling, and those that only say where a model comes from.
const FIELDS: [&str; 13] = [
    "type",
    "rope_type",
    "rope_theta",
    "factor",
    ORIGINAL,
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "low_freq_factor",
    "high_freq_factor",
    "finetuned",
];
/// Fields that change nothing when they are 1.
const NEUTRAL: [&str; 3] = [
    "partial_rotary_factor",
    "attn_factor",
    "extrapolation_factor",
];

/// An object of rotary settings in a `config.json`.
struct Settings<'a> {
    key: &'static str,
    fields: &'a Map<String, Value>,
}

impl<'a> Settings<'a> {
    /// The object under `key`; none where it is missing, null or empty.
    fn of(config: &'a Map<String, Value>, key: &'static str) -> Result<Option<Self>> {
        match config.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) if fields.is_empty() => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self { key, fields })),
            Some(other) => bail!("{key} {other} is not supported (expected an object)"),
        }
    }

    fn number(&self, field: &str) -> Result<Option<f64>> {
        match self.fields.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => bail!("{}: {field} is {value}, expected a number", self.key),
            },
        }
    }

    fn needed(&self, field: &str) -> Result<f64> {
        match self.number(field)? {
            Some(number) => Ok(number),
            None => bail!("{} lacks {field}", self.key),
        }
    }

    /// `rope_type`, or `type` as it was called before.
    fn kind(&self) -> Result<Option<&str>> {
        let mut kinds = Vec::new();
        for field in ["rope_type", "type"] {
            match self.fields.get(field) {
                None | Some(Value::Null) => {}
                Some(Value::String(kind)) => kinds.push(kind.as_str()),
                Some(other) => bail!("{}: {field} {other} is not supported", self.key),
            }
        }
        if let [one, other] = kinds[..] {
            ensure!(
                one == other,
                "{}: rope_type {one:?} and type {other:?} disagree",
                self.key
            );
        }
        Ok(kinds.first().copied())
    }

    fn check_fields(&self) -> Result<()> {
        for (field, value) in self.fields.iter().filter(|(_, v)| !v.is_null()) {
            let known = match field.as_str() {
                "truncate" => value.is_boolean(),
                name if NEUTRAL.contains(&name) => value.as_f64() == Some(1.0),
                name => FIELDS.contains(&name),
            };
            ensure!(known, "{}: {field} {value} is not supported", self.key);
        }
        Ok(())
    }

    /// `original` is what the config says beside these settings, for a model of `max` positions.
    fn read(&self, theta: f64, original: Option<f64>, max: f64) -> Result<Rope> {
        self.check_fields()?;
        let mut rope = Rope::plain(theta);
        let original =
            || Ok::<_, anyhow::Error>(original.or(self.number(ORIGINAL)?).unwrap_or(max));
        match self.kind()? {
            None => ensure!(
                self.number("factor")?.is_none_or(|factor| factor == 1.0),
                "{} has a factor but no rope_type, so it is not known how to scale",
                self.key
            ),
            Some("default") => {}
            Some("linear") => match self.needed("factor")? {
                1.0 => {}
                factor => rope.scaling = Scaling::Linear { factor },
            },
            Some("llama3") => {
                rope.scaling = Scaling::Llama3 {
                    factor: self.needed("factor")?,
                    low_freq_factor: self.needed("low_freq_factor")?,
                    high_freq_factor: self.needed("high_freq_factor")?,
                    original: original()?,
                }
            }
            Some("yarn") => {
                let original = original()?;
                let factor = self.number("factor")?.unwrap_or(max / original);
                let or = |field, default| {
                    let given = self.number(field)?.filter(|n| *n != 0.0);
                    Ok::<_, anyhow::Error>(given.unwrap_or(default))
                };
                rope.scaling = Scaling::Yarn {
                    factor,
                    original,
                    beta_fast: or("beta_fast", 32.0)?,
                    beta_slow: or("beta_slow", 1.0)?,
                    truncate: self.fields.get("truncate") != Some(&Value::Bool(false)),
                };
                let (mscale, all) = (or("mscale", 0.0)?, or("mscale_all_dim", 0.0)?);
                rope.attention_factor = match self.number("attention_factor")? {
                    Some(given) => given,
                    None if mscale != 0.0 && all != 0.0 => {
                        yarn_attention(factor, mscale) / yarn_attention(factor, all)
                    }
                    None => yarn_attention(factor, 1.0),
                };
            }
            Some(other) => bail!(
                "rope scaling {other:?} is not supported (supported: default, linear, llama3, yarn)"
            ),
        }
        Ok(rope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Of a model for 512 positions.
    fn rope(config: Value) -> Result<Rope> {
        Rope::from_json(config.as_object().unwrap(), 1e4, 512.0)
    }

    #[test]
    fn one_scaling_has_many_spellings() {
        let yarn = rope(
            json!({"rope_theta": 5e5, "rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 128}}),
        );
        let yarn = yarn.unwrap();
        assert_eq!(yarn.theta, 5e5);
        let attention = 0.1 * 4f64.ln() + 1.0;
        assert_eq!(yarn.attention_factor, attention);
        let fields = json!({"rope_type": "yarn", "rope_theta": 5e5, "factor": 4.0, "original_max_position_embeddings": 128, "finetuned": true});
        for same in [
            json!({"rope_parameters": fields}),
            json!({"rope_theta": 1.0, "rope_parameters": fields, "rope_scaling": {}}),
            json!({"rope_parameters": fields, "rope_scaling": fields}),
            json!({"rope_theta": 5e5, "original_max_position_embeddings": 128,
                "rope_scaling": {"type": "yarn", "rope_type": "yarn", "factor": null, "beta_fast": null, "truncate": true}}),
            json!({"rope_theta": 5e5, "rope_scaling": {"rope_type": "yarn", "factor": 4, "beta_fast": 32, "beta_slow": 1,
                "attention_factor": attention, "original_max_position_embeddings": 128}}),
        ] {
            assert_eq!(rope(same.clone()).unwrap(), yarn, "{same}");
        }
    }

    #[test]
    fn a_scaling_that_changes_nothing_is_none() {
        for plain in [
            json!({}),
            json!({"rope_scaling": null, "rope_parameters": {}}),
            json!({"rope_scaling": {"type": "linear", "factor": 1.0}}),
            json!({"rope_scaling": {"type": "default"}}),
            json!({"rope_scaling": {"rope_type": null, "factor": 1}}),
            json!({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 1.0}}),
        ] {
            assert_eq!(rope(plain.clone()).unwrap(), Rope::plain(1e4), "{plain}");
        }
        // Its own length stretched to itself: transformers' frequencies, and they are the plain ones.
        let idle = rope(json!({"rope_scaling": {"type": "yarn", "factor": null}})).unwrap();
        let plain = Rope::plain(1e4).frequencies(64);
        for (a, b) in idle.frequencies(64).iter().zip(plain) {
            assert!((a / b - 1.0).abs() < 1e-6);
        }
        assert_eq!(idle.attention_factor, 1.0);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (config, name) in [
            (json!({"rope_scaling": "yarn"}), "yarn"),
            (
                json!({"rope_scaling": {"type": "dynamic", "factor": 2}}),
                "dynamic",
            ),
            (
                json!({"rope_scaling": {"type": "longrope", "factor": 2}}),
                "longrope",
            ),
            (json!({"rope_scaling": {"factor": 2}}), "rope_type"),
            (json!({"rope_scaling": {"type": "linear"}}), "factor"),
            (
                json!({"rope_scaling": {"type": "linear", "factor": "2"}}),
                "factor",
            ),
            (
                json!({"rope_scaling": {"type": "linear", "rope_type": "yarn", "factor": 2}}),
                "disagree",
            ),
            (
                json!({"rope_scaling": {"rope_type": "llama3", "factor": 8}}),
                "low_freq_factor",
            ),
            (
                json!({"rope_scaling": {"type": "default", "mrope_section": [1]}}),
                "mrope_section",
            ),
            (
                json!({"rope_parameters": {"partial_rotary_factor": 0.5}}),
                "partial_rotary_factor",
            ),
            (
                json!({"rope_parameters": {"full_attention": {"rope_theta": 1e4}}}),
                "full_attention",
            ),
            (
                json!({"rope_parameters": {"rope_type": "default"}, "rope_scaling": {"type": "yarn", "factor": 4}}),
                "disagree",
            ),
        ] {
            let error = format!("{:#}", rope(config.clone()).unwrap_err());
            assert!(error.contains(name), "{config}: {error}");
        }
        for (config, name) in [
            (json!({"rope_theta": -1.0}), "rope_theta"),
            (
                json!({"rope_scaling": {"type": "linear", "factor": 0}}),
                "factor",
            ),
            (
                json!({"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}}),
                "high_freq_factor",
            ),
        ] {
            let error = rope(config).unwrap().check().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
