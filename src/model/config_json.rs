//! A decoder's shape from `config.json` as transformers writes it. What a file leaves out has transformers' default for its
//! family; a setting that would change the arithmetic and is not supported is refused by name.

use super::config::{Config, Family, MAX_LAYERS, Window};
use super::mlx::Quantization;
use super::rope::Rope;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;

/// Settings of other architectures that change the arithmetic, and the number with which they do not; `null`, `false` and an
/// empty list never do.
const FOREIGN: [(&str, Option<f64>); 27] = [
    ("alibi", None),
    ("attention_chunk_size", None),
    ("attention_multiplier", None),
    ("attn_logit_softcapping", None),
    ("attn_temperature_tuning", None),
    ("clip_qkv", None),
    ("embedding_multiplier", Some(1.0)),
    ("final_logit_softcapping", None),
    ("key_multiplier", Some(1.0)),
    ("lm_head_multiplier", Some(1.0)),
    ("logit_scale", Some(1.0)),
    ("logits_scaling", Some(1.0)),
    ("n_routed_experts", Some(0.0)),
    ("num_experts", Some(0.0)),
    ("num_local_experts", Some(0.0)),
    ("partial_rotary_factor", Some(1.0)),
    ("qk_layernorm", None),
    ("query_pre_attn_scalar", None),
    ("residual_multiplier", Some(1.0)),
    ("rope_interleave", None),
    ("rope_interleaved", None),
    ("rotary_pct", Some(1.0)),
    ("scale_emb", Some(1.0)),
    ("use_bidirectional_attention", None),
    ("use_mrope", None),
    ("use_parallel_residual", None),
    ("use_qk_norm", None),
];

/// The fields that every family has.
#[derive(Deserialize)]
struct Raw {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: Option<f64>,
    max_position_embeddings: Option<usize>,
    tie_word_embeddings: Option<bool>,
    eos_token_id: Option<TokenIds>,
    hidden_act: Option<String>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    use_sliding_window: Option<bool>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    no_rope_layers: Option<Vec<u8>>,
    no_rope_layer_interval: Option<usize>,
}

/// `eos_token_id` is one id or a list.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum TokenIds {
    One(u32),
    Many(Vec<u32>),
}

impl TokenIds {
    /// As a list.
    pub fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Many(ids) => ids,
        }
    }
}

/// Reads `config.json`: the shape, and how MLX quantized the weights, if it did.
pub fn read(path: &Path) -> Result<(Config, Option<Quantization>)> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let fields = fields(&text);
    let config = fields.and_then(|fields| {
        let quantization = quantization(&fields)?;
        Ok((parse(&fields)?, quantization))
    });
    config.with_context(|| path.display().to_string())
}

fn fields(text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text.trim_start_matches('\u{feff}')).context("not a model config")
}

fn parse(fields: &Map<String, Value>) -> Result<Config> {
    let kind = fields.get("model_type").and_then(Value::as_str);
    let family = Family::from_name(kind.context("not a model config: it has no model_type")?)?;
    refuse_foreign(fields)?;
    let raw = Raw::deserialize(Value::Object(fields.clone())).context("not a model config")?;
    let act = raw.hidden_act.as_deref().unwrap_or("silu");
    ensure!(
        matches!(act, "silu" | "swish"),
        "hidden_act {act:?} is not supported (supported: silu)"
    );
    let layers = raw.num_hidden_layers;
    // Before a list of so many layers is made.
    ensure!(
        layers <= MAX_LAYERS,
        "num_hidden_layers is {layers}, expected 1 to {MAX_LAYERS}"
    );
    let max = raw.max_position_embeddings.unwrap_or(match family {
        Family::Llama => 2048,
        Family::Mistral => 4096 * 32,
        Family::Qwen2 | Family::Qwen3 | Family::SmolLm3 => 32768,
    });
    let theta = match family {
        Family::SmolLm3 => 2e6,
        _ => 1e4,
    };
    let attention_bias = raw.attention_bias.unwrap_or(false)
        && matches!(family, Family::Llama | Family::Qwen3 | Family::SmolLm3);
    let without_rope = without_rope(&raw, family)?;
    let config = Config {
        family,
        vocab_size: raw.vocab_size,
        hidden_size: raw.hidden_size,
        intermediate_size: raw.intermediate_size,
        num_hidden_layers: layers,
        num_attention_heads: raw.num_attention_heads,
        num_key_value_heads: key_value_heads(&raw, fields, family),
        head_dim: raw.head_dim.unwrap_or(match family {
            Family::Qwen3 => 128,
            _ => raw.hidden_size / raw.num_attention_heads.max(1),
        }),
        rms_norm_eps: raw.rms_norm_eps.unwrap_or(1e-6),
        rope: Rope::from_json(fields, theta, max as f64)?,
        window: window(&raw, fields, family, max, &without_rope)?,
        without_rope,
        max_position_embeddings: max,
        qk_norm: family == Family::Qwen3,
        // Qwen2's modules have these whatever attention_bias says; Mistral's have none.
        qkv_bias: family == Family::Qwen2 || attention_bias,
        o_bias: attention_bias,
        mlp_bias: raw.mlp_bias.unwrap_or(false)
            && matches!(family, Family::Llama | Family::SmolLm3),
        tie_word_embeddings: raw.tie_word_embeddings.unwrap_or(family == Family::SmolLm3),
        eos_token_ids: raw.eos_token_id.map(TokenIds::into_vec).unwrap_or_default(),
    };
    config.check()?;
    Ok(config)
}

/// Where the key is missing, transformers takes its class's number; where it is null, one a query head.
fn key_value_heads(raw: &Raw, fields: &Map<String, Value>, family: Family) -> usize {
    let missing = !fields.contains_key("num_key_value_heads");
    raw.num_key_value_heads.unwrap_or(match family {
        Family::Qwen2 | Family::Qwen3 if missing => 32,
        Family::Mistral if missing => 8,
        Family::SmolLm3 if missing => 4,
        _ => raw.num_attention_heads,
    })
}

fn refuse_foreign(fields: &Map<String, Value>) -> Result<()> {
    let changes = |value: &Value, neutral: Option<f64>| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Number(n) => neutral.is_none() || n.as_f64() != neutral,
        _ => true,
    };
    for (name, neutral) in FOREIGN {
        if let Some(value) = fields.get(name).filter(|v| changes(v, neutral)) {
            bail!("{name} {value} is not supported");
        }
    }
    ensure!(
        fields.get("is_causal") != Some(&Value::Bool(false)),
        "is_causal false is not supported: this model does not write text"
    );
    Ok(())
}

/// How MLX quantized the weights. Refuses what another program did by its name, as far as the config says it.
fn quantization(fields: &Map<String, Value>) -> Result<Option<Quantization>> {
    let mut found = None;
    for key in ["quantization", "quantization_config"] {
        let Some(settings) = fields.get(key).filter(|v| !v.is_null()) else {
            continue;
        };
        let set = |name: &str| settings.get(name) == Some(&Value::Bool(true));
        let whole = |name: &str| settings.get(name).and_then(Value::as_u64);
        let method = settings.get("quant_method").and_then(Value::as_str);
        let loaded = set("load_in_4bit") || set("load_in_8bit");
        let method = match (method, loaded) {
            (Some(method), _) => method,
            (None, true) => "bitsandbytes",
            (None, false) if settings.as_object().is_some_and(Map::is_empty) => continue,
            (None, false) if key == "quantization" || whole("group_size").is_some() => {
                let own = Quantization::from_json(settings).context(key)?;
                ensure!(
                    found.is_none() || found.as_ref() == Some(&own),
                    "quantization and quantization_config disagree"
                );
                found = Some(own);
                continue;
            }
            (None, false) => "by an unnamed method",
        };
        let bits = whole("bits").or(match (set("load_in_4bit"), set("load_in_8bit")) {
            (true, _) => Some(4),
            (_, true) => Some(8),
            _ => None,
        });
        let bits = bits.map_or(String::new(), |bits| format!(", {bits} bits"));
        bail!(
            "the weights are quantized ({key}: {method}{bits}), and adapters here are trained on whole ones: give the model \
             that was quantized, or a GGUF file of it"
        );
    }
    Ok(found)
}

/// SmolLM3 leaves the rotation out of some layers.
fn without_rope(raw: &Raw, family: Family) -> Result<BTreeSet<usize>> {
    let layers = raw.num_hidden_layers;
    let listed = raw.no_rope_layers.as_deref();
    if family != Family::SmolLm3 {
        ensure!(
            listed.is_none_or(|list| list.iter().all(|rotated| *rotated == 1)),
            "no_rope_layers is not supported in a {} model",
            family.name()
        );
        return Ok(BTreeSet::new());
    }
    let interval = raw.no_rope_layer_interval.unwrap_or(4);
    match listed {
        None => {
            ensure!(interval > 0, "no_rope_layer_interval is 0");
            Ok(every(interval, layers))
        }
        Some(list) => {
            ensure!(
                list.len() >= layers && list.iter().all(|rotated| *rotated <= 1),
                "no_rope_layers {list:?} is no list of 0 and 1 for {layers} layers"
            );
            Ok((0..layers).filter(|&layer| list[layer] == 0).collect())
        }
    }
}

/// Every `interval`-th of so many layers, counted from one.
pub(super) fn every(interval: usize, layers: usize) -> BTreeSet<usize> {
    (0..layers)
        .filter(|layer| (layer + 1).is_multiple_of(interval))
        .collect()
}

/// The sliding window, if any layer has one.
fn window(
    raw: &Raw,
    fields: &Map<String, Value>,
    family: Family,
    max: usize,
    without_rope: &BTreeSet<usize>,
) -> Result<Option<Window>> {
    let layers = raw.num_hidden_layers;
    let size = match fields.get("sliding_window") {
        Some(Value::Null) => None,
        None => match family {
            Family::Llama | Family::SmolLm3 => None,
            Family::Mistral | Family::Qwen2 | Family::Qwen3 => Some(4096),
        },
        Some(value) => match value.as_u64() {
            Some(size) if size > 0 => Some(size as usize),
            _ => bail!("sliding_window is {value}, expected a whole number above 0, or null"),
        },
    };
    ensure!(
        !(family == Family::Mistral && raw.use_sliding_window == Some(false) && size.is_some()),
        "use_sliding_window is false, but a mistral model goes by sliding_window alone: set it to null if that is meant"
    );
    let on = raw.use_sliding_window.unwrap_or(family == Family::Mistral);
    let sliding = sliding_layers(raw)?;
    let windowed: BTreeSet<usize> = match (family, on, size) {
        (Family::Llama, _, size) => {
            ensure!(
                !on && size.is_none_or(|size| size >= max),
                "sliding_window {} is not supported in a llama model",
                size.unwrap_or(0)
            );
            BTreeSet::new()
        }
        (_, false, _) | (_, _, None) => BTreeSet::new(),
        (Family::Mistral, ..) => (0..layers).collect(),
        (Family::SmolLm3, ..) => sliding.clone().unwrap_or_else(|| without_rope.clone()),
        (Family::Qwen2 | Family::Qwen3, ..) => sliding
            .clone()
            .unwrap_or_else(|| (raw.max_window_layers.unwrap_or(28)..layers).collect()),
    };
    ensure!(
        sliding.is_none_or(|sliding| sliding == windowed),
        "layer_types and sliding_window {} disagree",
        size.map_or("null".to_string(), |size| size.to_string())
    );
    Ok(size.filter(|_| !windowed.is_empty()).map(|size| Window {
        size,
        layers: windowed,
    }))
}

/// Layers that `layer_types` calls sliding; nothing where it is not given.
fn sliding_layers(raw: &Raw) -> Result<Option<BTreeSet<usize>>> {
    let Some(types) = &raw.layer_types else {
        return Ok(None);
    };
    ensure!(
        types.len() >= raw.num_hidden_layers,
        "layer_types has {} entries for {} layers",
        types.len(),
        raw.num_hidden_layers
    );
    let mut sliding = BTreeSet::new();
    for (layer, kind) in types.iter().enumerate().take(raw.num_hidden_layers) {
        match kind.as_str() {
            "full_attention" => {}
            "sliding_attention" => {
                sliding.insert(layer);
            }
            other => bail!("layer type {other:?} is not supported"),
        }
    }
    Ok(Some(sliding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::linear::Projection;
    use crate::model::rope::Scaling;
    use serde_json::json;

    /// A config of `family` with more fields, for 64 positions.
    fn config(family: &str, extra: Value) -> Result<Config> {
        let mut fields = json!({"model_type": family, "vocab_size": 9, "hidden_size": 8, "intermediate_size": 4,
            "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64});
        let object = fields.as_object_mut().unwrap();
        object.extend(extra.as_object().unwrap().clone());
        quantization(object)?;
        parse(object)
    }

    fn refused(family: &str, extra: Value, name: &str) {
        let error = format!("{:#}", config(family, extra.clone()).unwrap_err());
        assert!(error.contains(name), "{extra}: {error}");
    }

    #[test]
    fn what_is_left_out_has_the_default_of_its_family() {
        let of = |family| config(family, json!({})).unwrap();
        assert_eq!(of("llama").head_dim, 4);
        assert_eq!(of("qwen3").head_dim, 128);
        assert_eq!(of("qwen2").head_dim, 4);
        assert_eq!(of("llama").rope.theta, 1e4);
        assert_eq!(of("smollm3").rope.theta, 2e6);
        assert!(of("smollm3").tie_word_embeddings && !of("mistral").tie_word_embeddings);
        assert_eq!(of("llama").rms_norm_eps, 1e-6);
        assert_eq!(of("mistral").window.unwrap().size, 4096);
        let heads = json!({"num_key_value_heads": null});
        assert_eq!(config("mistral", heads).unwrap().num_key_value_heads, 2);
    }

    #[test]
    fn biases_are_those_that_transformers_makes() {
        let biases = |family, extra| {
            let config = config(family, extra).unwrap();
            let all = Projection::ALL.into_iter().filter(|p| config.biased(*p));
            all.map(Projection::name).collect::<Vec<_>>().join(" ")
        };
        for bias in [true, false] {
            let extra = json!({"attention_bias": bias});
            assert_eq!(biases("qwen2", extra.clone()), "q_proj k_proj v_proj");
            assert_eq!(biases("mistral", extra), "");
        }
        assert_eq!(biases("llama", json!({"attention_bias": false})), "");
        for family in ["llama", "qwen3", "smollm3"] {
            let extra = json!({"attention_bias": true});
            assert_eq!(biases(family, extra), "q_proj k_proj v_proj o_proj");
        }
        let mlp = json!({"mlp_bias": true});
        assert_eq!(biases("llama", mlp), "gate_proj up_proj down_proj");
    }

    #[test]
    fn windows_are_in_the_layers_that_transformers_gives_them() {
        let window = |family, extra| config(family, extra).unwrap().window;
        let some = |size, layers: &[usize]| {
            let layers = layers.iter().copied().collect();
            Some(Window { size, layers })
        };
        assert_eq!(window("mistral", json!({"sliding_window": null})), None);
        let sixteen = json!({"sliding_window": 16});
        assert_eq!(window("mistral", sixteen.clone()), some(16, &[0, 1, 2, 3]));
        assert_eq!(window("qwen2", sixteen), None);
        let on = json!({"sliding_window": 16, "use_sliding_window": true, "max_window_layers": 3});
        assert_eq!(window("qwen3", on.clone()), some(16, &[3]));
        let types = [
            "sliding_attention",
            "full_attention",
            "full_attention",
            "full_attention",
        ];
        let typed = json!({"sliding_window": 16, "use_sliding_window": true, "layer_types": types});
        assert_eq!(window("qwen2", typed.clone()), some(16, &[0]));
        assert_eq!(window("smollm3", typed), some(16, &[0]));
        let every_other =
            json!({"sliding_window": 16, "use_sliding_window": true, "no_rope_layer_interval": 2});
        assert_eq!(window("smollm3", every_other), some(16, &[1, 3]));
        assert_eq!(
            window(
                "smollm3",
                json!({"sliding_window": null, "use_sliding_window": false})
            ),
            None
        );
        // As long as the model's longest text, it hides nothing.
        assert_eq!(window("llama", json!({"sliding_window": 64})), None);
        refused("llama", json!({"sliding_window": 63}), "sliding_window 63");
        refused("llama", on, "sliding_window 16");
        refused("mistral", json!({"sliding_window": 0}), "sliding_window");
        refused(
            "mistral",
            json!({"sliding_window": 16, "use_sliding_window": false}),
            "use_sliding_window",
        );
        refused("qwen2", json!({"layer_types": types}), "layer_types");
        let chunked = ["chunked_attention"; 4];
        refused(
            "qwen2",
            json!({"layer_types": chunked}),
            "chunked_attention",
        );
    }

    #[test]
    fn smollm3_leaves_the_rotation_out_of_some_layers() {
        let without = |extra| Vec::from_iter(config("smollm3", extra).unwrap().without_rope);
        assert_eq!(without(json!({})), [3]);
        assert_eq!(without(json!({"no_rope_layer_interval": 2})), [1, 3]);
        let listed = json!({"no_rope_layers": [0, 1, 1, 0], "no_rope_layer_interval": 2});
        assert_eq!(without(listed), [0, 3]);
        assert_eq!(without(json!({"no_rope_layers": null})), [3]);
        refused("smollm3", json!({"no_rope_layers": [0]}), "no_rope_layers");
        refused(
            "smollm3",
            json!({"no_rope_layer_interval": 0}),
            "no_rope_layer_interval",
        );
        refused(
            "llama",
            json!({"no_rope_layers": [1, 1, 1, 0]}),
            "no_rope_layers",
        );
    }

    #[test]
    fn both_spellings_of_the_rotation_are_read() {
        let old = json!({"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 32.0,
            "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}});
        let rope = config("llama", old).unwrap().rope;
        assert_eq!(rope.theta, 5e5);
        assert!(matches!(
            rope.scaling,
            Scaling::Llama3 { original: 16.0, .. }
        ));
        let new =
            json!({"rope_parameters": {"rope_type": "linear", "rope_theta": 7.0, "factor": 2}});
        let rope = config("mistral", new).unwrap().rope;
        assert_eq!(
            (rope.theta, rope.scaling),
            (7.0, Scaling::Linear { factor: 2.0 })
        );
    }

    #[test]
    fn refuses_by_name_what_would_change_the_arithmetic() {
        for (extra, name) in [
            (
                json!({"rope_scaling": {"type": "dynamic", "factor": 2}}),
                "dynamic",
            ),
            (json!({"hidden_act": "gelu"}), "gelu"),
            (json!({"head_dim": 0}), "head_dim"),
            (json!({"rope_theta": -1.0}), "rope_theta"),
            (json!({"attention_multiplier": 0.1}), "attention_multiplier"),
            (json!({"logits_scaling": 8.0}), "logits_scaling"),
            (
                json!({"partial_rotary_factor": 0.5}),
                "partial_rotary_factor",
            ),
            (
                json!({"attn_logit_softcapping": 50.0}),
                "attn_logit_softcapping",
            ),
            (json!({"num_local_experts": 8}), "num_local_experts"),
            (json!({"use_qk_norm": true}), "use_qk_norm"),
            (json!({"is_causal": false}), "is_causal"),
        ] {
            refused("llama", extra, name);
        }
        let neutral = json!({"attention_multiplier": null, "logits_scaling": 1.0, "partial_rotary_factor": 1,
            "num_local_experts": 0, "use_qk_norm": false, "pretraining_tp": 2, "attention_dropout": 0.1, "is_causal": true});
        config("llama", neutral).unwrap();
        let other = parse(&fields(r#"{"model_type":"mamba"}"#).unwrap()).unwrap_err();
        assert!(format!("{other:#}").contains("mamba"));
    }

    #[test]
    fn quantized_weights_are_named() {
        for (settings, names) in [
            (
                json!({"quantization": {"group_size": 32, "bits": 6}}),
                ["MLX", "bits 6"],
            ),
            (
                json!({"quantization_config": {"group_size": 16, "bits": 4}}),
                ["MLX", "group_size 16"],
            ),
            (
                json!({"quantization": {"group_size": 32, "bits": 4, "mode": "mxfp4"}}),
                ["MLX", "mode \"mxfp4\""],
            ),
            (
                json!({"quantization": {"group_size": 32, "bits": 4, "lm_head": {"group_size": 32, "bits": 3}}}),
                ["lm_head", "bits 3"],
            ),
            (
                json!({"quantization": {"bits": 4}}),
                ["quantization", "group_size is missing"],
            ),
            (
                json!({"quantization": {"group_size": 32, "bits": 4, "rotated": 1}}),
                ["rotated 1", "not supported"],
            ),
            (
                json!({"quantization": {"group_size": 32, "bits": 4}, "quantization_config": {"group_size": 32, "bits": 8}}),
                ["quantization_config", "disagree"],
            ),
            (
                json!({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}),
                ["gptq", "4 bits"],
            ),
            (
                json!({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}),
                ["awq", "4 bits"],
            ),
            (
                json!({"quantization_config": {"quant_method": "fp8"}}),
                ["fp8", "quantization_config"],
            ),
            (
                json!({"quantization_config": {"load_in_4bit": true}}),
                ["bitsandbytes", "4 bits"],
            ),
            (
                json!({"quantization_config": {"something": 1}}),
                ["quantized", "quantization_config"],
            ),
        ] {
            for name in names {
                refused("llama", settings.clone(), name);
            }
        }
        config(
            "llama",
            json!({"quantization": null, "quantization_config": {}}),
        )
        .unwrap();
    }
}
